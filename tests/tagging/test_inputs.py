"""Tests of tagging/inputs.py and tagging/input_tables.py: texts of every form of input."""

import os
import threading

import pyarrow
import pyarrow.parquet
import pytest

from corpus.formats.sentence import ReadOptions
from support.errors import UserError
from tagging.input_lines import BrokenLines, Source
from tagging.inputs import read_items
from tests.helpers.messages import stable
from tests.helpers.tagging import write_file

CONLLU = """\
# newdoc id = d1
# sent_id = s1
# text = Anna del Rio
1\tAnna\tAnna\tPROPN\t_\t_\t0\troot\t_\t_
2-3\tdel\t_\t_\t_\t_\t_\t_\t_\t_
2\tde\tde\tADP\t_\t_\t4\tcase\t_\t_
3\tel\tel\tDET\t_\t_\t4\tdet\t_\t_
4\tRio\tRio\tPROPN\t_\t_\t1\tflat\t_\t_
4.1\tsilent\t_\t_\t_\t_\t_\t_\t_\t_

# sent_id = s2
1\tEU\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
"""
ROWS = [{"id": 1, "text": "Anna said"}, {"id": 2, "text": "Peter"}]


def items_of(path, input_format="auto", text_column=None, skip=False):
    options = ReadOptions(text_column=text_column)
    problems = BrokenLines(skip=skip)
    return list(read_items(Source(str(path)), input_format, "line", options, problems))


def through_a_pipe(tmp_path, content: bytes, **options):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[content])
    writer.start()
    try:
        return items_of(pipe, **options)
    finally:
        writer.join(10)
        pipe.unlink()


def values(items):
    return [((item.fields or {}).get("id"), item.text) for item in items]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_a_table_with_a_header_in_a_file_and_a_pipe(tmp_path, name, delimiter):
    if name == "a.tsv" and delimiter != "\t":
        return
    rows = [("id", "Text", "note"), ("1", "Anna said", "x"), ("2", "EU", ""), ("3", "Paris", "z")]
    content = "".join(delimiter.join(row) + "\r\n" for row in rows)
    path = write_file(tmp_path, name, "\ufeff" + content)
    for items in (items_of(path), through_a_pipe(tmp_path, content.encode())):
        assert values(items) == [("1", "Anna said"), ("2", "EU"), ("3", "Paris")]
        assert items[0].fields == {"id": "1", "Text": "Anna said", "note": "x"}


def test_quoted_cells_of_a_table_keep_their_line_ends(tmp_path):
    path = write_file(tmp_path, "a.csv", 'id,text\n1,"Anna, ""so""\nsaid"\n2,\n\n3,EU\n')
    assert values(items_of(path)) == [("1", 'Anna, "so"\nsaid'), ("2", ""), ("3", "EU")]


def test_the_text_column_of_a_table_is_named_or_the_only_one(tmp_path, snapshot, capsys):
    path = write_file(tmp_path, "a.csv", "id,review\n1,Anna said\n")
    with pytest.raises(UserError) as error:
        items_of(path)
    assert stable(str(error.value), tmp_path) == snapshot
    assert [item.text for item in items_of(path, text_column="review")] == ["Anna said"]
    assert [item.text for item in items_of(path, text_column="1")] == ["Anna said"]
    with pytest.raises(UserError) as error:
        items_of(path, text_column="body")
    assert stable(str(error.value), tmp_path) == snapshot
    only = write_file(tmp_path, "b.csv", "review\nAnna said\n")
    assert [item.text for item in items_of(only)] == ["Anna said"]
    assert stable(capsys.readouterr().err, tmp_path) == snapshot


def test_rows_of_one_word_are_joined_to_sentences(tmp_path, capsys):
    by_id = "doc,Sentence #,Word\nd,s1,Peter\nd,,said\nd,s2,EU\n"
    items = items_of(write_file(tmp_path, "a.csv", by_id))
    assert [item.text for item in items] == ["Peter said", "EU"]
    assert [item.fields for item in items] == [
        {"doc": "d", "Sentence #": "s1"},
        {"doc": "d", "Sentence #": "s2"},
    ]
    assert [word for word, _, _ in items[0].words] == ["Peter", "said"]
    blank = items_of(write_file(tmp_path, "b.csv", "token,pos\nPeter,N\nsaid,V\n,\nEU,N\n"))
    assert [item.text for item in blank] == ["Peter said", "EU"]
    assert "blank rows" in capsys.readouterr().err
    joined = items_of(write_file(tmp_path, "c.csv", "id,tokens\n1,Peter  said\n"))
    assert [word for word, _, _ in joined[0].words] == ["Peter", "said"]


