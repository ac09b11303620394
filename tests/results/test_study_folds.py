"""Predictions of folds: written and read in the order of the corpus."""

import numpy as np
import pytest

from results.study_folds import read_label_predictions, write_label_predictions
from support.errors import UserError

LABELS = ["O", "B-PER", "I-PER"]


def predictions(*tags: str):
    """Return the predictions of sentences; their log probabilities count the words."""
    rows, number = [], 0
    for of_sentence in tags:
        words = of_sentence.split()
        values = np.arange(number, number + len(words), dtype=np.float32)
        rows.append((words, np.repeat(values[:, None], len(LABELS), axis=1)))
        number += len(words)
    return rows


def test_predictions_return_to_the_order_of_the_corpus(tmp_path):
    files = [tmp_path / "1.npz", tmp_path / "2.npz"]
    write_label_predictions(files[0], LABELS, predictions("O B-PER", "O"))
    write_label_predictions(files[1], LABELS, predictions("B-PER I-PER O"))
    read = read_label_predictions(files, [2, 3, 1], [0, 1, 0])
    assert read.label_names == LABELS
    assert read.tags == [["O", "B-PER"], ["B-PER", "I-PER", "O"], ["O"]]
    assert [rows[:, 0].tolist() for rows in read.log_probabilities] == [[0, 1], [0, 1, 2], [2]]


@pytest.mark.parametrize("content", [b"", b"{}", b"PK damaged"])
def test_a_file_that_cannot_be_read_is_one_message(tmp_path, content):
    (tmp_path / "1.npz").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_label_predictions([tmp_path / "1.npz"], [2], [0])
    with pytest.raises(UserError, match="cannot be read"):
        read_label_predictions([tmp_path / "missing.npz"], [2], [0])
