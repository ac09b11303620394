"""Readers: every format gives the same sentences, and no input ends in a traceback."""

import csv
import gzip
import io
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.formats import detect as readers
from corpus.formats.sentence import Wanted
from corpus.formats.text import CHUNK, text_lines
from corpus.problems import ProblemKind, Problems

TRICKY = [
    (["EU", "rejects", "German", "call"], ["B-ORG", "O", "B-MISC", "O"]),
    (["#", "#hashtag", "New York", "", "\u00a0", "a\u2028b", "\x85", "\x1c"], ["O"] * 8),
    (
        ["[", "{", "-DOCSTART", '"', '""', "'", "x,y", "\x00", "\u202e", "e\u0301", "👩‍👩‍👧"],
        ["O"] * 11,
    ),
    (["#tag"], ["B-A-B"]),
    (["1", "2", "3"], ["B-X", "I-X", "I-X"]),
]
PLAIN = [
    (["EU", "rejects", "#tag"], ["B-ORG", "O", "O"]),
    (["#tag", "#"], ["O", "B-X"]),
    (["a\u00a0b", "\u2028"], ["O", "O"]),
]


def read(path, problems=None, **wanted):
    """Sentences as (words, tags); whatever is wrong fails the test unless it is asked for."""
    found = Problems() if problems is None else problems
    opened = readers.read(path, Wanted(**wanted), found)
    sentences = [
        (list(sentence.words), None if sentence.tags is None else list(sentence.tags))
        for sentence in opened.sentences
    ]
    if problems is None:
        assert not found, str(found)
    return sentences


def written(tmp_path, name: str, content: str | bytes):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- Every format written and read back -----------------------------------------------------------


def columns_text(sentences, row, blank="") -> str:
    """`row(position, word, tag)` for each word, a blank line after each sentence."""
    return "".join(
        "".join(f"{row(i, *pair)}\n" for i, pair in enumerate(zip(words, tags, strict=True), 1))
        + f"{blank}\n"
        for words, tags in sentences
    )


def tabbed(sentences) -> str:
    return columns_text(sentences, lambda i, word, tag: f"{word}\t{tag}")


def spaced(sentences) -> str:
    return columns_text(sentences, lambda i, word, tag: f"{word} {tag}")


def records(sentences) -> list[dict]:
    return [{"id": i, "tokens": w, "ner_tags": t} for i, (w, t) in enumerate(sentences)]


def json_lines(sentences) -> str:
    return "".join(json.dumps(record) + "\n" for record in records(sentences))


def csv_text(rows, **options) -> str:
    file = io.StringIO()
    csv.writer(file, **options).writerows(rows)
    return file.getvalue()


def csv_rows(sentences, **options) -> str:
    rows = [
        [number, word, tag]
        for number, pair in enumerate(sentences)
        for word, tag in zip(*pair, strict=True)
    ]
    return csv_text([["sentence_id", "token", "ner_tag"], *rows], **options)


def csv_lists(sentences, write) -> str:
    return csv_text([["tokens", "ner_tags"], *[[write(w), write(t)] for w, t in sentences]])


def parquet(sentences) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records(sentences)), buffer)
    return buffer.getvalue()