def test_a_row_of_another_width_is_a_broken_line(tmp_path, snapshot):
    path = write_file(tmp_path, "a.csv", "id,text\n1,Anna\n2,Peter, too\n3,EU\n")
    with pytest.raises(UserError) as error:
        items_of(path)
    assert stable(str(error.value), tmp_path) == snapshot
    assert values(items_of(path, skip=True)) == [("1", "Anna"), ("3", "EU")]


@pytest.mark.parametrize(
    "content",
    [
        "Peter, text\nsaid\n",  # rows of different widths
        "The word, and the text, too\nAnna, and Peter, too\n",
        "text\nPeter\n",
        "1,text\n2,Peter\n",
        "id\tgroup\n1\tAnna\n",
    ],
)
def test_prose_is_not_read_as_a_table(tmp_path, content):
    path = write_file(tmp_path, "a.txt", content)
    assert [item.text for item in items_of(path)] == content.splitlines()


def test_tab_separated_words_stay_columns(tmp_path):
    for content in (
        "token\tner\nPeter\tB-PER\nsaid\tO\n\nEU\tB-ORG\n",
        "word\tlemma\nPeter\tPeter\nsaid\tsay\n\nEU\tEU\n",
        "Peter\nsaid\n\nEU\n",
    ):
        path = write_file(tmp_path, "a.tsv", content)
        assert [item.text for item in items_of(path)] == ["Peter said", "EU"], content


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("table", ["parquet", "arrow", "stream"])
def test_parquet_and_arrow_keep_all_columns(tmp_path, table, piped):
    path = tmp_path / "a.bin"
    rows = pyarrow.Table.from_pylist([{**row, "image": b"\xff"} for row in ROWS])
    if table == "parquet":
        pyarrow.parquet.write_table(rows, path)
    else:
        new = pyarrow.ipc.new_file if table == "arrow" else pyarrow.ipc.new_stream
        with new(path, rows.schema) as writer:
            writer.write_table(rows)
    items = through_a_pipe(tmp_path, path.read_bytes()) if piped else items_of(path)
    assert values(items) == [(1, "Anna said"), (2, "Peter")]
    assert items[0].fields["image"] == b"\xff"


def test_a_table_without_a_text_in_a_row_is_a_broken_line(tmp_path, snapshot):
    path = tmp_path / "a.parquet"
    rows = pyarrow.Table.from_pylist([{"text": "Anna"}, {"text": None}])
    pyarrow.parquet.write_table(rows, path)
    with pytest.raises(UserError) as error:
        items_of(path)
    assert stable(str(error.value), tmp_path) == snapshot
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="unreadable file"):
        items_of(path)


ARRAYS = {
    "array": '[{"id": 1, "text": "Anna said"},\n {"id": 2, "text": "Peter"}]',
    "pretty": '[\n {\n  "id": 1,\n  "text": "Anna said"\n },\n {"id": 2, "text": "Peter"}\n]\n',
    "wrapped": '{"data": [{"id": 1, "text": "Anna said"}, {"id": 2, "text": "Peter"}]}',
    "hits": '{\n"n": 2,\n"hits": [\n{"id": 1, "text": "Anna said"}, {"id": 2, "text": "Peter"}]}',
    "lines": '{"id": 1, "text": "Anna said"}\n{"id": 2, "text": "Peter"}\n',
}  # fmt: skip


@pytest.mark.parametrize("form", ARRAYS)
def test_json_in_every_form_in_files_and_pipes(tmp_path, form):
    content = ARRAYS[form]
    expected = [(1, "Anna said"), (2, "Peter")]
    for name in ("a.json", "a.txt"):
        assert values(items_of(write_file(tmp_path, name, content))) == expected
    assert values(through_a_pipe(tmp_path, content.encode())) == expected
    if form != "lines":
        path = write_file(tmp_path, "a.log", content)
        assert values(items_of(path, input_format="json")) == expected


@pytest.mark.parametrize(
    "content", ['["Anna said", "EU"]', '[\n  "Anna said",\n  "EU"\n]\n', '[ "Anna said",\n"EU"]']
)
def test_an_array_of_strings_holds_texts(tmp_path, content):
    for items in (
        items_of(write_file(tmp_path, "a.json", content)),
        through_a_pipe(tmp_path, content.encode()),
    ):
        assert [item.text for item in items] == ["Anna said", "EU"]


@pytest.mark.parametrize("line", ['["Anna"] said so', "[1] EU", '["so" she said', "[Anna]"])
def test_brackets_in_prose_are_not_json(tmp_path, line):
    path = write_file(tmp_path, "a.txt", f"{line}\nmore\n")
    assert [item.text for item in items_of(path)] == [line, "more"]


