"""Small corpora in every format, and a helper that reads a file."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.formats import detect
from corpus.formats.sentence import ReadOptions
from corpus.problems import Problems

TRICKY = [
    (["EU", "rejects", "German", "call"], ["B-ORG", "O", "B-MISC", "O"]),
    (
        ["#", "#hashtag", "New York", "", "\u00a0", "a\u2028b", "\x85", "\x1c"],
        ["O", "O", "O", "B-X", "B-X", "O", "O", "O"],  # a blank word with O would end a sentence
    ),
    (
        ["[", "{", "-DOCSTART", '"', '""', "'", "x,y", "\x00", "\u202e", "e\u0301", "👩‍👩‍👧"],
        ["O", "O", "O", "O", "B-X", *["O"] * 6],
    ),
    (["#tag"], ["B-A-B"]),
    (["1", "2", "3"], ["B-X", "I-X", "I-X"]),
]
PLAIN = [
    (["EU", "rejects", "#tag"], ["B-ORG", "O", "O"]),
    (["#tag", "#"], ["O", "B-X"]),
    (["a\u00a0b", "\u2028"], ["O", "O"]),
]


def read(path, problems=None, **options):
    """Return sentences as (words, tags); without `problems`, a problem fails the test."""
    reported = Problems() if problems is None else problems
    opened = detect.read(path, ReadOptions(**options), reported)
    sentences = [
        (list(sentence.words), None if sentence.tags is None else list(sentence.tags))
        for sentence in opened.sentences
    ]
    if problems is None:
        assert not reported, str(reported)
    return sentences


def write_file(tmp_path, name: str, content: str | bytes):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def columns_text(sentences, row, blank="") -> str:
    """Return `row(position, word, tag)` for each word, and a blank line after each sentence."""
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


def csv_text(rows, **dialect) -> str:
    file = io.StringIO()
    csv.writer(file, **dialect).writerows(rows)
    return file.getvalue()


def csv_rows(sentences, **dialect) -> str:
    rows = [
        [number, word, tag]
        for number, pair in enumerate(sentences)
        for word, tag in zip(*pair, strict=True)
    ]
    return csv_text([["sentence_id", "token", "ner_tag"], *rows], **dialect)


def csv_lists(sentences, write) -> str:
    return csv_text([["tokens", "ner_tags"], *[[write(w), write(t)] for w, t in sentences]])


def parquet(sentences) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(records(sentences)), buffer)
    return buffer.getvalue()


def arrow(sentences, new_writer) -> bytes:
    buffer, table = io.BytesIO(), pa.Table.from_pylist(records(sentences))
    with new_writer(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()


FORMATS = {
    "tab.conll": lambda s: tabbed(s),
    "crlf.tsv": lambda s: tabbed(s).replace("\n", "\r\n"),
    "no_final_newline.bio": lambda s: tabbed(s).rstrip("\n"),
    "blank_lines_with_spaces.iob": lambda s: columns_text(s, lambda i, w, t: f"{w}\t{t}", " \t "),
    "many_blank_lines.txt": lambda s: "\n\n" + tabbed(s).replace("\n\n", "\n\n \n\n"),
    "byte_order_mark.annotated": lambda s: b"\xef\xbb\xbf" + tabbed(s).encode(),
    "utf16.conll": lambda s: tabbed(s).encode("utf-16"),
    "utf16be.conll": lambda s: b"\xfe\xff" + tabbed(s).encode("utf-16-be"),
    "compressed.conll.gz": lambda s: gzip.compress(tabbed(s).encode()),
    "compressed_without_gz.conll": lambda s: gzip.compress(tabbed(s).encode()),
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
