"""Inputs: texts and words, one by one, from files, folders and pipes.

`read_items` decides the form of a source. `input_lines` has its lines, `input_records` the forms
that consist of records; columns are read here.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator

from corpus.formats.column_names import HEAD_SIZE
from corpus.formats.columns import open_columns
from corpus.formats.detect import NOT_TEXT, READABLE
from corpus.formats.exports import records_of_exports
from corpus.formats.json import read_jsonl
from corpus.formats.label_column import CONLLU_COLUMNS
from corpus.formats.sentence import ReadOptions
from corpus.plausible import plausible, plausible_items
from corpus.problems import Problems
from settings.tagging_flags import InputFormat
from support.errors import UserError
from tagging.input_files import extension_of
from tagging.input_form import form_of, json_form, table_format
from tagging.input_lines import (
    Source,
    decode_lines,
    decode_whole,
    first_lines,
    utf8_lines,
    without_end,
)
from tagging.input_records import (
    items_of_csv,
    items_of_records,
    items_of_table,
    records_of_json,
    records_of_table,
    unwrapped,
)
from tagging.items import Item, document_key, item_of_words

# --- Items ------------------------------------------------------------------------------------


def read_items(
    source: Source, input_format: InputFormat, by: str, options: ReadOptions, problems: Problems
) -> Iterator[Item]:
    """Return the texts of one source, whose form is in `source.form` from then on.

    `by`: line or document, the unit of plain text. Raises UserError for a file that is not text,
    and for a table without a column of texts.
    """
    lines = utf8_lines(source, problems)
    first = next(lines, b"")
    for mark, description in NOT_TEXT:
        if mark.match(first):
            raise UserError(f"{source.name}: not text: got {description}, expected {READABLE}")
    lines = itertools.chain(filter(None, [first]), lines)
    table = table_format(first)
    if table is not None:
        source.form = "parquet"
        records = records_of_table(source, lines, table, problems)
        items = items_of_table(records, options, problems, source)
        return _plausible(items, source, problems)
    opening = ""
    if input_format == "auto" or input_format == "json":
        seen: list[bytes] = []
        head = first_lines(lines, seen, source)
        if input_format == "json":
            source.form = json_form(next(filter(str.strip, head), ""), head)
        else:
            source.form = form_of(source.path, head, options.text_column)
            if source.form == "csv" and extension_of(source.path) not in (".csv", ".tsv"):
                source.note("read as a table; to tag each line: --input_format text")
        opening = b"".join(seen).decode("utf-8-sig", "replace").lstrip()[:1]
        lines = itertools.chain(seen, lines)
    else:
        source.form = input_format
    if source.form == "text" and by == "document":
        text = decode_whole(b"".join(lines), source.name, "utf-8", problems)
        return iter(() if text is None else (Item(text),))
    decoded = decode_lines(lines, source.name, problems)
    if source.form == "text":
        return (Item(without_end(line)) for line in decoded if line is not None)
    with_ends = ("\n" if line is None else line for line in decoded)
    if source.form == "csv":
        items = items_of_csv(source, with_ends, options, problems)
        return _plausible(items, source, problems)
    without_ends = map(without_end, with_ends)
    if source.form == "conll":
        return _items_of_columns(source, without_ends, options, problems)
    if source.form == "json":
        records = records_of_json(source, with_ends, opening, problems)
    else:
        records = read_jsonl(without_ends, problems, source.name)
    records = records_of_exports(unwrapped(records, options, problems, source))
    items = items_of_records(records, options, problems, source)
    return _plausible(items, source, problems)


def _plausible(items: Iterator[Item], source: Source, problems: Problems) -> Iterator[Item]:
    """Yield items, if the words that come with them can be words."""

    def given_words(item: Item) -> list[str]:
        return [word for word, _, _ in item.words or ()]

    return plausible_items(items, given_words, source.name, problems, source.is_waiting)


# --- Columns ----------------------------------------------------------------------------------


class _KeptLines:
    """Lines that a reader takes, kept until the sentence that they belong to is complete."""

    def __init__(self, lines: Iterable[str]):
        self._lines = iter(lines)
        self._kept: deque[tuple[int, str]] = deque()
        self._number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        self._kept.append((self._number, line))
        return line

    def take(self, last: int) -> list[tuple[int, str]]:
        """Return the numbered lines up to the blank line after the line `last`."""
        taken = []
        while self._kept and (self._kept[0][0] <= last or self._kept[0][1].strip()):
            taken.append(self._kept.popleft())
        return list(itertools.dropwhile(lambda numbered: not numbered[1].strip(), taken))


def _items_of_columns(
    source: Source, lines: Iterable[str], options: ReadOptions, problems: Problems
) -> Iterator[Item]:
    """Yield the sentences of columns, from a pipe as they come."""
    kept = _KeptLines(lines)
    head = _first_sentences(kept, source)
    if len(head) < HEAD_SIZE and not any(map(str.strip, head)):
        return  # empty, as any other form may be
    options = options._replace(needs_labels=False)
    opened = open_columns(kept, options, problems, source.name, head)
    for note in opened.notes:
        source.note(note)
    opened = plausible(opened, source.name, problems, words_only=True, is_waiting=source.is_waiting)
    for sentence in opened.sentences:
        numbers = {line: position for position, line in enumerate(sentence.lines)}
        rows = [(line, numbers.get(number)) for number, line in kept.take(sentence.lines[-1])]
        fields = {"sent_id": sentence.record_id} if sentence.record_id else None
        yield item_of_words(list(sentence.words), fields=fields)._replace(
            rows=rows if _are_conllu(rows) else None,
            document=document_key(source.path, sentence.document, of_file=source.is_one_of_several),
        )


def _first_sentences(lines: Iterator[str], source: Source) -> list[str]:
    """Return the lines that show the layout: those before a pipe stalls after a sentence."""
    head = []
    has_row = False
    for line in itertools.islice(lines, HEAD_SIZE):
        head.append(line)
        has_row = has_row or (bool(line.strip()) and not line.startswith("#"))
        if has_row and not line.strip() and source.is_waiting():
            break
    return head


def _are_conllu(rows: list[tuple[str, int | None]]) -> bool:
    return all(
        position is None or line.count("\t") == len(CONLLU_COLUMNS) - 1 for line, position in rows
    )
