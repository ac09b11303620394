"""Cross-validation: the files of the folds, and the predictions of all folds put together.

write_fold(folder, "fold_1", sentences, in_test)    # fold_1_train.jsonl, fold_1_test.jsonl
scores = pool_folds(folder, ["fold_1", ...], sentences, numbers)
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from common import are_entity_tags
from corpus.load import Corpus
from corpus.problems import Place
from results.result_files import PREDICTIONS, column_cell
from scoring.evidence import EvidenceCounter
from scoring.scores import score_tags
from support.errors import UserError
from support.files import written_whole

WORDS_FIELD, LABELS_FIELD = "tokens", "labels"  # of the files of folds
PREDICTIONS_NAME = PREDICTIONS["test"]


class LabelledSentence(NamedTuple):
    """A sentence of the corpus with its tags and its place."""

    words: list[str]
    tags: list[str]
    place: Place


def sentences_of(corpus: Corpus) -> list[LabelledSentence]:
    """Return the sentences of the training split."""
    rows = corpus.splits["train"].select_columns(["tokens", "labels"])
    return [
        LabelledSentence(row["tokens"], [corpus.label_names[i] for i in row["labels"]], place)
        for row, place in zip(rows, corpus.places("train"), strict=True)
    ]


def write_fold(
    folder: Path, name: str, sentences: Sequence[LabelledSentence], in_test: Sequence[bool]
) -> tuple[Path, Path]:
    """Write the training and the test file of a fold; return their paths."""
    paths = folder / f"{name}_train.jsonl", folder / f"{name}_test.jsonl"
    with ExitStack() as stack:
        files = [stack.enter_context(written_whole(path)) for path in paths]
        for number, (sentence, is_test) in enumerate(zip(sentences, in_test, strict=True)):
            record = {
                "id": str(number),
                "document": sentence.place.document,
                WORDS_FIELD: sentence.words,
                LABELS_FIELD: sentence.tags,
            }
            if sentence.place.document is None:
                del record["document"]
            files[is_test].write(json.dumps(record, ensure_ascii=False) + "\n")
    return paths


def pool_folds(
    folder: Path, names: Sequence[str], sentences: Sequence[LabelledSentence], folds: Sequence[int]
) -> dict[str, Any]:
    """Write the predictions of all folds in the order of the corpus; return their scores.

    `names`: the run of each fold. Raises UserError if a run lacks the predictions of its fold.
    """
    readers = [_predictions_of(folder / name) for name in names]
    entity_tags = are_entity_tags({tag for sentence in sentences for tag in sentence.tags})
    gold, predicted = [], []
    evidence = EvidenceCounter(entity_tags)
    with (
        written_whole(folder / f"{PREDICTIONS_NAME}.jsonl") as json_file,
        written_whole(folder / f"{PREDICTIONS_NAME}.txt") as columns_file,
    ):
        for sentence, fold in zip(sentences, folds, strict=True):
            record, place = next(readers[fold], None), sentence.place
            if record is None or record["words"] != sentence.words:
                raise UserError(
                    f"{folder / names[fold]}: not the predictions of its fold: got "
                    f"{record and record['words']}, expected {sentence.words}. Delete the study's "
                    "folder and repeat the study."
                )
            record |= {
                "file": place.file,
                "line": place.line,
                "record_id": place.record_id,
                "document": place.document,
                "gold_tags": sentence.tags,
            }
            json_file.write(json.dumps(record, ensure_ascii=False) + "\n")
            columns = (sentence.words, sentence.tags, record["predicted_tags"])
            for row in zip(*columns, strict=True):
                columns_file.write(" ".join(map(column_cell, row)) + "\n")
            columns_file.write("\n")
            gold.append(sentence.tags)
            predicted.append(record["predicted_tags"])
            document = None if place.document is None else (place.file, place.document)
            evidence.add(*columns, document)
    return evidence.added_to(score_tags(gold, predicted, entity_tags))


def _predictions_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the predictions of a run."""
    path = folder / f"{PREDICTIONS_NAME}.jsonl"
    try:
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}. Delete the folder of the run.") from None
