"""Files that would exhaust time or memory, damaged files, and pipes."""

import gzip
import io
import json
import os
import threading
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus.formats import text
from corpus.formats.tables import cell_value, class_names
from corpus.load import load_corpus
from corpus.problems import CorpusError, ProblemKind, Problems
from support.errors import UserError
from tests.helpers.corpora import split_words
from tests.helpers.corpus_files import json_lines, read, write_file
from tests.helpers.messages import stable

SENTENCES = [(["EU", "rejects"], ["B-ORG", "O"]), (["Anna"], ["B-PER"])]


def kinds(problems: Problems) -> list[ProblemKind]:
    return [group.kind for group in problems.groups]


SPACES = " " * 60_000
SLOW = {
    "array.json": f"[{SPACES}x",
    "object.json": f"{{{SPACES}x",
    "unknown.txt": f"[{SPACES}x",
    "wrapped.json": '{"a": 1, ' * 1 + f'"b"{SPACES}:{SPACES}x',
    "cell.csv": f"tokens,tags\n\"['a'{SPACES}x]\",\"['O']\"\n",
    "comma.csv": f"tokens,tags\n\"['a',{SPACES}x]\",\"['O']\"\n",
    "backslashes.csv": "tokens,tags\n\"['" + "\\" * 60_001 + ']","[\'O\']"\n',
    "quotes.tsv": 'token\ttag\n"' + '""' * 30_000 + "x\tO\n",
}


@pytest.mark.parametrize("name", SLOW)
def test_no_input_takes_long(tmp_path, name):
    path = write_file(tmp_path, name, SLOW[name])
    read(path, Problems())  # imports are not measured
    start = time.perf_counter()
    read(path, Problems())
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("name", ["long.conll", "long.jsonl", "long.csv", "long.json"])
def test_a_line_beyond_the_limit_is_rejected(tmp_path, name, monkeypatch, snapshot):
    for module in ("text", "json", "tables"):
        monkeypatch.setattr(f"corpus.formats.{module}.MAX_LINE", 10_000)
    beginnings = {
        "conll": "EU\tO\n",
        "jsonl": '{"tokens": ["EU"], "tags": ["O"]}\n{"tokens": ["',
        "csv": "sentence_id,word,tag\n1,EU,O\n1,",
        "json": '[{"tokens": ["EU"], "tags": ["O"]},\n{"tokens": ["',
    }
    content = beginnings[name.partition(".")[2]] + "x" * 600_000
    read(write_file(tmp_path, name, content), problems := Problems())
    assert kinds(problems)[0] in (ProblemKind.TOO_LARGE, ProblemKind.NOT_CSV)
    assert stable(problems, tmp_path) == snapshot


def test_a_file_that_expands_a_thousandfold_is_rejected(tmp_path, snapshot):
    path = write_file(tmp_path, "a.conll.gz", gzip.compress(b"EU B-ORG\n\n" * 3_000_000))
    read(path, problems := Problems())
    assert kinds(problems) == [ProblemKind.TOO_LARGE]
    assert stable(problems, tmp_path) == snapshot


def test_expansion_is_limited_without_a_true_size_at_the_end(tmp_path):
    parts = gzip.compress(b"EU B-ORG\n" * 2_000_000) + gzip.compress(b"EU O\n")
    path = write_file(tmp_path, "a.conll.gz", parts)
    with pytest.raises(text.TooLarge), text.open_bytes(path) as file:
        file.read()


def test_a_small_file_may_expand(tmp_path):
    path = write_file(tmp_path, "a.conll.gz", gzip.compress(b"EU B-ORG\n\n" * 10_000))
    assert len(read(path)) == 10_000


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_deep_nesting_is_rejected(tmp_path, name, depth):
    nested = "[" * depth + "]" * depth
    record = f'{{"tokens": ["EU"], "tags": ["O"], "x": {nested}}}'
    content = f"[{record}]" if name == "a.json" else record
    assert read(write_file(tmp_path, name, content), problems := Problems()) == []
    assert kinds(problems)[0] is ProblemKind.NOT_JSON
    assert "nested more than 100 deep" in str(problems)


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_a_deeply_nested_cell_stays_a_cell(depth):
    for opening, closing in ("[]", "()"):
        cell = opening * depth + closing * depth
        assert cell_value(cell) == cell


# --- Damaged files ------------------------------------------------------------------------------


def test_a_bad_byte_in_a_truncated_gzip(tmp_path):
    content = "EU B-ORG\ncafé O\n".encode("latin-1") * 50_000
    path = write_file(tmp_path, "a.conll.gz", gzip.compress(content)[:-20])
    read(path, problems := Problems())
    assert kinds(problems) == [ProblemKind.WRONG_ENCODING, ProblemKind.UNREADABLE_FILE]


def test_bad_bytes_are_found_in_every_block(tmp_path):
    lines = [b"EU O"] * 200_000
    for number in (0, 70_000, 199_999):
        lines[number] = b"Zo\xe9 O"
    path = write_file(tmp_path, "a.conll", b"\n".join(lines))
    read(path, problems := Problems())
    assert [problem.place.line for problem in problems.groups[0].shown] == [1, 70_001, 200_000]


def table_with(column: pa.Array, name: str) -> pa.Table:
    words = pa.array([["EU"]] * len(column), pa.list_(pa.string()))
    tags = pa.array([["O"]] * len(column), pa.list_(pa.string()))
    return pa.table({"tokens": words, "tags": tags, name: column})


