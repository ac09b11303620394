"""Files as text: line ends, encodings, files that are not text."""

import gzip
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from corpus.formats.text import CHUNK_SIZE, text_lines
from corpus.problems import ProblemKind, Problems
from tests.helpers.broken_corpora import GOOD, BrokenCorpus, check_broken_corpus
from tests.helpers.corpus_files import write_file


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_at_the_boundary_of_a_chunk(tmp_path, shift, end):
    lines = ["a" * (CHUNK_SIZE - 4 + shift), "b", "", "c" * 3 * CHUNK_SIZE, "d\r", "e"]
    path = write_file(tmp_path, "a.txt", lines[0] + "\r\n" + end.join(lines[1:4]) + "\nd\r\r\ne")
    assert list(text_lines(path, Problems())) == lines


CASES = {
    "Latin-1": BrokenCorpus(
        "a.conll",
        "EU B-ORG\nMüller B-PER\n".encode("latin-1"),
        {},
        [(ProblemKind.WRONG_ENCODING, 1, ["a.conll:2"])],
    ),
    "truncated UTF-16": BrokenCorpus(
        "a.conll",
        "EU B-ORG\n".encode("utf-16")[:-1],
        {},
        [(ProblemKind.WRONG_ENCODING, 1, ["a.conll"])],
    ),
    "UTF-16 without a byte-order mark": BrokenCorpus(
        "a.conll",
        "EU B-ORG\nin O\n".encode("utf-16-le"),
        {},
        [(ProblemKind.NOT_TEXT, 1, ["a.conll"])],
    ),
    "a binary file with few null bytes": BrokenCorpus(
        "a.conll",
        b"EU B-ORG\n\x80" + bytes(range(1, 256)) * 3 + b"\0\n",
        {},
        [
            (ProblemKind.WRONG_ENCODING, 3, ["a.conll:2", "a.conll:3", "a.conll:4"]),
            (ProblemKind.NOT_TEXT, 1, ["a.conll"]),
        ],
    ),
    "truncated gzip": BrokenCorpus(
        "a.conll.gz",
        gzip.compress(GOOD.encode())[:-12],
        {},
        [(ProblemKind.UNREADABLE_FILE, 1, ["a.conll.gz"])],
    ),
    "an Office document": BrokenCorpus(
        "a.xlsx", b"PK\x03\x04" + bytes(30), {}, [(ProblemKind.NOT_TEXT, 1, ["a.xlsx"])]
    ),
    "a PDF": BrokenCorpus("a.txt", b"%PDF-1.7\n", {}, [(ProblemKind.NOT_TEXT, 1, ["a.txt"])]),
    "lines that end in CR": BrokenCorpus(
        "a.conll", "EU B-ORG\rin O\r\rPeter B-PER\r", {}, [(ProblemKind.NOT_TEXT, 1, ["a.conll"])]
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_broken_corpora(case: BrokenCorpus, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    check_broken_corpus(case, tmp_path, snapshot)
