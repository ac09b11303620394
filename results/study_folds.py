"""Cross-validation: the files of the folds, and the predictions of all folds put together.

write_fold(folder, "fold_1", sentences, in_test)    # fold_1_train.jsonl, fold_1_test.jsonl
scores = pool_folds(folder, ["fold_1", ...], sentences, numbers)
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from common import are_entity_tags
from results.result_files import PREDICTIONS, column_cell
from results.study_files import LabelledSentence
from scoring.evidence import EvidenceCounter
from scoring.scores import score_tags
from support.errors import UserError
from support.files import written_whole

PREDICTIONS_NAME = PREDICTIONS["test"]


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
