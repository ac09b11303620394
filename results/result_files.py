"""The result files: scores as JSON, predictions in columns."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common import SentencePrediction, entities, entity_score
from corpus.problems import Place
from support.files import write_json, written_whole

WEIGHTS = "model.safetensors"
REPORT_FILES = ("report.html", "training_curves.png", "confusion_matrix.png")
ALL_RESULTS = "all_results.json"
FILE_PREFIXES = {"validation": "eval", "test": "predict"}  # of a split's file and its keys
PREDICTIONS = {"validation": "eval_predictions", "test": "predictions"}  # .txt and .jsonl


def save_results(folder: Path, split: str, metrics: dict[str, Any]) -> None:
    """Write `{split}_results.json`, and merge the metrics into `ALL_RESULTS`."""
    write_json(folder / f"{split}_results.json", metrics)
    all_results = folder / ALL_RESULTS
    try:
        earlier = json.loads(all_results.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = {}
    earlier = earlier if isinstance(earlier, dict) else {}
    kept = {name: value for name, value in earlier.items() if not name.startswith(f"{split}_")}
    write_json(all_results, kept | metrics)


def write_predictions(
    folder: Path,
    name: str,
    sentences: Iterable[SentencePrediction],
    places: Iterable[Place],
    entity_tags: bool,
) -> None:
    """Write the predictions of a split as `{name}.txt` and `{name}.jsonl`, in one pass.

    The text file has word, gold tag and predicted tag in columns, as conlleval reads them; without
    gold tags there are two columns. A blank line ends each sentence. White space inside a word or
    tag becomes `_`, as does an empty word or tag. The JSON file has one object per line and
    sentence, see `prediction`. `places`: the place of each sentence.
    """
    with (
        written_whole(folder / f"{name}.txt") as columns_file,
        written_whole(folder / f"{name}.jsonl") as json_file,
    ):
        for sentence, place in zip(sentences, places, strict=True):
            tags = (sentence.gold, sentence.predicted)
            columns = [column for column in (sentence.words, *tags) if column]
            for row in zip(*columns, strict=True):
                columns_file.write(" ".join(map(column_cell, row)) + "\n")
            columns_file.write("\n")
            content = prediction(sentence, place, entity_tags)
            json_file.write(json.dumps(content, ensure_ascii=False) + "\n")


def column_cell(text: str) -> str:
    """Return a word or tag as a cell of columns: without white space, and not empty."""
    return re.sub(r"\s", "_", text) or "_"


def place_fields(place: Place, num_words: int) -> dict[str, Any]:
    """Return the place of a sentence as fields of a record.

    `lines`: the line of each word; None if all of them are on the line of the sentence.
    """
    lines = [place.at(word).line for word in range(num_words)]
    return {
        "file": place.file,
        "line": place.line,
        "lines": lines if set(lines) - {place.line} else None,
        "record_id": place.record_id,
        "document": place.document,
    }


def prediction(sentence: SentencePrediction, place: Place, entity_tags: bool) -> dict[str, Any]:
    """Return a sentence with its place, its tags and, for entity tags, its predicted entities.

    `start_word` and `end_word` of an entity index `words`; the end is exclusive. Its score is that
    of tagging. Without gold tags, `gold_tags` is None.
    """
    words, gold, predicted, _, entity_scores = sentence
    content: dict[str, Any] = {
        **place_fields(place, len(words)),
        "words": list(words),
        "gold_tags": list(gold) if gold or not words else None,
        "predicted_tags": list(predicted),
    }
    if entity_tags:
        content["entities"] = [
            {
                "entity_group": entity_type,
                "score": round(entity_score(entity_scores, start, end), 4),
                "words": list(words[start:end]),
                "start_word": start,
                "end_word": end,
            }
            for entity_type, start, end in entities(predicted)
        ]
    return content