def test_records_in_several_lists_are_refused(tmp_path, snapshot):
    path = write_file(tmp_path, "a.json", '{"a": [{"text": "x"}], "b": [{"text": "y"}]}')
    with pytest.raises(UserError) as error:
        items_of(path)
    assert stable(str(error.value), tmp_path) == snapshot


def test_a_damaged_table_through_a_pipe_is_named(tmp_path):
    with pytest.raises(UserError) as error:
        through_a_pipe(tmp_path, b"PAR1x garbage\n")
    assert str(error.value).startswith(f"{tmp_path / 'pipe'}: unreadable file")


def test_one_pretty_printed_object_is_one_record(tmp_path, snapshot):
    content = '{\n  "id": 1,\n  "text": "Anna said"\n}\n'
    assert values(items_of(write_file(tmp_path, "a.json", content))) == [(1, "Anna said")]
    path = write_file(tmp_path, "a.json", content * 2)
    with pytest.raises(UserError) as error:
        items_of(path)
    assert stable(str(error.value), tmp_path) == snapshot


def test_the_fields_around_a_list_of_records_are_copied_to_each(tmp_path, capsys, snapshot):
    path = write_file(tmp_path, "a.json", '{"source": "x", "hits": [{"text": "EU", "n": 1}]}')
    (item,) = items_of(path)
    assert (item.text, item.fields) == ("EU", {"source": "x", "n": 1})
    assert stable(capsys.readouterr().err, tmp_path) == snapshot


@pytest.mark.parametrize("name", ["a.conllu", "a.txt"])
def test_conllu_without_labels_keeps_its_lines(tmp_path, name):
    path = write_file(tmp_path, name, CONLLU)
    for items in (items_of(path), through_a_pipe(tmp_path, CONLLU.encode())):
        assert [[word for word, _, _ in item.words] for item in items] == [
            ["Anna", "de", "el", "Rio"],
            ["EU"],
        ]
        assert [item.fields for item in items] == [{"sent_id": "s1"}, {"sent_id": "s2"}]
        lines = [[line for line, _ in item.rows] for item in items]
        assert "\n\n".join("\n".join(block) for block in lines) + "\n" == CONLLU
        positions = [position for _, position in items[0].rows]
        assert positions == [None, None, None, 0, None, 1, 2, 3, None]


def test_columns_with_the_label_first(tmp_path):
    content = "O\twhat\nB-PER\tAnna\nO\tsaid\n\nB-ORG\tEU\n"
    for items in (
        items_of(write_file(tmp_path, "a.bio", content)),
        items_of(write_file(tmp_path, "a.txt", content)),
        through_a_pipe(tmp_path, content.encode()),
    ):
        assert [item.text for item in items] == ["what Anna said", "EU"]
        assert items[0].rows is None


@pytest.mark.parametrize(
    ("blocks", "texts"),
    [
        (["Peter O\nsaid B-PER\nso O\n\n", "EU O\n\n"], ["Peter said so", "EU"]),
        (["id,text\n1,Anna said\n", "2,EU\n"], ["Anna said", "EU"]),
        (['[{"text": "Anna"},\n', '{"text": "EU"}\n'], ["Anna", "EU"]),
    ],
    ids=["columns", "csv", "array"],
)
def test_a_pipe_is_read_as_it_comes(tmp_path, blocks, texts):
    """The text of each block is there before the next one is written."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    allowed = [threading.Event() for _ in blocks]

    def write():
        with open(pipe, "w") as file:
            for block, event in zip(blocks, allowed, strict=True):
                assert event.wait(20)
                file.write(block)
                file.flush()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    allowed[0].set()
    items = read_items(Source(str(pipe)), "auto", "line", ReadOptions(), BrokenLines(skip=False))
    assert next(items).text == texts[0]
    allowed[1].set()
    assert next(items).text == texts[1]
    del items
    writer.join(20)


def test_documents_of_other_programs_are_named(tmp_path, snapshot):
    path = write_file(tmp_path, "a.pdf", b"%PDF-1.4\n")
    with pytest.raises(UserError) as error:
        items_of(path)
    assert stable(str(error.value), tmp_path) == snapshot


@pytest.mark.parametrize("content", ["", "\n", "\n\r\n\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.conll", "a.jsonl", "a.csv", "a.json"])
def test_a_file_without_content_has_no_texts(tmp_path, name, content):
    """In a folder of many files, it does not end the run; blank lines of text are texts."""
    (tmp_path / name).write_text(content)
    source, problems = Source(str(tmp_path / name)), BrokenLines(skip=False)
    items = list(read_items(source, "auto", "line", ReadOptions(), problems))
    assert not any(item.text.strip() for item in items)
    assert name == "a.txt" or items == []
