"""Settings that do not name a file, and splits that cannot be used."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.problems import ProblemKind
from tests.helpers.broken_corpora import GOOD, BrokenCorpus, check_broken_corpus

CASES = {
    "a missing file": BrokenCorpus("a.conll", GOOD, {"train_file": ["DIR/b.conll"]}, []),
    "a glob that matches nothing": BrokenCorpus("a.conll", GOOD, {"train_file": ["DIR/*.iob"]}, []),
    "a glob that resembles a file name": BrokenCorpus(
        "dup.conll", GOOD, {"train_file": ["DIR/du*p.conll", "DIR/nope*.conll"]}, []
    ),
    "a name that shares only its extension with a file": BrokenCorpus(
        "dup.conll", GOOD, {"train_file": ["DIR/nope.conll"]}, []
    ),
    "a name with two letters swapped": BrokenCorpus(
        "train.conll", GOOD, {"train_file": ["DIR/tarin.conll"]}, []
    ),
    "a name with another extension": BrokenCorpus(
        "train.conll", GOOD, {"train_file": ["DIR/train.txt"]}, []
    ),
    "a folder instead of a file": BrokenCorpus("a.conll", GOOD, {"train_file": ["DIR"]}, []),
    "an unknown task": BrokenCorpus("a.conll", GOOD, {"task_name": "srl"}, []),
    "a missing file of label names": BrokenCorpus(
        "a.conll", GOOD, {"label_names": ["DIR/labels.txt"]}, []
    ),
    "a label name given twice": BrokenCorpus(
        "a.conll", GOOD, {"label_names": ["O", "B-ORG", "O"]}, []
    ),
    "one sentence, too few to hold any out": BrokenCorpus("a.conll", "EU B-ORG\n", {}, []),
    "a label that only validation has": BrokenCorpus(
        "a.conll",
        GOOD,
        {"validation_file": "EU B-LOC\nin O\nBonn B-ROG\n"},
        [(ProblemKind.UNTRAINED_LABEL, 2, ["validation.conll:1", "validation.conll:3"])],
    ),
    "validation without labels": BrokenCorpus(
        "a.conll",
        GOOD,
        {"validation_file": "EU\nin\n"},
        [(ProblemKind.NO_LABELS, 1, ["validation.conll"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)