def arrow(sentences, new) -> bytes:
    buffer, table = io.BytesIO(), pa.Table.from_pylist(records(sentences))
    with new(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


FORMATS = {
    "tab.conll": lambda s: tabbed(s),
    "crlf.tsv": lambda s: tabbed(s).replace("\n", "\r\n"),
    "no_final_newline.bio": lambda s: tabbed(s).rstrip("\n"),
    "blank_lines_with_spaces.iob": lambda s: columns_text(s, lambda i, w, t: f"{w}\t{t}", " \t "),
    "many_blank_lines.txt": lambda s: "\n\n" + tabbed(s).replace("\n\n", "\n\n \n\n"),
    "mark.annotated": lambda s: b"\xef\xbb\xbf" + tabbed(s).encode(),
    "utf16.conll": lambda s: tabbed(s).encode("utf-16"),
    "utf16be.conll": lambda s: b"\xfe\xff" + tabbed(s).encode("utf-16-be"),
    "packed.conll.gz": lambda s: gzip.compress(tabbed(s).encode()),
    "packed_but_not_named_so.conll": lambda s: gzip.compress(tabbed(s).encode()),
    "header.tsv": lambda s: "token\tner_tag\n" + tabbed(s),
    "four_columns.conll": lambda s: columns_text(s, lambda i, w, t: f"{w}\tNN\tB-NP\t{t}"),
    "germeval.tsv": lambda s: columns_text(s, lambda i, w, t: f"{i}\t{w}\t{t}\tO"),
    "germeval_with_sources.tsv": lambda s: "\n".join(
        f"#\thttp://example.org/{n}\t[2009-10-17]\n{block}"
        for n, block in enumerate(
            columns_text([x], lambda i, w, t: f"{i}\t{w}\t{t}\tO").rstrip("\n") + "\n" for x in s
        )
    ),
    "uner.iob2": lambda s: "".join(
        f"# sent_id = {n}\n# text = x\n" + columns_text([x], lambda i, w, t: f"{i}\t{w}\t{t}\t-\t-")
        for n, x in enumerate(s)
    ),
    "lines.jsonl": json_lines,
    "lines_and_blank_lines.json": lambda s: "\n" + json_lines(s).replace("\n", "\n\n"),
    "lines.ndjson.gz": lambda s: gzip.compress(json_lines(s).encode()),
    "lines_named_as_text.txt": json_lines,
    "array.json": lambda s: json.dumps(records(s)),
    "pretty_array.json": lambda s: json.dumps(records(s), indent=2, ensure_ascii=False),
    "object.json": lambda s: json.dumps({"version": "1", "data": records(s)}),
    "pretty_object.json": lambda s: json.dumps({"version": 1, "data": records(s)}, indent=1),
    "table.parquet": parquet,
    "table.arrow": lambda s: arrow(s, pa.ipc.new_file),
    "stream.arrow": lambda s: arrow(s, pa.ipc.new_stream),
    "rows.csv": csv_rows,
    "blank_lines_first.csv": lambda s: "\n\n" + csv_rows(s),
    "semicolons.csv": lambda s: csv_rows(s, delimiter=";"),
    "all_quoted.csv": lambda s: csv_rows(s, quoting=csv.QUOTE_ALL),
    "quoted_rows.tsv": lambda s: csv_rows(s, delimiter="\t"),
    "lists.csv": lambda s: csv_lists(s, json.dumps),
    "python_lists.csv": lambda s: csv_lists(s, repr),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_sentences(tmp_path, name):
    assert read(written(tmp_path, name, FORMATS[name](TRICKY))) == TRICKY


def test_unquoted_tabs_with_sentence_ids(tmp_path):
    sentences = [(['"', "a"], ["O", "B-X"]), (["'"], ["O"])]
    text = "sentence_id\tword\ttag\n1\t\"\tO\n1\ta\tB-X\n2\t'\tO\n"
    assert read(written(tmp_path, "a.tsv", text)) == sentences


SPACED = {
    "one_space.conll": spaced,
    "aligned.conll": lambda s: columns_text(s, lambda i, w, t: f"{w:12}   {t} "),
    "four_columns.txt": lambda s: columns_text(s, lambda i, w, t: f"{w} NN B-NP {t}"),
    "three_columns.txt": lambda s: columns_text(s, lambda i, w, t: f"{w} NN {t}"),
}


@pytest.mark.parametrize("name", SPACED)
def test_columns_parted_by_spaces(tmp_path, name):
    assert read(written(tmp_path, name, SPACED[name](PLAIN))) == PLAIN


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\t\x00\ufeff\r"))
tags = st.sampled_from(["O", "B-X", "I-X", "B-A-B"])
words = text.filter(lambda word: word != "-DOCSTART-" and word.strip("[{ ") == word)
some_sentences = st.lists(st.lists(st.tuples(words, tags), min_size=1, max_size=5), min_size=1).map(
    lambda found: [tuple(map(list, zip(*pairs, strict=True))) for pairs in found]
)


@pytest.mark.parametrize(
    "name", ["tab.conll", "crlf.tsv", "lines.jsonl", "pretty_array.json", "rows.csv", "lists.csv"]
)
@settings(max_examples=60, deadline=None)
@given(sentences=some_sentences)
def test_words_survive_exactly(tmp_path_factory, name, sentences):
    path = written(tmp_path_factory.mktemp("words"), name, FORMATS[name](sentences))
    assert read(path) == sentences


# --- One form at a time -----------------------------------------------------------------------

CONLLU = """\
# newdoc id = first
# sent_id = 1
# text = dámelo ya
1-2\tdámelo\t_\t_\t_\t_\t_\t_\t_\t_
1\tda\tdar\tVERB\tVB\t_\t_\t_\t_\t_
2\tmelo\tél\tPRON\tPRP\t_\t_\t_\t_\t_
2.1\tya\tya\tX\tX\t_\t_\t_\t_\t_
3\tNueva York\tya\tADV\tRB\t_\t_\t_\t_\t_

# newdoc id = second
# sent_id = 2
1\tsí\tsí\tINTJ\tUH\t_\t_\t_\t_\t_
"""
CONLL2003 = """\
-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O
-DOCSTART- -X- -X- O
Peter NNP B-NP B-PER

Blackburn NNP B-NP B-PER
"""


@pytest.mark.parametrize(
    ("content", "wanted", "expected"),
    [
        (CONLLU, {"task": "pos"}, ["VERB PRON ADV", "INTJ"]),
        (CONLLU, {"task": "pos", "labels": "xpos"}, ["VB PRP RB", "UH"]),
        (CONLLU, {"labels": "4"}, ["VB PRP RB", "UH"]),
        (CONLLU, {"labels": "-6"}, ["VB PRP RB", "UH"]),
        (CONLL2003, {}, ["B-ORG O", "B-PER", "B-PER"]),
        (CONLL2003, {"task": "chunk"}, ["B-NP B-VP", "B-NP", "B-NP"]),
        (CONLL2003, {"task": "pos"}, ["NNP VBZ", "NNP", "NNP"]),
        (CONLL2003, {"labels": "1"}, ["NNP VBZ", "NNP", "NNP"]),
        ("a DT B-NP\nb NN I-NP\n", {"task": "pos"}, ["DT NN"]),  # CoNLL-2000
        ("a DT B-NP\nb NN I-NP\n", {"task": "chunk"}, ["B-NP I-NP"]),
        ("a lemma DT\nb lemma NN\n", {"task": "pos"}, ["DT NN"]),  # as TreeTagger's
        ("# global.columns = ID FORM NER\n1\ta\tO\n2\tb\tB-X\n", {}, ["O B-X"]),
        ("# id 7 domain=en\na _ _ O\nb _ _ B-X\n", {}, ["O B-X"]),  # as many cells as a row
        ("ner_tags\ttokens\nO\ta\nB-X\tb\n", {}, ["O B-X"]),
        ("x\ty\nO\ta\nB-X\tb\n", {"text": "y", "labels": "x"}, ["O B-X"]),
        ("O\ta\nB-X\tb\n", {"text": "-1", "labels": "0"}, ["O B-X"]),
    ],
)
def test_where_the_tags_are(tmp_path, content, wanted, expected):
    found = read(written(tmp_path, "file", content), **wanted)
    assert [" ".join(sentence_tags) for _, sentence_tags in found] == expected


def test_conllu_leaves_out_what_is_no_word_and_knows_its_documents(tmp_path):
    opened = readers.read(
        written(tmp_path, "a.conllu", CONLLU), Wanted(task="pos"), problems := Problems()
    )
    sentences = list(opened.sentences)
    assert not problems
    assert [(s.words, s.document, s.lines) for s in sentences] == [
        (["da", "melo", "Nueva York"], "first", [5, 6, 8]),
        (["sí"], "second", [12]),
    ]


def test_docstart_begins_documents(tmp_path):
    opened = readers.read(written(tmp_path, "a.conll", CONLL2003), Wanted(), Problems())
    assert [(s.document, list(s.lines)) for s in opened.sentences] == [
        ("a.conll#1", [3, 4]),
        ("a.conll#2", [6]),
        ("a.conll#2", [8]),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("# a comment\nEU O\n", ["EU"]),
        ("#\nEU O\n", ["EU"]),
        ("# key = value\nEU O\n", ["EU"]),
        ("#tag O\nEU O\n", ["#tag", "EU"]),
        ("# O\nEU O\n", ["#", "EU"]),
        ("# = O\nEU NN O\n", ["#", "EU"]),
        ("EU O\n# O\n", ["EU", "#"]),
        ("EU\tO\n#\tO\n", ["EU", "#"]),
        ("# EU rejects\nEU\tO\n", ["EU"]),
    ],
)
def test_what_is_a_comment(tmp_path, content, expected):
    assert read(written(tmp_path, "a.conll", content)) == [(expected, ["O"] * len(expected))]


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
    found = read(written(tmp_path, name, content), task="pos")
    assert found == [(["EU", "rejects"], None), (["#tag"], None)]


def test_only_spaces_and_tabs_are_blank(tmp_path):
    assert read(written(tmp_path, "a.txt", "EU\n\u00a0\n\u3000\n \t\nx\n")) == [
        (["EU", "\u00a0", "\u3000"], None),
        (["x"], None),
    ]


LABEL_STUDIO = {
    "id": 1,
    "data": {"text": "Anna lives in New York."},
    "annotations": [
        {"was_cancelled": True, "result": []},
        {
            "result": [
                {"type": "choices", "value": {"choices": ["news"]}},
                {"type": "labels", "value": {"start": 14, "end": 22, "labels": ["LOC"]}},
                {"type": "labels", "value": {"start": 0, "end": 4, "labels": ["PER"]}},
            ]
        },
    ],
}
SPANS = [{"start": 0, "end": 4, "label": "PER"}, {"start": 14, "end": 22, "label": "LOC"}]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("plain.jsonl", {"spans": SPANS}),
        ("spacy.jsonl", {"entities": [[0, 4, "PER"], [14, 22, "LOC"]]}),
        ("doccano.jsonl", {"id": 3, "label": [[0, 4, "PER"], [14, 22, "LOC"]]}),
        (
            "doccano_relations.jsonl",
            {
                "entities": [
                    {"id": 1, "label": "LOC", "start_offset": 14, "end_offset": 22},
                    {"id": 2, "label": "PER", "start_offset": 0, "end_offset": 4},
                ],
                "relations": [],
            },
        ),
        (
            "prodigy.jsonl",
            {
                "tokens": [{"text": "Anna", "start": 0, "end": 4}],
                "spans": SPANS,
                "answer": "accept",
            },
        ),
        (
            "studio_min.jsonl",
            {"label": [{**s, "labels": [s["label"]], "label": None} for s in SPANS]},
        ),
        (
            "infer.jsonl",
            {
                "entities": [
                    {"entity_group": s["label"], "score": 0.9, **s, "label": None} for s in SPANS
                ]
            },
        ),
        ("trailing_space.jsonl", {"spans": [[0, 5, "PER"], [13, 22, "LOC"]]}),
    ],
)
def test_character_spans(tmp_path, name, found):
    content = json.dumps({"text": "Anna lives in New York.", **found})
    self_written = written(tmp_path, name, content)
    expected = (
        ["Anna", "lives", "in", "New", "York", "."],
        ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"],
    )
    assert read(self_written) == [expected]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("studio.json", [LABEL_STUDIO]),
        (
            "spacy_training.json",
            [["Anna lives in New York.", {"entities": [[14, 22, "LOC"], [0, 4, "PER"]]}]],
        ),
        (
            "spacy_annotator.json",
            {
                "classes": ["PER", "LOC"],
                "annotations": [
                    ["Anna lives in New York.", {"entities": [[0, 4, "PER"], [14, 22, "LOC"]]}]
                ],
            },
        ),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_exports_of_annotation_tools(tmp_path, name, found, indent):
    assert read(written(tmp_path, name, json.dumps(found, indent=indent))) == [
        (["Anna", "lives", "in", "New", "York", "."], ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"])
    ]


def test_offsets_count_code_points(tmp_path):
    content = json.dumps({"text": "👍👍 Zoë", "spans": [[3, 6, "PER"]]})
    assert read(written(tmp_path, "a.jsonl", content))[0][1][-1] == "B-PER"


def test_entities_of_touching_words_stay_two(tmp_path):
    content = json.dumps({"text": "Anna Maria", "spans": [[0, 4, "PER"], [5, 10, "PER"]]})
    assert read(written(tmp_path, "a.jsonl", content)) == [(["Anna", "Maria"], ["B-PER", "B-PER"])]


def test_rejected_answers_are_left_out_and_told(tmp_path):
    lines = [
        {"text": "Anna", "spans": [], "answer": answer} for answer in ("accept", "reject", "ignore")
    ]
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert read(path, problems := Problems()) == [(["Anna"], ["O"])]
    assert [(group.kind, group.count) for group in problems.warnings.groups] == [
        (ProblemKind.REJECTED_ANSWER, 2)
    ]


def test_the_sentence_id_may_stand_on_a_sentence_s_first_row_only(tmp_path):
    rows = "Sentence #,Word,POS,Tag\nSentence: 1,EU,NNP,B-org\n,said,VBD,O\nSentence: 2,No,UH,O\n"
    path = written(tmp_path, "ner.csv", rows)
    assert read(path) == [(["EU", "said"], ["B-org", "O"]), (["No"], ["O"])]
    assert read(path, task="pos") == [(["EU", "said"], ["NNP", "VBD"]), (["No"], ["UH"])]


def test_names_of_integers_are_taken_from_a_table(tmp_path):
    import datasets

    features = datasets.Features(
        {
            "tokens": datasets.List(datasets.Value("string")),
            "ner_tags": datasets.List(datasets.ClassLabel(names=["O", "B-X"])),
        }
    )
    rows = {"tokens": [["a", "b"]], "ner_tags": [[1, 0]]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "a.parquet")
    opened = readers.read(tmp_path / "a.parquet", Wanted(), Problems())
    assert opened.label_names == ["O", "B-X"]
    assert [list(sentence.tags) for sentence in opened.sentences] == [[1, 0]]


def test_a_large_array_is_read_piece_by_piece(tmp_path):
    sentences = [(["word" * 50], ["O"])] * 2000 + [(["x" * 3 * CHUNK], ["B-X"])] + [(["y"], ["O"])]
    assert read(written(tmp_path, "a.json", json.dumps(records(sentences)))) == sentences


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_at_the_border_of_a_chunk(tmp_path, shift, end):
    lines = ["a" * (CHUNK - 4 + shift), "b", "", "c" * 3 * CHUNK, "d\r", "e"]
    path = written(tmp_path, "a.txt", lines[0] + "\r\n" + end.join(lines[1:4]) + "\nd\r\r\ne")
    assert list(text_lines(path, Problems())) == lines


def test_importing_the_readers_is_light():
    import subprocess
    import sys

    code = "import sys, corpus.formats.detect; print(*({'datasets', 'torch', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# --- Anything at all --------------------------------------------------------------------------

ENDINGS = ["conll", "txt", "tsv", "csv", "json", "jsonl", "parquet", "arrow", "gz", "conllu"]


@settings(max_examples=300, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text("{}[]\":,'\n\t #-DOCSTART1IB\\u0 ", max_size=100).map(str.encode),
    ),
    ending=st.sampled_from(ENDINGS),
    task=st.sampled_from(["ner", "pos", "chunk"]),
)
@example(content=b"[" * 100_000, ending="json", task="ner")
@example(content=b'{"a":' * 100_000, ending="jsonl", task="ner")
@example(content=b"[" + b"1" * 5000 + b"]", ending="json", task="ner")
@example(content=b'{"tokens": ["a"], "ner_tags": [1e999]}', ending="json", task="ner")
@example(content=b"\x1f\x8b", ending="gz", task="ner")
@example(content=b"9" * 5000 + b"\tEU\tO\n", ending="tsv", task="ner")
@example(content=b"PAR1" + bytes(100) + b"PAR1", ending="parquet", task="ner")
@example(content=b'word,tag,sentence_id\n"' + b"a" * 200_000 + b'",O,1', ending="csv", task="ner")
def test_no_input_ends_in_a_traceback(tmp_path_factory, content, ending, task):
    path = written(tmp_path_factory.mktemp("fuzz"), f"a.{ending}", content)
    sentences = read(path, problems := Problems(), task=task)
    assert sentences or problems or problems.warnings
    assert all(tags is None or len(words) == len(tags) for words, tags in sentences)


