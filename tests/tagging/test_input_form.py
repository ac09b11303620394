"""Tests of tagging/input_form.py: plain text is not read as columns, nor columns as text."""

import pytest

from tagging.input_form import are_columns, form_of
from tests.helpers.models import ROOT

COLUMNS = [
    "-DOCSTART-\n\nPeter\n",
    "EU NNP B-NP B-ORG\n",
    "rejects VBZ B-VP O\n",
    "Peter B-PER\nsaid O\n",
    "Peter\tB-PER\nsaid\tO\n\nAnna\tB-PER\n",
    "\n\nsaid O\nthe O\nPeter B-person\n",
    "Peter B-PER\nBlackburn I-PER\n",
    "said O\n" * 10,
    "# sent_id = 1\n1\tPeter\t_\tPROPN\t_\t_\t0\troot\t_\t_\n",
    "1\tPeter\t_\tPROPN\t_\t_\t0\troot\t_\t_\n",
    "#\thttp://example.org [2009-10-17]\n1\tPeter\tB-PER\tO\n2\tsaid\tO\tO\n",
]
PROSE = [
    "My blood group is O\n",
    "Anna's is O\nBob's is O\nMine is O\n",
    "vitamin B-12\nno O\n",
    "Wir nehmen die S-Bahn\nWir nehmen die U-Bahn\nIhr nehmt die S-Bahn\n",
    "mein I-Phone\ndein I-Phone\n",
    "take the S-Bahn\nO\n",
    "said O\nPeter came from B-LOC\n",
    "O\nO\nB-PER\n",
    "name\tgroup\nAnna Blackburn\tO\nPeter\tB-LOC\n",
    "New York\tB-LOC\nsaid so\tO\n",
    "# A title\n\ntext = O\n",
    "-DOCSTART-s begin documents\n",
    "{curly} Peter\n",
    "",
]


@pytest.mark.parametrize("content", COLUMNS)
def test_columns_are_recognised_by_their_first_lines(content):
    lines = content.splitlines()
    assert [form_of(name, lines) for name in ("-", "a.txt.gz", "a")] == ["conll"] * 3


@pytest.mark.parametrize("content", PROSE)
def test_prose_is_never_read_as_columns(content):
    assert form_of("a.txt", content.splitlines()) == "text"


def test_no_line_of_our_own_prose_is_read_as_columns():
    lines = "".join((ROOT / name).read_text() for name in ("README.md", "LICENSE")).splitlines()
    for start in range(len(lines)):
        assert not are_columns(lines[start : start + 20]), lines[start]
