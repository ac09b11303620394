"""PubTator: titles and abstracts with mentions."""

from corpus.problems import ProblemKind, Problems
from tests.helpers.corpus_files import read, write_file
from tests.helpers.messages import stable

FILE = """\
227|t|Naloxone reverses it.
227|a|In rats, clonidine was given.
227\t0\t8\tNaloxone\tChemical\tD009270
227\t31\t40\tclonidine\tChemical\tD003000
227\tCID\tD009270\tD003000

228|t|Asystole.
228|a|Use.
228\t0\t8\tAsystole\tDisease\tD006323
"""
SENTENCES = [
    (["Naloxone", "reverses", "it", "."], ["B-Chemical", "O", "O", "O"]),
    (
        ["In", "rats", ",", "clonidine", "was", "given", "."],
        ["O", "O", "O", "B-Chemical", "O", "O", "O"],
    ),
    (["Asystole", "."], ["B-Disease", "O"]),
    (["Use", "."], ["O", "O"]),
]


def test_titles_abstracts_and_mentions(tmp_path):
    assert read(write_file(tmp_path, "a.txt", FILE)) == SENTENCES
    assert read(write_file(tmp_path, "a.pubtator", FILE.replace("\n\n", "\n"))) == SENTENCES
    assert read(write_file(tmp_path, "crlf.txt", FILE.replace("\n", "\r\n"))) == SENTENCES


def test_a_damaged_mention_is_not_a_relation(tmp_path):
    path = write_file(tmp_path, "a.txt", FILE.replace("228\t0\t8", "228\tx0\t8"))
    read(path, problems := Problems())
    assert [group.kind for group in problems.groups] == [ProblemKind.ROW_WIDTH]


def test_what_does_not_fit_is_reported(tmp_path, snapshot):
    broken = FILE.replace("31\t40", "32\t40").replace("228\t0\t8\tAsystole", "228 0 8 Asystole")
    broken = f"{broken}\n228\t0\t8\tAsystole\tDisease\tD006323\n"
    read(write_file(tmp_path, "a.txt", broken), problems := Problems())
    kinds = {group.kind for group in problems.groups}
    assert kinds == {
        ProblemKind.SPAN_TEXT,
        ProblemKind.ROW_WIDTH,
        ProblemKind.RECORD_WITHOUT_TEXT,
    }
    assert stable(problems, tmp_path) == snapshot
