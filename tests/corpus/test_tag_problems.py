"""Tags that do not fit the scheme, the declared names or the training split."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.load import load_corpus
from corpus.problems import CorpusError, ProblemKind
from tests.helpers.broken_corpora import GOOD, BrokenCorpus, check_broken_corpus, record
from tests.helpers.corpus_files import write_file

CASES = {
    "parts of speech in place of entity tags": BrokenCorpus(
        "a.conll", "A DT\ndog NN\n", {}, [(ProblemKind.PLAIN_TAGS, 1, ["a.conll"])]
    ),
    "a scheme for parts of speech": BrokenCorpus(
        "a.conll",
        "A DT\ndog NN\n",
        {"task_name": "pos", "tag_scheme": "iob2"},
        [(ProblemKind.PLAIN_TAGS, 1, ["a.conll"])],
    ),
    "types without prefixes in BIOES": BrokenCorpus(
        "a.conll",
        "EU ORG\nin O\n",
        {"tag_scheme": "bioes", "label_column_name": "1"},
        [(ProblemKind.PLAIN_TAGS, 1, ["a.conll"])],
    ),
    "BIOES in another spelling read as IOB2": BrokenCorpus(
        "a.conll",
        "EU s_org\nin o\nNew b_loc\nYork e_loc\n",
        {"tag_scheme": "iob2"},
        [(ProblemKind.FOREIGN_PREFIX, 2, ["a.conll:1", "a.conll:4"])],
    ),
    "prefixes without types read as IO": BrokenCorpus(
        "a.conll",
        "EU B-ORG\nin O\nUN I\n",
        {"tag_scheme": "io"},
        [
            (ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:3"]),
            (ProblemKind.FOREIGN_PREFIX, 1, ["a.conll:1"]),
        ],
    ),
    "a misspelt prefix": BrokenCorpus(
        "a.conll", GOOD + "Bonn b-PER\n", {}, [(ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:7"])]
    ),
    "an underscore instead of the hyphen": BrokenCorpus(
        "a.conll", GOOD + "Bonn B_ORG\n", {}, [(ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:7"])]
    ),
    "a lower-case o": BrokenCorpus(
        "a.conll", GOOD + "Bonn o\n", {}, [(ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:7"])]
    ),
    "a zero instead of O": BrokenCorpus(
        "a.conll", GOOD + "Bonn 0\n", {}, [(ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:7"])]
    ),
    "a prefix without a type": BrokenCorpus(
        "a.conll", GOOD + "Bonn B-\n", {}, [(ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:7"])]
    ),
    "a misspelt tag far into the file": BrokenCorpus(
        "a.conll",
        "EU B-ORG\n\n" + 2500 * "in O\n\n" + "Bonn b-ORG\n",
        {},
        [(ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:5003"])],
    ),
    "more misspelt tags than are shown": BrokenCorpus(
        "a.conll",
        GOOD + 25 * "Bonn PER\n",
        {},
        [(ProblemKind.NOT_ENTITY_TAG, 25, ["a.conll:7", "a.conll:8", "a.conll:9"])],
    ),
    "two schemes in one corpus": BrokenCorpus(
        "a.conll",
        "A B-X\nb L-X\nC S-X\nD U-X\n",
        {},
        [(ProblemKind.FOREIGN_PREFIX, 1, ["a.conll:3"])],
    ),
    "BIOES read as IOB2": BrokenCorpus(
        "a.conll",
        "A S-X\nb O\n",
        {"tag_scheme": "iob2"},
        [(ProblemKind.FOREIGN_PREFIX, 1, ["a.conll:1"])],
    ),
    "IOB2 read as IO": BrokenCorpus(
        "a.conll",
        GOOD,
        {"tag_scheme": "io"},
        [(ProblemKind.FOREIGN_PREFIX, 3, ["a.conll:1", "a.conll:3", "a.conll:5"])],
    ),
    "integers without names": BrokenCorpus(
        "a.jsonl",
        record(tokens=["EU", "rejects"], ner_tags=[3, 0]),
        {},
        [(ProblemKind.INTEGER_WITHOUT_NAME, 2, ["a.jsonl:1", "a.jsonl:1"])],
    ),
    "integers in columns": BrokenCorpus(
        "a.conll",
        "EU 3\nrejects 0\n",
        {},
        [(ProblemKind.INTEGER_WITHOUT_NAME, 2, ["a.conll:1", "a.conll:2"])],
    ),
    "an integer beyond the names": BrokenCorpus(
        "a.jsonl",
        record(tokens=["EU", "rejects"], ner_tags=[3, 0]),
        {"label_names": ["O", "B-ORG"]},
        [(ProblemKind.TOO_FEW_NAMES, 1, ["a.jsonl:1"])],
    ),
    "an integer of five thousand digits": BrokenCorpus(
        "a.conll",
        f"EU {'9' * 5000}\nin 0\n",
        {"label_names": ["O", "B-ORG"]},
        [(ProblemKind.NOT_ENTITY_TAG, 1, ["a.conll:1"])],
    ),
    "a negative integer": BrokenCorpus(
        "a.jsonl",
        record(tokens=["EU"], ner_tags=[-100]),
        {"label_names": ["O", "B-ORG"]},
        [(ProblemKind.TOO_FEW_NAMES, 1, ["a.jsonl:1"])],
    ),
    "a tag that --label_names lacks": BrokenCorpus(
        "a.conll",
        GOOD,
        {"label_names": ["O", "B-ORG", "I-ORG", "B-PER", "I-PER"]},
        [(ProblemKind.UNDECLARED_LABEL, 1, ["a.conll:3"])],
    ),
    "a part of speech that --label_names lacks": BrokenCorpus(
        "a.conll",
        "A DET\ndog NUON\n",
        {"task_name": "pos", "label_names": ["DET", "NOUN"]},
        [(ProblemKind.UNDECLARED_LABEL, 1, ["a.conll:2"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)


@pytest.mark.parametrize("tag", ["B-DNA|B-protein", "B-DNA;O", "B-DNA,I-cell", "B-DNA O"])
def test_several_tags_of_a_word_are_not_a_type(tmp_path, corpus_settings, tag):
    path = write_file(tmp_path, "a.tsv", f"IL-2\t{tag}\ngene\tI-DNA\nx\tO\n\ny\tB-R&B-artist\n")
    with pytest.raises(CorpusError) as error:
        load_corpus(corpus_settings(train_file=(str(path),), hold_out=False))
    groups = [(group.kind, group.count) for group in error.value.problems.groups]
    assert groups == [(ProblemKind.NOT_ENTITY_TAG, 1)]