DAMAGED = {
    **{name: FORMATS[name](TRICKY) for name in ("table.parquet", "table.arrow", "stream.arrow")},
    **{name: FORMATS[name](TRICKY) for name in ("packed.conll.gz", "utf16.conll", "rows.csv")},
    **{name: FORMATS[name](TRICKY) for name in ("pretty_array.json", "pretty_object.json")},
    "a.conllu": CONLLU,
    "a.conll": CONLL2003,
    "spans.jsonl": json.dumps({"text": "Anna lives in New York.", "spans": SPANS}),
    "studio.json": json.dumps([LABEL_STUDIO]),
}


def damage(content: bytes, seed: int) -> bytes:
    """Some bytes changed, taken out, put in, or the end cut off."""
    shuffled, damaged = random.Random(seed), bytearray(content)
    for _ in range(shuffled.randint(1, 4)):
        position = shuffled.randrange(len(damaged) + 1)
        end = position + shuffled.randint(0, 8)
        damaged[position : end if shuffled.random() < 0.9 else None] = shuffled.randbytes(
            shuffled.randint(0, 4)
        )
    return bytes(damaged)


@pytest.mark.parametrize("name", DAMAGED)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), task=st.sampled_from(["ner", "pos"]))
def test_no_damaged_file_ends_in_a_traceback(tmp_path_factory, name, seed, task):
    content = DAMAGED[name]
    content = content if isinstance(content, bytes) else content.encode()
    path = written(tmp_path_factory.mktemp("damaged"), name, damage(content, seed))
    for words, sentence_tags in read(path, Problems(), task=task):
        assert sentence_tags is None or len(words) == len(sentence_tags)


def naive_columns(text: str) -> list[tuple[list[str], list[str]]]:
    """Strict two columns and a tab: the words and tags that a correct file has, and no more."""
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
def test_a_damaged_file_is_told_or_read_as_it_stands(tmp_path_factory, name, seed, edits):
    """Never silently different data: what a strict reader would see, or a problem."""
    write, naive = MUTATED[name]
    shuffled = random.Random(seed)
    damaged = list(write(TRICKY[:1] + TRICKY[3:]))
    for _ in range(edits):
        position = shuffled.randrange(len(damaged))
        with_what = shuffled.choice(["", "", " ", "\t", "\n", "\r", '"', "#", "[", "-", "x", "é"])
        damaged[position] = shuffled.choice([with_what, with_what + damaged[position]])
    content = "".join(damaged)
    path = written(tmp_path_factory.mktemp("damaged"), name, content)
    found = read(path, problems := Problems())
    if not problems:
        assert found == naive(content)
