"""Detection: every format gives the same sentences, and no input causes a traceback."""

import json
import random
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.formats import detect
from corpus.formats.blank_words import BLANK_WORDS
from corpus.formats.sentence import LayoutKind, ReadOptions
from corpus.problems import Place, ProblemKind, Problems
from tests.helpers.corpus_files import (
    CONLL2003,
    CONLLU,
    FORMATS,
    LABEL_STUDIO,
    PLAIN,
    SPANS,
    TRICKY,
    json_lines,
    parquet,
    read,
    tabbed,
    write_file,
)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_sentences(tmp_path, name):
    assert read(write_file(tmp_path, name, FORMATS[name](TRICKY))) == TRICKY


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\t\x00\ufeff\r"))
tags = st.sampled_from(["O", "B-X", "I-X", "B-A-B"])
words = text.filter(
    lambda word: word not in BLANK_WORDS and word != "-DOCSTART-" and word.strip("[{ ") == word
)
some_sentences = st.lists(st.lists(st.tuples(words, tags), min_size=1, max_size=5), min_size=1).map(
    lambda lists: [tuple(map(list, zip(*pairs, strict=True))) for pairs in lists]
)


@pytest.mark.parametrize(
    "name", ["tab.conll", "crlf.tsv", "lines.jsonl", "pretty_array.json", "rows.csv", "lists.csv"]
)
@settings(max_examples=60, deadline=None)
@given(sentences=some_sentences)
def test_words_are_read_back_unchanged(tmp_path_factory, name, sentences):
    path = write_file(tmp_path_factory.mktemp("words"), name, FORMATS[name](sentences))
    assert read(path) == sentences


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "EU\nrejects\n\n#tag\n"),
        ("a.jsonl", '{"tokens": ["EU", "rejects"]}\n{"tokens": ["#tag"]}\n'),
        (
            "b.jsonl",
            '{"tokens": ["EU", "rejects"], "tags": null}\n{"tokens": ["#tag"], "tags": null}',
        ),
        ("c.jsonl", '{"text": "EU rejects"}\n{"text": "#tag"}\n'),
        ("a.csv", "sentence_id,word\n1,EU\n1,rejects\n2,#tag\n"),
        (
            "a.conllu",
            "1\tEU\t_\t_\t_\t_\t_\t_\t_\t_\n2\trejects\t_\t_\t_\t_\t_\t_\t_\t_\n\n"
            "1\t#tag\t_\t_\t_\t_\t_\t_\t_\t_\n",
        ),
    ],
)
def test_files_without_labels_are_read(tmp_path, name, content):
    sentences = read(write_file(tmp_path, name, content), task="pos")
    assert sentences == [(["EU", "rejects"], None), (["#tag"], None)]


def test_importing_the_readers_loads_no_heavy_library():
    heavy = {"datasets", "pandas", "pyarrow", "tokenizers", "torch", "transformers"}
    code = f"import sys, corpus.formats.detect; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


EXTENSIONS = ["conll", "txt", "tsv", "csv", "json", "jsonl", "parquet", "arrow", "gz", "conllu"]


@settings(max_examples=300, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text("{}[]\":,'\n\t #-DOCSTART1IB\\u0 ", max_size=100).map(str.encode),
    ),
    extension=st.sampled_from(EXTENSIONS),
    task=st.sampled_from(["ner", "pos", "chunk"]),
)
@example(content=b"[" * 100_000, extension="json", task="ner")
@example(content=b'{"a":' * 100_000, extension="jsonl", task="ner")
@example(content=b"[" + b"1" * 5000 + b"]", extension="json", task="ner")
@example(content=b'{"tokens": ["a"], "ner_tags": [1e999]}', extension="json", task="ner")
@example(content=b"\x1f\x8b", extension="gz", task="ner")
@example(content=b"9" * 5000 + b"\tEU\tO\n", extension="tsv", task="ner")
@example(content=b"PAR1" + bytes(100) + b"PAR1", extension="parquet", task="ner")
@example(
    content=b'word,tag,sentence_id\n"' + b"a" * 200_000 + b'",O,1', extension="csv", task="ner"
)
def test_no_input_causes_a_traceback(tmp_path_factory, content, extension, task):
    path = write_file(tmp_path_factory.mktemp("fuzz"), f"a.{extension}", content)
    sentences = read(path, problems := Problems(), task=task)
    assert sentences or problems or problems.warnings
    assert all(tags is None or len(words) == len(tags) for words, tags in sentences)


DAMAGED = {
    **{name: FORMATS[name](TRICKY) for name in ("table.parquet", "table.arrow", "stream.arrow")},
    **{name: FORMATS[name](TRICKY) for name in ("compressed.conll.gz", "utf16.conll", "rows.csv")},
    **{name: FORMATS[name](TRICKY) for name in ("pretty_array.json", "pretty_object.json")},
    "a.conllu": CONLLU,
    "a.conll": CONLL2003,
    "spans.jsonl": json.dumps({"text": "Anna lives in New York.", "spans": SPANS}),
    "studio.json": json.dumps([LABEL_STUDIO]),
}


