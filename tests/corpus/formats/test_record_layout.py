"""Fields of records: labels found by their content, late spans, documents, places of problems."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.check import check_corpus
from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.load import load_corpus
from corpus.problems import ProblemKind, Problems
from tests.helpers.broken_corpora import record
from tests.helpers.corpora import tag_lists
from tests.helpers.corpus_files import read, write_file
from tests.helpers.messages import stable

ANNA = (["Anna", "Smith", "ran"], ["B-PER", "I-PER", "O"])
LISTS = {"tokens": ANNA[0], "pos": ["NNP", "NNP", "VBD"]}


def notes_of(path: Path) -> list[str]:
    return list(detect.read(path, ReadOptions(), Problems()).notes)


# --- Labels by content --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.jsonl", record(**LISTS, gold=ANNA[1])),
        ("plain-tags.jsonl", record(tokens=ANNA[0], tags=["N", "N", "V"], gold=ANNA[1])),
        ("lower.jsonl", record(**LISTS, gold=["b-per", "i-per", "o"])),
        ("cells.csv", "words,gold\n\"['Anna', 'Smith', 'ran']\",\"['B-PER', 'I-PER', 'O']\"\n"),
        ("commas.csv", 'sentence,gold\nAnna Smith ran,"B-PER,I-PER,O"\n'),
        ("blanks.csv", "text,gold\nAnna Smith ran,B-PER I-PER O\n"),
        ("rows.csv", "sentence_id,word,tag,gold\n1,Anna,N,B-PER\n1,Smith,N,I-PER\n1,ran,V,O\n"),
        ("odd.csv", "sentence_id,word,gold\n1,Anna,B-PER\n1,Smith,I-PER\n1,ran,O\n"),
    ],
)
def test_the_only_column_of_entity_tags_is_taken_whatever_its_name(tmp_path, name, content):
    path = write_file(tmp_path, name, content)
    words, tags = read(path)[0]
    assert (words, [tag.upper() for tag in tags]) == ANNA
    assert any("'gold'" in note for note in notes_of(path))


def test_the_only_column_of_entity_tags_of_a_table_is_taken(tmp_path):
    for name, columns in (
        ("lists.parquet", {"tokens": [ANNA[0]], "ner_tags_fine": [ANNA[1]], "size": [3]}),
        ("joined.parquet", {"text": ["Anna Smith ran"], "gold": ["B-PER I-PER O"]}),
    ):
        pq.write_table(pa.table(columns), tmp_path / name)
        assert read(tmp_path / name) == [ANNA]


def test_the_first_of_several_columns_of_entity_tags_is_taken_and_the_others_are_named(
    tmp_path, snapshot
):
    path = write_file(tmp_path, "a.jsonl", record(**LISTS, coarse=ANNA[1], fine=["B-X", "O", "O"]))
    assert read(path) == [ANNA]
    assert notes_of(path) == snapshot


def test_a_usual_name_and_a_requested_column_are_obeyed(tmp_path):
    other = ["O", "O", "B-X"]
    path = write_file(tmp_path, "a.jsonl", record(tokens=ANNA[0], gold=other, ner_tags=ANNA[1]))
    assert (read(path), notes_of(path)) == ([ANNA], [])
    assert read(path, label_column="gold") == [(ANNA[0], other)]
    all_o = record(tokens=ANNA[0], gold=other, ner_tags=["O"] * 3)
    assert read(write_file(tmp_path, "o.jsonl", all_o)) == [(ANNA[0], ["O"] * 3)]


def test_a_column_without_one_tag_for_each_word_is_not_taken(tmp_path):
    path = write_file(tmp_path, "a.jsonl", record(tokens=ANNA[0], types=["B-PER", "O"]))
    assert read(path) == [(ANNA[0], None)]


# --- Spans that begin late ------------------------------------------------------------------------


@pytest.mark.parametrize("first", [{}, {"spans": None}, {"spans": []}])
def test_texts_before_the_first_spans_are_texts_without_entities(tmp_path, first):
    early = "".join(record(text=f"Nobody {number}", **first) for number in range(1200))
    late = record(text="Anna ran", spans=[[0, 4, "PER"]])
    path = write_file(tmp_path, "a.jsonl", early + late)
    sentences = read(path, problems := Problems())
    assert not problems
    assert sentences[0] == (["Nobody", "0"], ["O", "O"])
    assert sentences[1200] == (["Anna", "ran"], ["B-PER", "O"])
    counts = {group.kind: group.count for group in problems.warnings.groups}
    assert counts == ({} if first.get("spans") == [] else {ProblemKind.NO_SPANS: 1200})


def test_texts_without_any_spans_stay_without_labels(tmp_path):
    path = write_file(tmp_path, "a.jsonl", record(text="Nobody") * 1200)
    assert read(path) == [(["Nobody"], None)] * 1200


def test_spans_of_any_name_that_cannot_be_read_are_reported(tmp_path):
    """Early versions of doccano export numbers for labels."""
    span = {"label": 2, "start_offset": 0, "end_offset": 4, "user": 1}
    path = write_file(tmp_path, "a.jsonl", record(id=1, text="Anna ran", annotations=[span]))
    assert read(path, problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.SPAN_FORM]
    tokens = [{"text": "Anna", "start": 0, "end": 4, "id": 0}]
    path = write_file(tmp_path, "b.jsonl", record(text="Anna", tokens=tokens))
    assert read(path) == [(["Anna"], None)]


@pytest.mark.parametrize(
    "others",
    [{"label": []}, {"entities": []}, {"label": ["people"]}, {"labels": ["sport", "people"]}],
    ids=str,
)
def test_a_field_of_spans_goes_before_empty_lists_and_classes_of_the_text(tmp_path, others):
    name = "labels" if "label" in others else "label"
    fields = {**others, "text": "Anna ran home", name: [[0, 4, "PER"]]}
    assert (
        read(write_file(tmp_path, "a.jsonl", record(**fields) * 2))
        == [(["Anna", "ran", "home"], ["B-PER", "O", "O"])] * 2
    )


def test_a_title_is_not_the_text_of_an_empty_list_among_other_annotation(tmp_path):
    """DocRED: the sentences are lists of words, the labels are relations."""
    entities = [[{"name": "Anna", "sent_id": 0, "pos": [0, 1], "type": "PER"}]]
    content = record(title="A life", sents=[["Anna", "ran"]], vertexSet=entities, labels=[])
    assert read(write_file(tmp_path, "a.jsonl", content), problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.NO_SUCH_COLUMN]


def test_several_columns_of_spans_beside_texts_of_any_name_are_named(tmp_path, snapshot):
    spans = {"mask": [[0, 4, "PER"]], "labels_of_spans": [[0, 4, "NAME"]]}
    path = write_file(tmp_path, "a.jsonl", record(source="Anna ran", target="x", **spans))
    assert read(path, problems := Problems()) == []
    assert stable(problems, tmp_path) == snapshot
    flags = {"text_column": "source", "label_column": "mask"}
    assert read(path, **flags) == [(["Anna", "ran"], ["B-PER", "O"])]


def test_most_texts_may_have_nan_in_place_of_spans(tmp_path):
    content = record(text="Anna ran", label=float("nan")) * 3
    content += record(text="Anna ran", label=[[0, 4, "PER"]])
    path = write_file(tmp_path, "a.jsonl", content)
    assert read(path, problems := Problems())[-1] == (["Anna", "ran"], ["B-PER", "O"])
    assert [group.kind for group in problems.warnings.groups] == [ProblemKind.NO_SPANS]
    assert not problems


def test_a_cell_may_hold_the_entities_of_spacy(tmp_path):
    cell = "\"{'entities': [(0, 4, 'PER')]}\""
    path = write_file(tmp_path, "a.csv", f"text,spans\nAnna ran,{cell}\n")
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])]


def test_cells_that_look_like_spans_but_are_not_are_reported_as_such(tmp_path):
    path = write_file(tmp_path, "a.csv", "text,spans\nAnna ran,\"[array([0, 4, 'PER'])]\"\n")
    assert read(path, problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.SPANS_NOT_LIST]


# --- Documents and sentences ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["article_id", "tweetID", "Post No", "text_id"])
@pytest.mark.parametrize("sentence", ["sentence_id", "sent", "sentence_no"])
def test_ids_that_begin_again_in_a_document_of_any_usual_name_do_not_join(tmp_path, name, sentence):
    rows = "".join(f"d{number},1,Anna,B-PER\nd{number},1,ran,O\n" for number in range(3))
    path = write_file(tmp_path, "a.csv", f"{name},{sentence},token,ner_tag\n{rows}")
    assert read(path) == [(["Anna", "ran"], ["B-PER", "O"])] * 3


# --- Places of problems ---------------------------------------------------------------------------


def test_problems_of_records_have_their_record_span_and_text(corpus_settings, tmp_path):
    """`--check --output` traces each problem of spans, lists and rows back to its record."""
    files = {
        "spans.jsonl": record(id=7, doc_id="d", text="in London-based", spans=[[3, 9, "LOC"]]),
        "lists.jsonl": record(id=8, tokens=["Anna", "ran"], ner_tags=["B-PER"]),
        "rows.csv": "doc_id,sentence_id,token,ner_tag\nd,9,Anna,B-PER\nd,,,B-X\nd,9,ran,\n",
    }
    rows = {}
    for name, content in files.items():
        path = write_file(tmp_path, name, content)
        settings = corpus_settings(train_file=(str(path),), hold_out=False)
        check_corpus(settings, problem_file=tmp_path / "problems.jsonl")
        lines = (tmp_path / "problems.jsonl").read_text().splitlines()
        keys = ("kind", "line", "record_id", "document", "span", "text")
        rows[name] = [tuple(json.loads(line)[key] for key in keys) for line in lines]
    assert rows["spans.jsonl"] == [("span-cuts-word", 1, "7", "d", [3, 9], "in London-based")]
    assert rows["lists.jsonl"][0] == ("label-count", 1, "8", None, None, "Anna ran")
    assert {row[2:4] for row in rows["rows.csv"] if row[0] == "empty-label"} == {("9", "d")}


def test_records_that_are_left_out_have_their_id(corpus_settings, tmp_path):
    content = record(id=1, text="Rome", label=[[0, 4, "LOC"]]) + record(
        id=2, text="Bonn", label=[], answer="reject"
    )
    path = write_file(tmp_path, "a.jsonl", content)
    read(path, problems := Problems())
    (group,) = problems.warnings.groups
    assert (group.kept[0].place.record_id, group.kept[0].text) == ("2", "Bonn")


# --- Several people annotate a text ---------------------------------------------------------------

TEXT = {"text": "Anna ran"}
SPANS = [[0, 4, "PER"]]


def test_a_text_that_two_people_annotate_differently_is_a_problem(tmp_path, snapshot):
    path = write_file(
        tmp_path, "a.jsonl", record(id=1, **TEXT, label=SPANS) + record(id=1, **TEXT, label=[])
    )
    read(path, problems := Problems())
    assert [(group.kind, group.count) for group in problems.groups] == [
        (ProblemKind.SEVERAL_ANNOTATIONS, 1)
    ]
    assert stable(problems, tmp_path) == snapshot


def test_prodigy_identifies_a_text_by_its_hash(tmp_path):
    first = record(_input_hash=5, _annotator_id="a", **TEXT, spans=SPANS, answer="accept")
    second = record(_input_hash=5, _annotator_id="b", **TEXT, spans=[], answer="accept")
    read(write_file(tmp_path, "a.jsonl", first + second), problems := Problems())
    assert [group.kind for group in problems.groups] == [ProblemKind.SEVERAL_ANNOTATIONS]


@pytest.mark.parametrize(
    "second",
    [
        {"id": 1, **TEXT, "label": SPANS},  # they agree
        {"id": 2, **TEXT, "label": []},  # another record of the same text
        {"id": 1, "text": "Anna", "label": []},  # ids begin again
        {**TEXT, "label": []},
        {"id": 1, **TEXT, "label": [], "answer": "reject"},
    ],
)
def test_other_repeated_texts_are_no_problem(tmp_path, second):
    path = write_file(tmp_path, "a.jsonl", record(id=1, **TEXT, label=SPANS) + record(**second))
    read(path)


def test_paragraphs_of_one_task_may_be_equal(tmp_path):
    span = {"start": "0", "end": "0", "startOffset": 0, "endOffset": 4, "paragraphlabels": ["PER"]}
    task = {
        "id": 1,
        "data": {"dialogue": [{"author": "A", "text": "Anna"}, {"author": "B", "text": "Anna"}]},
        "annotations": [{"result": [{"type": "paragraphlabels", "value": span}]}],
    }
    path = write_file(tmp_path, "a.json", json.dumps([task]))
    assert read(path) == [(["Anna"], ["B-PER"]), (["Anna"], ["O"])]


# --- The splitter of a model ----------------------------------------------------------------------


def test_raw_text_is_split_as_the_model_splits_it(corpus_settings, tmp_path):
    path = write_file(tmp_path, "a.jsonl", record(text="l'Italie", spans=[[0, 8, "LOC"]]) * 3)
    french = record(text="Nous aimons l'Italie et la France", spans=[]) * 3
    path = write_file(tmp_path, "a.jsonl", french)
    settings = corpus_settings(train_file=(str(path),), hold_out=False)
    words = {}
    for splitter in ("words-1", None):
        corpus = load_corpus(settings, splitter)
        words[splitter] = corpus.splits["train"]["tokens"][0]
        assert corpus.word_splitter == (splitter or "words-2")
        assert {tag for tags in tag_lists(corpus, "train") for tag in tags} == {"O"}
    assert "l'Italie" in words["words-1"]
    assert "Italie" in words[None]
