"""One word per row: rows grouped into sentences."""

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.problems import ProblemKind
from tests.helpers.broken_corpora import BrokenCorpus, check_broken_corpus
from tests.helpers.corpus_files import read, write_file


def test_unquoted_tabs_with_sentence_ids(tmp_path):
    sentences = [(['"', "a"], ["O", "B-X"]), (["'"], ["O"])]
    text = "sentence_id\tword\ttag\n1\t\"\tO\n1\ta\tB-X\n2\t'\tO\n"
    assert read(write_file(tmp_path, "a.tsv", text)) == sentences


def test_only_the_first_row_of_a_sentence_needs_its_id(tmp_path):
    rows = "Sentence #,Word,POS,Tag\nSentence: 1,EU,NNP,B-org\n,said,VBD,O\nSentence: 2,No,UH,O\n"
    path = write_file(tmp_path, "ner.csv", rows)
    assert read(path) == [(["EU", "said"], ["B-org", "O"]), (["No"], ["O"])]
    assert read(path, task="pos") == [(["EU", "said"], ["NNP", "VBD"]), (["No"], ["UH"])]


CASES = {
    "rows without a sentence id": BrokenCorpus(
        "a.csv",
        "word,tag\nEU,B-ORG\nrejects,O\n",
        {},
        [(ProblemKind.NO_SUCH_COLUMN, 1, ["a.csv:2"])],
    ),
    "words that do not belong to a sentence": BrokenCorpus(
        "a.csv",
        "sentence_id,word,tag\n,EU,B-ORG\n1,rejects,O\n",
        {},
        [(ProblemKind.WORD_WITHOUT_SENTENCE, 1, ["a.csv:2"])],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)