def damage(content: bytes, seed: int) -> bytes:
    """Change, remove or insert some bytes, or cut off the end."""
    rng, damaged = random.Random(seed), bytearray(content)
    for _ in range(rng.randint(1, 4)):
        position = rng.randrange(len(damaged) + 1)
        end = position + rng.randint(0, 8)
        damaged[position : end if rng.random() < 0.9 else None] = rng.randbytes(rng.randint(0, 4))
    return bytes(damaged)


@pytest.mark.parametrize("name", DAMAGED)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), task=st.sampled_from(["ner", "pos"]))
@example(seed=880, task="ner")  # in an Arrow stream, the name of a column that is not UTF-8
def test_no_damaged_file_causes_a_traceback(tmp_path_factory, name, seed, task):
    content = DAMAGED[name]
    content = content if isinstance(content, bytes) else content.encode()
    path = write_file(tmp_path_factory.mktemp("damaged"), name, damage(content, seed))
    for words, sentence_tags in read(path, Problems(), task=task):
        assert sentence_tags is None or len(words) == len(sentence_tags)


def naive_columns(text: str) -> list[tuple[list[str], list[str]]]:
    """Return the words and tags of exactly two tab-separated columns."""
    blocks, block = [], []
    for line in [*text.split("\n"), ""]:
        line = line.removesuffix("\r")
        if not block and (line == "#" or (line.startswith("# ") and "\t" not in line)):
            continue  # a comment
        if line.strip(" \t"):
            block.append(line.split("\t"))
        elif block:
            blocks.append(block)
            block = []
    return [([row[0] for row in block], [row[1] for row in block]) for block in blocks]


def naive_json_lines(text: str) -> list[tuple[list[str], list[str]]]:
    records = [json.loads(line) for line in text.split("\n") if line.strip()]
    return [(r["tokens"], r["ner_tags"]) for r in records if r["tokens"]]


MUTATED = {"tab.conll": (tabbed, naive_columns), "lines.jsonl": (json_lines, naive_json_lines)}


@pytest.mark.parametrize("name", MUTATED)
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 3))
def test_a_damaged_file_is_reported_or_read_exactly(tmp_path_factory, name, seed, edits):
    """Either the result equals that of a strict reader, or a problem is reported."""
    write, naive = MUTATED[name]
    rng = random.Random(seed)
    damaged = list(write(TRICKY[:1] + TRICKY[3:]))
    for _ in range(edits):
        position = rng.randrange(len(damaged))
        replacement = rng.choice(["", "", " ", "\t", "\n", "\r", '"', "#", "[", "-", "x", "é"])
        damaged[position] = rng.choice([replacement, replacement + damaged[position]])
    content = "".join(damaged)
    path = write_file(tmp_path_factory.mktemp("damaged"), name, content)
    sentences = read(path, problems := Problems())
    if not problems:
        assert sentences == naive(content)


ORIGINS = {  # file -> content, layout, and (line of the first word, id) of each sentence
    "lists.jsonl": (json_lines(PLAIN), LayoutKind.LISTS, [(1, "0"), (2, "1"), (3, "2")]),
    "named.jsonl": ('{"sent_id": "x-7", "tokens": ["EU"]}\n', LayoutKind.LISTS, [(1, "x-7")]),
    "no_id.jsonl": ('\n{"tokens": ["EU"]}\n', LayoutKind.LISTS, [(2, None)]),
    "half.jsonl": ('{"id": "\\ud83d", "tokens": ["EU"]}\n', LayoutKind.LISTS, [(1, None)]),
    "doccano.jsonl": ('{"id": 3, "text": "EU", "label": []}\n', LayoutKind.TEXT, [(1, "3")]),
    "studio.json": (json.dumps([LABEL_STUDIO]), LayoutKind.TEXT, [(1, "1")]),
    "rows.csv": (
        "sent_id,word,tag\n7,EU,O\n7,is,O\n8,in,O\n",
        LayoutKind.ROWS,
        [(2, "7"), (4, "8")],
    ),
    "blank_rows.csv": ("word,tag\nEU,O\n\nin,O\n", LayoutKind.ROWS, [(2, None), (4, None)]),
    "columns.tsv": (tabbed(PLAIN), LayoutKind.COLUMNS, [(1, None), (5, None), (8, None)]),
    "table.parquet": (parquet(PLAIN), LayoutKind.LISTS, [(1, "0"), (2, "1"), (3, "2")]),
}


@pytest.mark.parametrize("name", ORIGINS)
def test_sentences_have_an_origin(tmp_path, name):
    content, layout_kind, origins = ORIGINS[name]
    path = write_file(tmp_path, name, content)
    opened = detect.read(path, ReadOptions(), problems := Problems())
    assert opened.layout_kind is layout_kind
    places = [sentence.place() for sentence in opened.sentences]
    assert places == [Place(str(path), line, record_id) for line, record_id in origins]
    assert not problems


def test_an_unreadable_file_has_no_layout(tmp_path):
    opened = detect.read(tmp_path / "none.conll", ReadOptions(), problems := Problems())
    assert opened.layout_kind is None and list(opened.sentences) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.UNREADABLE_FILE]
    assert problems.concern(str(tmp_path / "none.conll"))
