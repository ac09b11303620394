"""Files of suspected label errors, the most suspicious first.

    ranked = rank_suspects(sentences, tags, log_odds, entity_tags)
    write_suspects(Path("label_errors.jsonl"), ranked, entity_tags)
    read_suspects(Path("label_errors.jsonl"))          # the same as records

A line of the JSON file is a sentence with the suggestion applied, in the fields that annotation
tools import: `text` and `label` (doccano), `spans` (Prodigy), by characters of `text`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common import entities
from results.study_files import LabelledSentence
from scoring.label_errors import Suspect, corrected, suspected_errors
from scoring.mistakes import Entity
from support.files import written_whole

LABEL_ERRORS = "label_errors.jsonl"
SURE = 0.5  # of a score: even odds


class RankedSuspect(NamedTuple):
    """A suspect with its sentence, and the tags that the model suggests there."""

    suspect: Suspect
    sentence: LabelledSentence
    suggested_tags: Sequence[str]


def rank_suspects(
    sentences: Iterable[LabelledSentence],
    tags: Iterable[Sequence[str]],
    log_odds: Iterable[Sequence[float] | np.ndarray],
    entity_tags: bool,
) -> list[RankedSuspect]:
    """Return the suspects with a high score, the highest first.

    `tags`: predicted by models that have not seen the sentences. `log_odds`: that the labels are
    wrong (`scoring.label_errors.error_log_odds`).
    """
    ranked = [
        RankedSuspect(suspect, sentence, predicted)
        for sentence, predicted, odds in zip(sentences, tags, log_odds, strict=True)
        for suspect in suspected_errors(sentence.tags, predicted, odds, entity_tags)
        if suspect.score > SURE
    ]
    return sorted(ranked, key=lambda row: -row.suspect.score)


def write_suspects(path: Path, ranked: Iterable[RankedSuspect], entity_tags: bool) -> None:
    """Write suspects as JSON Lines."""
    with written_whole(path) as file:
        for row in ranked:
            file.write(json.dumps(suspect_json(row, entity_tags), ensure_ascii=False) + "\n")


def read_suspects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of `write_suspects`; of a damaged file, those before the damage."""
    try:
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    except (OSError, ValueError):
        return


def suspect_json(row: RankedSuspect, entity_tags: bool) -> dict[str, Any]:
    """Return a suspect as a record; `label` and `spans` have the suggestion applied.

    `start` and `end`, by characters, and `start_word` and `end_word` bound its `words`, of which
    `tags` are the labels and `suggested_tags` the predictions.
    """
    suspect, (words, tags, place), predicted = row
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))

    def span(entity: Entity) -> tuple[int, int, str | None]:
        return starts[entity[1]], starts[entity[2]] - 1, entity[0]

    def described(entity: Entity) -> dict[str, Any]:
        start, end, name = span(entity)
        return {"label": name, "start": start, "end": end, "text": text[start:end]}

    text = " ".join(words)
    labelled: list[Entity] = [*entities(tags)] if entity_tags else []
    if not entity_tags:
        labelled = [(tag, word, word + 1) for word, tag in enumerate(tags)]
    spans = [span(entity) for entity in corrected(labelled, suspect)]
    inside = slice(suspect.start, suspect.end)
    return {
        "text": text,
        "label": [list(each) for each in spans],
        "spans": [{"start": start, "end": end, "label": name} for start, end, name in spans],
        "score": round(suspect.score, 4),
        "kind": suspect.kind,
        "labelled": [described(entity) for entity in suspect.labels],
        "suggested": [described(entity) for entity in suspect.suggested],
        "file": place.file,
        "line": place.at(suspect.start).line,
        "record_id": place.record_id,
        "document": place.document,
        "words": words[inside],
        "tags": list(tags[inside]),
        "suggested_tags": list(predicted[inside]),
        "start": starts[suspect.start],
        "end": starts[suspect.end] - 1,
        "start_word": suspect.start,
        "end_word": suspect.end,
    }
