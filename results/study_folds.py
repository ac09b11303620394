"""Cross-validation: the files of the folds, and the predictions of all folds combined.

write_fold(folder, "fold_1", sentences, in_test)    # fold_1_train.jsonl, fold_1_test.jsonl
scores = pool_folds(folder, ["fold_1", ...], sentences, numbers)
"""

import json
from collections.abc import Iterable, Iterator, Sequence
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
    readers = [_json_lines(folder / name / f"{PREDICTIONS_NAME}.jsonl") for name in names]
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


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON Lines file of a study."""
    try:
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}. Delete the study's folder.") from None


def write_tags(path: Path, tagged: Iterable[tuple[list[str], list[float]]]) -> None:
    """Write tags and their probabilities as JSON Lines, a line for each sentence."""
    with written_whole(path) as file:
        for tags, probabilities in tagged:
            rounded = [round(probability, 5) for probability in probabilities]
            file.write(json.dumps({"tags": tags, "probabilities": rounded}) + "\n")


def read_tags(
    paths: Sequence[Path], folds: Sequence[int]
) -> Iterator[tuple[list[str], list[float]]]:
    """Yield tags and their probabilities of all folds, in the order of the corpus."""
    readers = [_json_lines(path) for path in paths]
    for fold in folds:
        record = next(readers[fold])
        yield record["tags"], record["probabilities"]