def arrow_bytes(table: pa.Table, new_writer) -> bytes:
    buffer = io.BytesIO()
    with new_writer(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


FAR = pa.array([2**40], pa.int64()).cast(pa.timestamp("s"))  # in the year 36812


@pytest.mark.parametrize("new_writer", [pa.ipc.new_file, pa.ipc.new_stream])
def test_columns_that_are_not_needed_may_hold_anything(tmp_path, new_writer):
    path = write_file(tmp_path, "a.arrow", arrow_bytes(table_with(FAR, "created"), new_writer))
    assert read(path) == [(["EU"], ["O"])]


def test_a_needed_column_that_python_cannot_hold_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table_with(FAR, "id"), path)
    assert read(path, problems := Problems()) == []
    assert kinds(problems) == [ProblemKind.UNREADABLE_FILE]
    assert "column 'id' (timestamp[" in str(problems)


@pytest.mark.parametrize(
    "metadata",
    [
        "[]",
        '{"info": null}',
        '{"info": {"features": []}}',
        '{"info": {"features": {"tags": "x", "tokens": 3, "id": [], "a": [1]}}}',
        '{"info": {"features": {"tags": {"names": [1]}, "ner_tags": {"feature": 3}}}}',
        "{",
        "[" * 100_000,
    ],
)
def test_foreign_metadata_have_no_names(metadata):
    assert class_names({b"huggingface": metadata.encode()}) == {}


@pytest.mark.parametrize("new_writer", [pa.ipc.new_file, pa.ipc.new_stream])
def test_a_damaged_length_does_not_ask_for_memory(tmp_path, new_writer):
    content = arrow_bytes(table_with(pa.array([1]), "id"), new_writer)
    path = tmp_path / "a.arrow"
    for position in range(8, len(content) - 8, 4):
        damaged = bytearray(content)
        damaged[position : position + 8] = (1 << 45).to_bytes(8, "little")
        path.write_bytes(damaged)
        for words, tags in read(path, Problems()):
            assert tags is None or len(words) == len(tags)


# --- Names given twice --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_key_given_twice_is_reported(tmp_path, name, snapshot):
    record = '{"tokens": ["EU"], "tags": ["O"], "tags": ["B-ORG"]}'
    path = write_file(tmp_path, name, f"[{record}]" if name == "a.json" else record)
    read(path, problems := Problems())
    assert kinds(problems) == [ProblemKind.REPEATED_COLUMN_NAME]
    assert stable(problems, tmp_path) == snapshot


def test_a_column_given_twice_is_reported(tmp_path, snapshot):
    words, tags = pa.array([["EU"]]), pa.array([["O"]])
    table = pa.Table.from_arrays([words, tags, tags], ["tokens", "tags", "tags"])
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", problems := Problems()) == []
    assert kinds(problems) == [ProblemKind.REPEATED_COLUMN_NAME]
    assert stable(problems, tmp_path) == snapshot


# --- Pipes --------------------------------------------------------------------------------------


def pipe_with(path, content: bytes) -> threading.Thread:
    """Make a named pipe, and begin to write to it as soon as it is read."""
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(content,), daemon=True)
    thread.start()
    return thread


CORPUS = [(["EU", f"w{number}"], ["B-ORG", "O"]) for number in range(20_000)]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_pipe_is_read_once_and_whole(corpus_settings, tmp_path, compressed):
    content = json_lines(CORPUS).encode()
    thread = pipe_with(tmp_path / "pipe", gzip.compress(content) if compressed else content)
    settings = corpus_settings(train_file=(str(tmp_path / "pipe"),), hold_out=False)
    corpus = load_corpus(settings)
    thread.join(10)
    assert split_words(corpus, "train") == [words for words, _ in CORPUS]


def test_problems_of_a_pipe_are_placed_in_it(corpus_settings, tmp_path):
    pipe_with(tmp_path / "pipe", b'{"tokens": ["EU"], "tags": []}\n')
    with pytest.raises(CorpusError) as error:
        load_corpus(corpus_settings(train_file=(str(tmp_path / "pipe"),)))
    assert f"{tmp_path / 'pipe'}:1: 1 word, 0 labels" in str(error.value)


def test_a_pipe_is_refused_in_a_run_of_several_processes(corpus_settings, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(text, "world_size", lambda: 2)
    with pytest.raises(UserError, match="only one process can read"):
        load_corpus(corpus_settings(train_file=(str(tmp_path / "pipe"),)))


def test_a_device_is_refused(corpus_settings):
    with pytest.raises(UserError, match="is a device"):
        load_corpus(corpus_settings(train_file=("/dev/zero",)))


# --- Cells of Python ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        ["EU", "it's", 'a "b"', "\\", ""],
        [(0, 4, "PER"), (5, 9, "LOC")],
        {"entities": [(0, 4, "PER")]},
        [1, -2, 3.5, None, True],
        [{"start": 0, "end": 4, "label": "PER"}],
    ],
)
def test_values_in_the_notation_of_python(value):
    assert cell_value(repr(value)) == json.loads(json.dumps(value))


@pytest.mark.parametrize("cell", ["['a''b']", "[1 2 x]", "(1999)", "(EU)", "{}", "[a]", "{1, 2}"])
def test_cells_that_are_not_values(cell):
    assert cell_value(cell) == cell
