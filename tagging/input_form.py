"""The form of an input, by its extension and first lines: text, JSON, a table or columns.

Unlike a corpus, an input may be prose, and prose must never be taken for columns, so columns are
recognised only if they are certain. So are tables.
"""

import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from corpus.formats.column_layout import DOCUMENT_START
from corpus.formats.column_names import HEAD_SIZE
from corpus.formats.detect import TABLES, json_format
from corpus.formats.label_column import CONLLU_COLUMNS
from corpus.formats.text import encoding_of, open_bytes
from tagging.input_files import COLUMN_EXTENSIONS, JSON_EXTENSIONS, extension_of
from tagging.input_tables import ROWS_SHOWN, is_header, is_table

# jsonl: one record in each line; json: an array or object. csv: any delimiter. parquet: Arrow too.
Form = Literal["text", "jsonl", "json", "csv", "conll", "parquet"]
# An entity tag. Its type begins with a letter, unlike in "vitamin B-12".
TAG = re.compile(r"[BIESLUM]-[^\W\d_]\S*")
CONLLU_COMMENT = re.compile(r"# (?:(?:sent_id|text|newdoc id|global\.columns) = |newdoc$|newpar\b)")
# Strings in the first lines of an array; prose such as ["..."] has no comma or end after it.
ARRAY_OF_TEXTS = re.compile(r'\s*+\[\s*+"(?:[^"\\]|\\.)*+"\s*+(?:,\s*+(?:"|\Z)|\]\s*+\Z)')
CERTAIN_ROWS = 10
LONGEST_LINE = 1 << 16  # characters of a line that show its form


def form_of(path: str, lines: Iterable[str], text_column: str | None = None) -> Form:
    """Return the form of a text file by its extension, or else by its first lines.

    `text_column`: the column or field that the user named. Consumes no more of `lines` than the
    decision needs.
    """
    extension = extension_of(path)
    lines = iter(lines)
    if extension == ".csv":
        return "csv"
    if extension == ".tsv":
        head = list(lines)
        return "csv" if is_table(head, text_column, named_tsv=True) else "conll"
    if extension in COLUMN_EXTENSIONS:
        return "conll"
    first = next(filter(str.strip, lines), "")
    start = first.lstrip()[:1]
    if extension in JSON_EXTENSIONS:
        return json_form(first, lines)
    if start == "{" and first.rstrip().endswith("}"):
        return "jsonl"
    head = [first]
    if start and start in "[{":
        head += itertools.islice(filter(str.strip, lines), 2)
        json_kind = json_format(head, "")
        if ARRAY_OF_TEXTS.match("\n".join(head)):
            return "json"
        if json_kind is not None:
            return "jsonl" if json_kind == "lines" else "json"
    columns, following = itertools.tee(itertools.chain(head, lines))
    if are_columns(columns):
        return "conll"
    if is_header(first, text_column):
        rows = list(itertools.islice(following, ROWS_SHOWN))
        return "csv" if is_table(rows, text_column) else "text"
    return "text"


def json_form(first: str, lines: Iterable[str]) -> Form:
    """Return whether JSON that begins with the line `first` is one value, or one in each line."""
    if first.lstrip().startswith("["):
        return "json"
    return "json" if json_format([first, *itertools.islice(lines, 2)], "") == "object" else "jsonl"


def table_format(start: bytes) -> str | None:
    """Return "parquet", "arrow" or "arrow stream" for the first bytes of a table, else None."""
    return next((name for mark, name in TABLES if mark.match(start)), None)


def form_of_file(path: str, text_column: str | None = None) -> Form:
    """Return the form of a regular file. Raises what `open_bytes` and reading raise."""
    with open_bytes(path) as file:
        assert isinstance(file, io.BufferedReader)
        start = file.peek(8)
        if table_format(start) is not None:
            return "parquet"
        encoding = encoding_of(start)
        text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="\n")
        lines = iter(lambda: text.readline(LONGEST_LINE), "")
        head = (line.rstrip("\r\n") for line in itertools.islice(lines, HEAD_SIZE))
        return form_of(path, head, text_column)


def are_columns(lines: Iterable[str]) -> bool:
    """Return whether lines are certainly CoNLL columns; prose is usually ruled out by one line.

    A single row is certain only with -DOCSTART-, two tags, or something that only CoNLL-U has: a
    line of prose may end in "blood group O" or "die S-Bahn". Three rows of the same width that end
    in tags (two if there are no more) are certain if the tags include an entity and an O, or an
    entity of two words. Otherwise ten such rows are needed. Tags may stand first where tabs
    separate the cells.
    """
    last, first = itertools.tee(lines)
    return _are_columns(last) or _are_columns(first, tag_first=True)


def _are_columns(lines: Iterable[str], *, tag_first: bool = False) -> bool:
    tags: list[str] = []
    width = None
    for line in lines:
        if not line.strip() or (not tags and line.startswith("#\t")):  # GermEval's sources
            continue
        cells = line.split("\t") if "\t" in line.strip() else line.split()
        if tag_first:
            if "\t" not in line:
                return False
            cells.reverse()
        elif not tags and _is_certain_row(line, cells):
            return True
        if width not in (None, len(cells)) or not _is_row(cells):
            return False
        width = len(cells)
        tags.append(cells[-1])
        if len(tags) >= CERTAIN_ROWS or (len(tags) > 2 and _vary_like_tags(tags)):
            return True
    return len(tags) > 1 and _vary_like_tags(tags)


def _vary_like_tags(tags: list[str]) -> bool:
    has_o, has_entity = "O" in tags, any(tag != "O" for tag in tags)
    pairs = itertools.pairwise(tags)
    return (has_o and has_entity) or any(
        f"B-{tag[2:]}" == before for before, tag in pairs if tag[:2] == "I-"
    )


def _is_certain_row(line: str, cells: list[str]) -> bool:
    if cells[0] == DOCUMENT_START or CONLLU_COMMENT.match(line):
        return True
    if len(cells) == len(CONLLU_COLUMNS) and "\t" in line and cells[0] in ("1", "1-2", "1-3"):
        return True
    return len(cells) > 2 and _is_row(cells) and TAG.fullmatch(cells[-2]) is not None


def _is_row(cells: list[str]) -> bool:
    """Return whether cells are a word, perhaps further columns, and a tag, all without spaces."""
    if len(cells) < 2 or not all(cells) or any(" " in cell for cell in cells):
        return False
    return cells[-1] == "O" or TAG.fullmatch(cells[-1]) is not None


def is_prose(path: str) -> bool:
    """Return whether a file is plain text, not rows of words that share one width."""
    with open_bytes(path) as file:
        head = [line.decode("utf-8", "replace") for line in itertools.islice(file, HEAD_SIZE)]
    if form_of(path, head) != "text":
        return False
    widths = Counter(len(line.split()) for line in head if line.strip())
    most_frequent = max(widths.values(), default=0)
    return most_frequent < 2 or most_frequent < 0.9 * widths.total()
