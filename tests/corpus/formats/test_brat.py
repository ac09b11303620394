"""brat: a text file and an annotation file."""

import pytest

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.load import load_corpus
from corpus.problems import ProblemKind, Problems
from tests.helpers.corpora import split_words
from tests.helpers.corpus_files import read, write_file
from tests.helpers.messages import stable

TEXT = "Anna Bell lives\nin Paris.\n\nBob left\nRome. 😀 Zoë too\n"
ANNOTATIONS = """\
T1\tPER 0 9\tAnna Bell
T2\tLOC 19 24\tParis
R1\tlives Arg1:T1 Arg2:T2
T3\tEVENT 31 40\tleft Rome
T4\tPER 44 47\tZoë
A1\tSure T1
#1\tAnnotatorNotes T1\tsure
"""
SENTENCES = [
    (["Anna", "Bell", "lives"], ["B-PER", "I-PER", "O"]),
    (["in", "Paris", "."], ["O", "B-LOC", "O"]),
    (
        ["Bob", "left", "Rome", ".", "😀", "Zoë", "too"],
        ["O", "B-EVENT", "I-EVENT", "O", "O", "B-PER", "O"],
    ),
]


def document(folder, text=TEXT, annotations=ANNOTATIONS, stem="a"):
    write_file(folder, f"{stem}.ann", annotations)
    return write_file(folder, f"{stem}.txt", text)


@pytest.mark.parametrize("suffix", [".txt", ".ann"])
def test_either_file_names_the_document(tmp_path, suffix):
    path = document(tmp_path).with_suffix(suffix)
    assert read(path) == SENTENCES
    opened = detect.read(path, ReadOptions(), Problems())
    assert [(s.lines[0], s.document) for s in opened.sentences] == [(1, "a"), (2, "a"), (4, "a")]


def test_crlf_may_count_as_one(tmp_path):
    assert read(document(tmp_path, TEXT.replace("\n", "\r\n"))) == SENTENCES


@pytest.mark.parametrize("name", ["*.txt", "*.ann", "*"])
def test_a_glob_reads_each_document_once_and_the_cache_sees_both_files(
    corpus_settings, tmp_path, name
):
    folder = tmp_path / "brat"
    folder.mkdir()
    document(folder)
    document(folder, "Oslo\n", "T1\tLOC 0 4\tOslo\n", stem="b")
    settings = corpus_settings(train_file=(str(folder / name),), hold_out=False)
    corpus = load_corpus(settings)
    assert split_words(corpus, "train") == [words for words, _ in SENTENCES] + [["Oslo"]]
    assert corpus.splits["train"]["doc_id"][:] == ["a", "a", "a", "b"]
    (folder / "b.ann").write_text("T1\tCITY 0 4\tOslo\n")
    assert "B-CITY" in load_corpus(settings).label_names


def test_a_folder_of_split_folders(corpus_settings, tmp_path):
    for split in ("train", "dev"):
        (tmp_path / "brat" / split).mkdir(parents=True)
        document(tmp_path / "brat" / split)
    corpus = load_corpus(corpus_settings(dataset_name=str(tmp_path / "brat")))
    assert split_words(corpus, "validation") == [words for words, _ in SENTENCES]


def test_an_empty_annotation_file_is_a_text_without_entities(tmp_path):
    path = document(tmp_path, "Anna slept", "")
    assert read(path, problems := Problems()) == [(["Anna", "slept"], ["O", "O"])]
    assert [group.kind for group in problems.warnings.groups] == [ProblemKind.NO_SPANS]


BROKEN = {
    "a span of two pieces": ("T1\tPER 0 4;10 15\tAnna lives\n", ProblemKind.SPAN_FORM),
    "another text": ("T1\tPER 0 4\tAnne\n", ProblemKind.SPAN_TEXT),
    "beyond the text": ("T1\tPER 90 94\tAnna\n", ProblemKind.SPAN_OUTSIDE_TEXT),
}


@pytest.mark.parametrize("name", BROKEN)
def test_spans_that_do_not_fit_are_rejected(tmp_path, name):
    annotations, kind = BROKEN[name]
    read(document(tmp_path, "Anna Bell lives\nhere", annotations), problems := Problems())
    assert [(group.kind, group.count) for group in problems.groups] == [(kind, 1)]


def test_annotations_without_their_text_are_rejected(tmp_path):
    path = document(tmp_path)
    path.unlink()
    read(path.with_suffix(".ann"), problems := Problems())
    assert [group.kind for group in problems.groups] == [ProblemKind.UNREADABLE_FILE]


def test_annotations_in_utf_16_are_read(tmp_path):
    path = document(tmp_path, annotations=ANNOTATIONS.encode("utf-16"))
    assert read(path) == SENTENCES


def test_a_span_of_several_pieces_is_explained(tmp_path, snapshot):
    path = document(tmp_path, "Anna Bell lives\n", "T1\tPER 0 4;10 15\tAnna lives\n")
    read(path, problems := Problems())
    assert stable(problems, tmp_path) == snapshot


def test_pieces_of_a_span_on_two_lines_are_one_span(tmp_path):
    path = document(tmp_path, "Anna\nBell lives\n", "T1\tPER 0 4;5 9\tAnna Bell\n")
    assert read(path) == [(["Anna", "Bell", "lives"], ["B-PER", "I-PER", "O"])]
