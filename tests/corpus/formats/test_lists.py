"""Records with lists of words and tags that do not fit."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.problems import ProblemKind
from tests.helpers.broken_corpora import TOKENS, BrokenCorpus, check_broken_corpus, record

CASES = {
    "too few labels": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU", "rejects"], ner_tags=["B-ORG"]),
        {},
        [(ProblemKind.LABEL_COUNT, 1, ["a.jsonl:2"])],
    ),
    "too many labels": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags=["B-ORG", "O"]),
        {},
        [(ProblemKind.LABEL_COUNT, 1, ["a.jsonl:2"])],
    ),
    "a record without labels": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU"]),
        {},
        [(ProblemKind.MISSING_COLUMN, 1, ["a.jsonl:2"])],
    ),
    "null instead of labels": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags=None),
        {},
        [(ProblemKind.MISSING_COLUMN, 1, ["a.jsonl:2"])],
    ),
    "a string instead of words": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens="EU", ner_tags=["O"]),
        {},
        [(ProblemKind.WORDS_NOT_LIST, 1, ["a.jsonl:2"])],
    ),
    "a number among the words": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU", 7], ner_tags=["O", "O"]),
        {},
        [(ProblemKind.WORD_NOT_STRING, 1, ["a.jsonl:2"])],
    ),
    "a string instead of labels": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags="O"),
        {},
        [(ProblemKind.LABELS_NOT_LIST, 1, ["a.jsonl:2"])],
    ),
    "names and integers mixed": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU", "is"], ner_tags=["O", 0]),
        {},
        [(ProblemKind.LABEL_TYPE, 1, ["a.jsonl:2"])],
    ),
    "Booleans instead of labels": BrokenCorpus(
        "a.jsonl",
        TOKENS + record(tokens=["EU"], ner_tags=[True]),
        {},
        [(ProblemKind.LABEL_TYPE, 1, ["a.jsonl:2"])],
    ),
    "half of a surrogate pair": BrokenCorpus(
        "a.jsonl",
        TOKENS + '{"tokens": ["EU\\ud83d"], "ner_tags": ["O"]}\n',
        {},
        [(ProblemKind.HALF_CHARACTER, 1, ["a.jsonl:2"])],
    ),
    "no column with words": BrokenCorpus(
        "a.jsonl",
        record(sentence_words=["EU"], ner_tags=["O"]),
        {},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.jsonl:1"])],
    ),
    "a missing text column": BrokenCorpus(
        "a.jsonl",
        TOKENS,
        {"text_column_name": "word"},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.jsonl:1"])],
    ),
    "a missing label column": BrokenCorpus(
        "a.jsonl",
        TOKENS,
        {"label_column_name": "pos"},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.jsonl:1"])],
    ),
    "labels only from a later line": BrokenCorpus(
        "a.jsonl",
        1000 * record(tokens=["EU"]) + TOKENS,
        {},
        [(ProblemKind.LATE_LABELS, 1, ["a.jsonl:1001"]), (ProblemKind.NO_LABELS, 1, ["a.jsonl"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)
