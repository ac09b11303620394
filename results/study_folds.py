"""Cross-validation: the predictions of all folds combined.

scores = pool_folds(folder, ["fold_1", ...], sentences, numbers)
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from common import are_entity_tags
from results.result_files import PREDICTIONS, column_cell, place_fields
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
    predicted = []
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
            record |= place_fields(place, len(sentence.words))
            record["gold_tags"] = sentence.tags
            json_file.write(json.dumps(record, ensure_ascii=False) + "\n")
            columns = (sentence.words, sentence.tags, record["predicted_tags"])
            for row in zip(*columns, strict=True):
                columns_file.write(" ".join(map(column_cell, row)) + "\n")
            columns_file.write("\n")
            predicted.append(record["predicted_tags"])
    return score_sentences(sentences, predicted, entity_tags)


def score_sentences(
    sentences: Iterable[LabelledSentence], predicted: Sequence[list[str]], entity_tags: bool
) -> dict[str, Any]:
    """Return the scores of the predicted tags of sentences, with their intervals."""
    evidence, gold = EvidenceCounter(entity_tags), []
    for (words, tags, place), of_sentence in zip(sentences, predicted, strict=True):
        evidence.add(words, tags, of_sentence, place.document_in_file)
        gold.append(tags)
    return evidence.added_to(score_tags(gold, predicted, entity_tags))


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a JSON Lines file of a study."""
    try:
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}. Delete the study's folder.") from None


def write_label_predictions(
    path: Path, label_names: Sequence[str], predictions: Iterable[tuple[list[str], np.ndarray]]
) -> None:
    """Write the predictions of a fold as arrays of numpy.

    `predictions`: (tags, log probabilities) of each sentence, see `Tagger.predict_labels`.
    """
    tags, log_probabilities = zip(*predictions, strict=True)
    names, numbers = np.unique([tag for of_words in tags for tag in of_words], return_inverse=True)
    with written_whole(path, "wb") as file:
        np.savez(
            file,
            tag_names=names,
            tags=numbers,
            label_names=np.array(label_names, str),
            log_probabilities=np.concatenate(log_probabilities),
        )


class LabelPredictions(NamedTuple):
    """The prediction of each sentence of a corpus, by a model that has not seen it.

    `log_probabilities`: (words, labels), in the order of `label_names`.
    """

    label_names: list[str]
    tags: list[list[str]]
    log_probabilities: list[np.ndarray]


def read_label_predictions(
    paths: Sequence[Path], lengths: Sequence[int], folds: Sequence[int]
) -> LabelPredictions:
    """Return the predictions of all folds in the order of the corpus.

    `paths`: the file of each fold. `lengths`: the words of each sentence. `folds`: the fold of each
    sentence. Raises UserError if a file cannot be read.
    """
    files = [_label_predictions_of(path) for path in paths]
    positions = [0] * len(files)
    all_tags, all_log_probabilities = [], []
    for length, fold in zip(lengths, folds, strict=True):
        tags, log_probabilities, _ = files[fold]
        words = slice(positions[fold], positions[fold] + length)
        positions[fold] += length
        all_tags.append(tags[words].tolist())
        all_log_probabilities.append(log_probabilities[words])
    return LabelPredictions(files[0][2], all_tags, all_log_probabilities)


def _label_predictions_of(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the tags, the log probabilities and the label names of a file."""
    try:
        with np.load(path) as file:
            tags = file["tag_names"][file["tags"]]
            return tags, file["log_probabilities"], file["label_names"].tolist()
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(f"{path}: cannot be read: {error}. Delete the study's folder.") from None
