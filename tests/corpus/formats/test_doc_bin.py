"""spaCy's DocBin: read where spaCy is installed, otherwise named with a command to convert it."""

import zlib

import pytest

from corpus.formats import detect, doc_bin
from corpus.formats.sentence import ReadOptions
from corpus.problems import ProblemKind, Problems
from tagging.chunks import TaggedItem
from tagging.doc_bin import as_doc_bin
from tagging.entities import TaggedText
from tests.helpers.corpus_files import read, write_file
from tests.helpers.messages import stable

DAMAGED = zlib.compress(b"\x87\xa7version\xa30.1\xa5attrs\x95\xcf" + bytes(400))


def test_without_spacy_a_doc_bin_is_named_with_the_command_that_converts_it(
    tmp_path, snapshot, monkeypatch
):
    monkeypatch.setattr(detect, "spacy_is_installed", lambda: False)
    read(write_file(tmp_path, "train.spacy", DAMAGED), problems := Problems())
    assert [group.kind for group in problems.groups] == [ProblemKind.NOT_TEXT]
    assert stable(problems, tmp_path) == snapshot


def test_a_doc_bin_is_read(tmp_path):
    spacy = pytest.importorskip("spacy", exc_type=ImportError)
    vocabulary = spacy.blank("xx").vocab
    words = ["Anna", "Bell", "left", ".", "\n", "Bob", "stayed"]
    iob = ["B-PER", "I-PER", "O", "O", "O", "B-PER", "O"]
    starts = [True, False, False, False, False, True, False]
    documents = [
        spacy.tokens.Doc(vocabulary, words=words, ents=iob, sent_starts=starts),
        spacy.tokens.Doc(vocabulary, words=["Not", "annotated"]),
        spacy.tokens.Doc(vocabulary, words=["Rome"], ents=["B-LOC"], sent_starts=[True]),
    ]
    path = write_file(tmp_path, "a.spacy", spacy.tokens.DocBin(docs=documents).to_bytes())
    sentences = read(path, problems := Problems())
    assert not problems
    assert sentences == [
        (["Anna", "Bell", "left", "."], ["B-PER", "I-PER", "O", "O"]),
        (["Bob", "stayed"], ["B-PER", "O"]),
        (["Rome"], ["B-LOC"]),
    ]
    counts = [(group.kind, group.count) for group in problems.warnings.groups]
    assert counts == [(ProblemKind.NOT_ANNOTATED, 1)]
    opened = detect.read(path, ReadOptions(), Problems())
    assert [s.document for s in opened.sentences] == ["a.spacy#1", "a.spacy#1", "a.spacy#3"]


def test_parts_of_speech_of_a_doc_bin(tmp_path):
    spacy = pytest.importorskip("spacy", exc_type=ImportError)
    vocabulary = spacy.blank("xx").vocab
    documents = [
        spacy.tokens.Doc(vocabulary, words=["Anna", "left"], pos=["PROPN", "VERB"]),
        spacy.tokens.Doc(vocabulary, words=["Not", "annotated"]),
    ]
    path = write_file(tmp_path, "a.spacy", spacy.tokens.DocBin(docs=documents).to_bytes())
    sentences = read(path, Problems(), task="pos")
    assert sentences == [(["Anna", "left"], ["PROPN", "VERB"])]


def test_what_infer_writes_is_read(tmp_path):
    pytest.importorskip("spacy", exc_type=ImportError)
    words = [("Anna", 0, 4), ("Bell", 5, 9), ("left", 10, 14)]
    entity = {"start": 0, "end": 9, "entity_group": "PER"}
    tagged = TaggedText("Anna Bell left", words, ["B-PER", "I-PER", "O"], [1.0] * 3)
    item = TaggedItem(tagged, {"entities": [entity]}, {})
    path = write_file(tmp_path, "a.spacy", next(as_doc_bin([item])))
    assert read(path) == [(["Anna", "Bell", "left"], ["B-PER", "I-PER", "O"])]


def test_a_damaged_doc_bin_is_one_problem(tmp_path):
    pytest.importorskip("spacy", exc_type=ImportError)
    read(write_file(tmp_path, "a.spacy", DAMAGED), problems := Problems())
    assert [(g.kind, g.count) for g in problems.groups] == [(ProblemKind.UNREADABLE_FILE, 1)]


def test_only_a_doc_bin_is_one():
    assert doc_bin.is_doc_bin(DAMAGED)
    assert not doc_bin.is_doc_bin(zlib.compress(b"EU B-ORG"))
    assert not doc_bin.is_doc_bin(b"EU B-ORG")
