"""CoNLL-2012: entities in brackets, columns for predicates, documents."""

import pytest

from corpus.formats import detect
from corpus.formats.conll2012 import iob2_of_brackets
from corpus.formats.sentence import ReadOptions
from corpus.problems import ProblemKind, Problems
from tests.helpers.corpus_files import read, write_file
from tests.helpers.messages import stable

FILE = """\
#begin document (bc/cctv/00/cctv_0000); part 001
bc/cctv/00/cctv_0000   1   0   Ms.    NNP  (TOP(S(NP*   -     -   -   A   (PERSON*  (ARG0*  -
bc/cctv/00/cctv_0000   1   1   Bell   NNP  *)           -     -   -   A   *)        *)      (0)
bc/cctv/00/cctv_0000   1   2   left   VBD  (VP*         leave 01  1   A   *         (V*)    -
bc/cctv/00/cctv_0000   1   3   Rome   NNP  (NP*))))     -     -   -   A   (GPE)     (ARG1*) -

bc/cctv/00/cctv_0000   1   0   #1     CD   (TOP*)       -     -   -   A   *   -

#end document
"""
SENTENCES = [
    (["Ms.", "Bell", "left", "Rome"], ["B-PERSON", "I-PERSON", "O", "B-GPE"]),
    (["#1"], ["O"]),
]


def test_sentences_documents_and_lines(tmp_path):
    path = write_file(tmp_path, "a.v4_gold_conll", FILE)
    assert read(path) == SENTENCES
    assert [tags for _, tags in read(path, task="pos")] == [["NNP", "NNP", "VBD", "NNP"], ["CD"]]
    opened = detect.read(path, ReadOptions(), Problems())
    assert opened.labelled and opened.layout.startswith("CoNLL-2012")
    places = [(s.document, list(s.lines)) for s in opened.sentences]
    assert places == [("bc/cctv/00/cctv_0000#1", [2, 3, 4, 5]), ("bc/cctv/00/cctv_0000#1", [7])]


@pytest.mark.parametrize(
    ("cells", "tags", "faulty"),
    [
        ("(A) (B)", "B-A B-B", []),
        ("(A* * *) *", "B-A I-A I-A O", []),
        ("(A* (B) *)", "B-A O O", [1, 2]),
        ("* *)", "O O", [1]),
        ("(A* *", "B-A I-A", [1]),
        ("* x", "O O", [1]),
    ],
)
def test_brackets(cells, tags, faulty):
    assert iob2_of_brackets(cells.split()) == (tags.split(), faulty)


def test_what_does_not_fit_is_reported(tmp_path, snapshot):
    broken = FILE.replace("(GPE)", "(GPE*").replace("   #1     CD", "   [WORD]")
    sentences = read(write_file(tmp_path, "a.conll", broken), problems := Problems())
    assert sentences == SENTENCES[:1]
    kinds = [group.kind for group in problems.groups]
    assert kinds == [ProblemKind.NOT_ENTITY_TAG, ProblemKind.ROW_WIDTH]
    read(write_file(tmp_path, "b.conll", FILE), problems, task="chunk")
    assert stable(problems, tmp_path) == snapshot
