"""Records with lists of words and tags that do not fit."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.problems import ProblemKind, Problems
from tests.helpers.broken_corpora import TOKENS, BrokenCorpus, check_broken_corpus, record
from tests.helpers.corpus_files import read, write_file

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


# --- Texts with tags ----------------------------------------------------------------------------

ANNA = (["Anna", "Bell", "left", "Rome."], ["B-PER", "I-PER", "O", "B-LOC"])
TEXTS_WITH_TAGS = {
    "a.jsonl": record(text="Anna Bell left Rome.", tags=ANNA[1]),
    "sentence.jsonl": record(sentence="Anna Bell \u00a0left\tRome.", ner_tags=ANNA[1]),
    "lists.csv": f'sentence,labels\nAnna Bell left Rome.,"{ANNA[1]!r}"\n',
    "strings.csv": "text,labels\nAnna Bell left Rome.,B-PER I-PER O B-LOC\n",
    "strings.jsonl": record(text="Anna Bell left Rome.", labels="B-PER I-PER O B-LOC"),
}


@pytest.mark.parametrize("name", TEXTS_WITH_TAGS)
def test_a_text_with_a_tag_for_each_word(tmp_path, name):
    words, tags = read(write_file(tmp_path, name, TEXTS_WITH_TAGS[name]))[0]
    assert ([word.strip("\u00a0") for word in words], tags) == ANNA


def test_a_text_with_too_few_tags_is_rejected(tmp_path):
    content = TEXTS_WITH_TAGS["a.jsonl"] + record(text="Anna left", tags=["B-PER"])
    read(write_file(tmp_path, "a.jsonl", content), problems := Problems())
    assert [(group.kind, group.shown[0].place.line) for group in problems.groups] == [
        (ProblemKind.LABEL_COUNT, 2)
    ]
