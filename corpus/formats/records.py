"""One sentence a record: JSON, CSV and tables, with tags for words or spans in raw text."""

import ast
import csv
import io
import itertools
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from corpus.sentences import (
    CHUNK,
    HEAD,
    NOTHING,
    TEXT_COLUMNS,
    Opened,
    Problems,
    Sentence,
    Wanted,
    asked_column,
    counted,
    first_named,
    label_columns,
    open_bytes,
    quote,
)

SPAN_COLUMNS = ("spans", "entities", "label", "labels")
SENTENCE_COLUMNS = ("sentence_id", "sent_id", "sentence #", "sentence_idx", "sentence")
DOCUMENT_COLUMNS = ("doc_id", "document_id")
TAGS_EXAMPLE = '{"tokens": ["EU", "rejects"], "ner_tags": ["B-ORG", "O"]}'
SPANS_EXAMPLE = '{"text": "EU rejects", "spans": [{"start": 0, "end": 2, "label": "ORG"}]}'
CSV_EXAMPLE = "a first row such as: sentence_id,token,ner_tag"
# What `ast.literal_eval` may be given: without its check, numpy's "['EU' 'rejects']", which has
# no commas, would be read as the one word "EUrejects".
_ITEM = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|-?\d+)"""
# An object around all the records, as one annotation tool for spaCy writes it: after its key.
WRAPPED_RECORDS = re.compile(
    r'\s*\{(?:\s*"(?!text"|tokens")\w+"\s*:\s*(?:"[^"]*"|\d+|\[[^\[\]{}]*\])\s*,)*'
    r'\s*"(?:data|annotations|examples)"\s*:\s*(?=\[\s*[\[{])'
)
JSON_SPACE = re.compile("[ \t\r\n]*")
QUOTED_CELL = re.compile('"(?:[^"]|"")*"')
PYTHON_LIST = re.compile(rf"\[\s*(?:{_ITEM}\s*(?:,\s*{_ITEM}\s*)*,?\s*)?\]", re.DOTALL)


class Record(NamedTuple):
    line: int
    fields: dict | None  # None: a blank row between sentences


class RecordLayout(NamedTuple):
    form: str  # "words", "rows" (one word a record) or "text"
    text: str
    labels: str | None
    sentence: str | None  # says to which sentence a row belongs
    document: str | None


# --- Which column is what ---------------------------------------------------------------------


def open_records(
    records: Iterable[Record],
    wanted: Wanted,
    problems: Problems,
    name: str,
    names_of: Mapping[str, list[str]] | None = None,
) -> Opened:
    """`names_of`: for integer labels, the names that a table itself has, by column."""
    records = iter(records)
    head = list(itertools.islice(records, HEAD))
    layout = find_layout(head, wanted, problems, name)
    if layout is None:
        for _ in records:  # so that every line that is no record is told
            pass
        return NOTHING
    reader = {"words": read_words, "rows": read_rows, "text": read_texts}[layout.form]
    sentences = reader(itertools.chain(head, records), layout, wanted, problems, name)
    where = {"words": "words from", "rows": "one word a row from", "text": "text from"}
    described = f"{where[layout.form]} {layout.text!r}"
    if layout.labels is not None:
        described += f", {'spans' if layout.form == 'text' else 'tags'} from {layout.labels!r}"
    names = (names_of or {}).get(layout.labels)
    labelled = layout.labels is not None
    return Opened(sentences, described, labelled, names, raw_text=layout.form == "text")


def find_layout(
    head: list[Record], wanted: Wanted, problems: Problems, name: str
) -> RecordLayout | None:
    """The layout of the first records; None, and a problem, if there is none."""
    rows = [record.fields for record in head if record.fields is not None]
    if not rows:
        if not problems.tell_of(name):  # else the file is not empty, only unreadable
            problems.add("no sentence", name, "the file has none", TAGS_EXAMPLE)
        return None
    columns = _Columns(rows)
    tags = label_columns(wanted.task)
    words = columns.find(wanted.text, TEXT_COLUMNS, "strings", "empty")
    labels = columns.find(wanted.labels, tags, "strings", "integers", "empty")
    raw = columns.find(wanted.text, TEXT_COLUMNS, "string")
    spans = columns.find(wanted.labels, SPAN_COLUMNS, "spans", "empty")
    if columns.kinds.get(spans) not in ("spans", "empty"):
        spans = None
    only_spans = spans is not None and labels in (None, spans)
    text = raw if raw is not None and (words is None or only_spans) else words
    missing = [
        f"no {asked!r}"
        for asked, found in ((wanted.text, text), (wanted.labels, labels))
        if asked is not None and found is None
    ]
    if text is None and not missing:
        missing = ["no column of words"]
    for found in missing:
        found = f"{found} among {', '.join(map(repr, columns.kinds))}"
        problems.add("no such column", f"{name}:{head[0].line}", found, TAGS_EXAMPLE)
    if missing:
        return None
    document = columns.find(None, DOCUMENT_COLUMNS, "string", "integer")
    if columns.kinds[text] != "string":
        return RecordLayout("words", text, labels, None, document)
    if spans is not None:
        return RecordLayout("text", text, spans, None, document)
    tag = columns.find(wanted.labels, tags, "string", "integer")
    sentence = columns.find(None, SENTENCE_COLUMNS, "string", "integer")
    parted = sentence not in (None, text) or len(rows) < len(head)
    if parted and (tag is not None or not any(" " in str(row.get(text)) for row in rows)):
        return RecordLayout("rows", text, tag, sentence, document)
    if tag is None:
        return RecordLayout("text", text, None, None, document)
    found = f"{text!r} and {tag!r} hold one text each, and no column numbers the sentences"
    expected = f"{TAGS_EXAMPLE} a row, or {CSV_EXAMPLE}"
    problems.add("no such column", f"{name}:{head[0].line}", found, expected)
    return None


class _Columns:
    """The columns of some records, and what kind of value each holds."""

    def __init__(self, rows: list[dict]):
        keys = dict.fromkeys(itertools.chain(*rows))
        self.kinds = {key: _kind_of_column(rows, key) for key in keys}

    def find(self, asked: str | None, candidates: Iterable[str], *kinds: str) -> str | None:
        """The column that was asked for, else the first candidate of one of these kinds."""
        columns = list(self.kinds)
        if asked is not None:
            position = asked_column(asked, columns, len(columns))
        else:
            columns = [key for key in columns if self.kinds[key] in kinds]
            position = first_named(columns, candidates)
        return None if position is None else columns[position]


def _kind_of_column(rows: list[dict], key: str) -> str | None:
    kinds = Counter(_kind_of_value(row.get(key)) for row in rows)
    del kinds[None]
    empty = kinds.pop("empty", 0)
    return kinds.most_common(1)[0][0] if kinds else "empty" if empty else None


def _kind_of_value(value) -> str | None:
    """What a cell holds: nothing, one value, or a list of something."""
    if isinstance(value, list):
        if not value:
            return "empty"
        return {str: "strings", int: "integers", dict: "spans", list: "spans"}.get(
            type(value[0]), "other"
        )
    return {type(None): None, str: "string", int: "integer"}.get(type(value), "other")


# --- Words and tags as lists --------------------------------------------------------------------


def read_words(
    records: Iterable[Record], layout: RecordLayout, wanted: Wanted, problems: Problems, name: str
) -> Iterator[Sentence]:
    for line, fields in records:
        if fields is None:
            continue
        wrong = _missing(fields, layout, wanted) or _wrong_words(fields[layout.text], layout.text)
        words = fields.get(layout.text)
        tags = None if layout.labels is None else fields.get(layout.labels)
        wrong = wrong or _wrong_tags(tags, words, layout.labels)
        if wrong:
            kind, found = wrong
            problems.add(kind, f"{name}:{line}", found, TAGS_EXAMPLE)
        elif words:
            yield Sentence(words, tags, _document(fields, layout), (line,) * len(words))
        else:
            problems.warnings.add(
                "sentences without a word, left out", f"{name}:{line}", quote(fields)
            )


def _missing(fields: dict, layout: RecordLayout, wanted: Wanted) -> tuple[str, str] | None:
    """The kind of problem and what was found, if a column is not there (or is there only now)."""
    needed = (layout.text, layout.labels, layout.sentence)
    absent = [key for key in needed if key is not None and fields.get(key) is None]
    if layout.form == "rows" and layout.sentence in absent:
        absent.remove(layout.sentence)  # told for a sentence's first word only
    if absent:
        return "records without a column", f"no {' or '.join(map(repr, absent))} in {quote(fields)}"
    if layout.labels is None:
        late = first_named(list(fields), (*label_columns(wanted.task), *SPAN_COLUMNS))
        if late is not None and list(fields.values())[late] is not None:
            return "labels where earlier records have none", quote(fields)
    return None


def _wrong_words(words, key: str) -> tuple[str, str] | None:
    if not isinstance(words, list):
        return "words that are no list", f"{key!r} is {quote(words)}"
    for position, word in enumerate(words):
        if not isinstance(word, str):
            return "words that are no text", f"{key!r}[{position}] is {quote(word)}"
    return _half_character("".join(words))


def _half_character(text: str) -> tuple[str, str] | None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return "half a character", f"{text[error.start]!r} in {quote(ascii(text))}"
    return None


def _wrong_tags(tags, words: list[str], key: str | None) -> tuple[str, str] | None:
    if key is None:
        return None
    if not isinstance(tags, list):
        return "labels that are no list", f"{key!r} is {quote(tags)}"
    if len(tags) != len(words):
        found = f"{counted(len(words), 'word')}, {counted(len(tags), 'label')}"
        return "words and labels of different number", f"{found}: {quote(words)}, {quote(tags)}"
    kinds = set(map(type, tags))
    if not (kinds <= {str} or kinds <= {int}):
        return "labels of another kind", f"not all names nor all integers: {quote(tags)}"
    return _half_character("".join(tags)) if kinds == {str} else None


def _document(fields: dict, layout: RecordLayout) -> str | None:
    found = None if layout.document is None else fields.get(layout.document)
    return None if found is None or _half_character(str(found)) else str(found)


# --- One word a row ---------------------------------------------------------------------------


def read_rows(
    records: Iterable[Record], layout: RecordLayout, wanted: Wanted, problems: Problems, name: str
) -> Iterator[Sentence]:
    """A new sentence where its id changes (not where it is left empty), or at a blank row."""
    words, tags, lines = [], [], []
    current = document = None
    for line, fields in records:
        sentence = None if fields is None else fields.get(layout.sentence)
        changed = sentence not in (None, "") and sentence != current
        if words and (changed or fields is None):
            yield Sentence(words, None if layout.labels is None else tags, document, lines)
            words, tags, lines = [], [], []
        if fields is None:
            continue
        current = sentence if changed else current
        word, tag = fields.get(layout.text), fields.get(layout.labels)
        wrong = _missing(fields, layout, wanted) or _wrong_words([word], layout.text)
        if wrong is None and layout.labels is not None:
            wrong = _wrong_tags([tag], [word], layout.labels)
        if wrong is None and layout.sentence is not None and current is None:
            wrong = "words of no sentence", f"no {layout.sentence!r} in {quote(fields)}"
        if wrong:
            kind, found = wrong
            problems.add(kind, f"{name}:{line}", found, CSV_EXAMPLE)
            continue
        document = _document(fields, layout)
        words.append(word)
        tags.append(tag)
        lines.append(line)
    if words:
        yield Sentence(words, None if layout.labels is None else tags, document, lines)


# --- Raw text with character spans ------------------------------------------------------------


def read_texts(
    records: Iterable[Record], layout: RecordLayout, wanted: Wanted, problems: Problems, name: str
) -> Iterator[Sentence]:
    """Words from the suite's own splitter, the one that `infer.py` uses, and IOB2 tags."""
    from corpus.words import split_words

    for line, fields in records:
        place = f"{name}:{line}"
        if fields is None:
            continue
        if fields.get("answer") in ("reject", "ignore"):  # Prodigy's: no annotation to learn
            problems.warnings.add("answers 'reject' or 'ignore', left out", place, quote(fields))
            continue
        wrong = _missing(fields, layout, wanted)
        text = fields.get(layout.text)
        if not wrong and not isinstance(text, str):
            wrong = "text that is none", f"{layout.text!r} is {quote(text)}"
        wrong = wrong or _half_character(text)
        if wrong:
            problems.add(wrong[0], place, wrong[1], SPANS_EXAMPLE)
            continue
        words = split_words(text)
        tags = None
        if layout.labels is not None:
            tags, problem_of_spans = tags_of_spans(text, words, fields[layout.labels])
            for kind, found in problem_of_spans:
                problems.add(kind, place, found, SPANS_EXAMPLE)
            if problem_of_spans:
                continue
        if words:
            found = [word for word, _, _ in words]
            yield Sentence(found, tags, _document(fields, layout), (line,) * len(words))
        else:
            problems.warnings.add("sentences without a word, left out", place, quote(fields))


def tags_of_spans(
    text: str, words: list[tuple[str, int, int]], spans
) -> tuple[list[str], list[tuple[str, str]]]:
    """IOB2 tags of the words, and what is wrong with the spans: (kind, what was found).

    Spans are in code points, begin and end at a word's edge (or in the space between two),
    and do not overlap; one that does otherwise is reported, never moved.
    """
    if not isinstance(spans, list):
        return [], [("spans that are no list", quote(spans))]
    read = [_span(span) for span in spans]
    wrong = [
        ("spans of another form", quote(span))
        for span, found in zip(spans, read, strict=True)
        if found is None
    ]
    tags, last_end, position = ["O"] * len(words), 0, 0
    for start, end, label in sorted(filter(None, read)):
        described = f"{start}-{end} {quote(text[max(start, 0) : max(end, 0)])} ({label})"
        if not 0 <= start < end <= len(text):
            size = f"the text has {counted(len(text), 'character')}"
            wrong.append(("spans outside the text", f"{described}; {size}: {quote(text)}"))
            continue
        if start < last_end:
            wrong.append(("spans that overlap", f"{described} in {quote(text)}"))
            continue
        last_end = end
        while position < len(words) and words[position][2] <= start:
            position += 1
        covered = position
        while covered < len(words) and words[covered][1] < end:
            covered += 1
        if covered == position:
            wrong.append(("spans without a word", f"{described} in {quote(text)}"))
            continue
        cut = [
            word
            for word, word_start, word_end in (words[position], words[covered - 1])
            if word_start < start < word_end or word_start < end < word_end
        ]
        if cut:  # the next span may cut the same word
            found = f"{described} cuts {quote(cut[0])} in {quote(text)}"
            wrong.append(("spans that cut a word", found))
            continue
        tags[position:covered] = [f"I-{label}"] * (covered - position)
        tags[position] = f"B-{label}"
        position = covered
    return tags, wrong


def _span(span) -> tuple[int, int, str] | None:
    """(start, end, label) of any exporter's form; None if it is none of them."""
    if isinstance(span, dict):
        label = span.get("label") or span.get("labels") or span.get("entity_group")
        if isinstance(label, list) and len(label) == 1:  # Label Studio
            label = label[0]
        start = span.get("start", span.get("start_offset"))
        end = span.get("end", span.get("end_offset"))
        span = [start, end, label]
    if not isinstance(span, list) or len(span) != 3:
        return None
    start, end, label = span
    whole = type(start) is int and type(end) is int
    good = whole and isinstance(label, str) and label.strip() and not _half_character(label)
    return (start, end, label.strip()) if good else None


# --- JSON -----------------------------------------------------------------------------------


def read_jsonl(lines: Iterable[str], problems: Problems, name: str) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            found = f"{_reason(error)} in {quote(line)}"
            problems.add("not JSON", f"{name}:{number}", found, TAGS_EXAMPLE)
        else:
            yield from _records_of(value, number, problems, name)


def _reason(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _records_of(value, line: int, problems: Problems, name: str) -> Iterator[Record]:
    """The record that a JSON value is, from whichever tool it came."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):
        value = {"text": value[0], **value[1]}  # spaCy's training format
    if not isinstance(value, dict):
        problems.add("no JSON object", f"{name}:{line}", quote(value), TAGS_EXAMPLE)
    elif isinstance(value.get("data"), dict) and isinstance(value.get("annotations"), list):
        yield from _label_studio(value, line, problems, name)
    else:
        yield Record(line, value)


def _label_studio(task: dict, line: int, problems: Problems, name: str) -> Iterator[Record]:
    """A task of Label Studio's full export."""
    texts = [value for value in task["data"].values() if isinstance(value, str)]
    text = task["data"].get("text", texts[0] if len(texts) == 1 else None)
    made = [
        annotation
        for annotation in task["annotations"]
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]
    if len(made) > 1:
        found = f"{len(made)} annotations of {quote(text)}"
        problems.add("several annotations of one text", f"{name}:{line}", found, "one a text")
        return
    results = made[0].get("result") if made else []
    spans = [
        result.get("value") if isinstance(result, dict) else result
        for result in results or []
        if not isinstance(result, dict) or result.get("type", "labels") == "labels"
    ]
    yield Record(line, {"text": text, "spans": spans})


class _JsonText:
    """The next characters of a JSON text: no more of it in memory than one value needs."""

    def __init__(self, file: io.TextIOBase):
        self.file, self.buffer, self.position, self.line = file, "", 0, 1

    def _read_on(self, size: int = CHUNK) -> bool:
        more = self.file.read(size)
        self.buffer, self.position = self.buffer[self.position :] + more, 0
        return bool(more)

    def skip(self, end: int) -> None:
        self.line += self.buffer.count("\n", self.position, end)
        self.position = end

    def next_character(self) -> str:
        """The next one that is no white space; empty at the end."""
        while True:
            self.skip(JSON_SPACE.match(self.buffer, self.position).end())
            if self.position < len(self.buffer) or not self._read_on():
                return self.buffer[self.position : self.position + 1]

    def value(self):
        """Decode the value that begins here; ValueError or RecursionError if there is none."""
        size = CHUNK
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.buffer, self.position)
                self.skip(end)
                return value
            except (ValueError, RecursionError):
                if not self._read_on(size):
                    raise
            size *= 2


def read_json_array(file: io.TextIOBase, problems: Problems, name: str) -> Iterator[Record]:
    text = _JsonText(file)
    yield from _array_elements(text, problems, name)
    rest = text.next_character()
    if rest and not problems.tell_of(name):
        found = f"{quote(text.buffer[text.position :][:60])} after the array's end"
        problems.add("not JSON", f"{name}:{text.line}", found, f"[{TAGS_EXAMPLE}, ...]")


def _array_elements(text: _JsonText, problems: Problems, name: str) -> Iterator[Record]:
    separator = "["
    while True:
        found = text.next_character()
        if found != separator and not (separator == "," and found == "]"):
            around = quote(text.buffer[text.position : text.position + 60])
            wrong = f"{around} where {separator!r} was due" if found else "no ']' at its end"
            problems.add("not JSON", f"{name}:{text.line}", wrong, f"[{TAGS_EXAMPLE}, ...]")
            return
        text.skip(text.position + 1)
        if found == "]":
            return
        if found == "[" and text.next_character() == "]":
            text.skip(text.position + 1)
            return
        text.next_character()
        separator, line = ",", text.line
        try:
            value = text.value()
        except (ValueError, RecursionError) as error:
            found = f"{_reason(error)} in {quote(text.buffer[text.position :])}"
            problems.add("not JSON", f"{name}:{line}", found, f"[{TAGS_EXAMPLE}, ...]")
            return
        yield from _records_of(value, line, problems, name)


def read_json_object(file: io.TextIOBase, problems: Problems, name: str) -> Iterator[Record]:
    """One JSON object: a record over several lines, or records in an array inside it."""
    text = _JsonText(file)
    text.next_character()
    inside = WRAPPED_RECORDS.match(text.buffer)
    if inside:
        text.skip(inside.end())
        yield from _array_elements(text, problems, name)
        return
    try:
        value, rest = text.value(), text.next_character()
    except (ValueError, RecursionError) as error:
        problems.add("not JSON", f"{name}:{text.line}", _reason(error), TAGS_EXAMPLE)
        return
    if rest:
        found = f"{quote(text.buffer[text.position :][:60])} after the object's end"
        expected = "one object on each line, or an array of objects"
        problems.add("not JSON", f"{name}:{text.line}", found, expected)
    yield from _records_of(value, 1, problems, name)


# --- CSV and tables ---------------------------------------------------------------------------


def read_csv(
    file: Iterable[str], problems: Problems, name: str, delimiter: str
) -> Iterator[Record]:
    """Rows under a header; cells that hold lists as lists, blank rows as sentence ends.

    `file` gives lines with their ends, for these may belong to a word in quotes.
    """
    lines = iter(file)
    head = list(itertools.islice(lines, HEAD))
    quoted = delimiter != "\t" or _has_quoted_cells(head)
    csv.field_size_limit(1 << 30)  # a list of words in a cell may be longer than the default
    rows = csv.reader(
        itertools.chain(head, lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=True,
    )
    header, listed, line = None, None, 1
    try:
        for row in rows:
            first, line = line, rows.line_num + 1
            if header is None:
                header = row or None
                twice = [key for key, count in Counter(row).items() if count > 1]
                if twice:
                    found = f"{', '.join(map(quote, twice))} in {quote(delimiter.join(row))}"
                    problems.add("columns of one name", f"{name}:{first}", found, CSV_EXAMPLE)
            elif not any(row):
                yield Record(first, None)
            elif len(row) != len(header):
                found = f"{counted(len(row), 'cell')} in {quote(delimiter.join(row))}"
                expected = f"{len(header)}, as in its header {quote(delimiter.join(header))}"
                problems.add("rows of another width", f"{name}:{first}", found, expected)
            else:
                if listed is None:  # decided by the first row: the word [1] is no list
                    listed = [isinstance(_cell(cell), list) for cell in row]
                cells = zip(header, row, listed, strict=True)
                yield Record(
                    first, {key: _cell(cell) if is_list else cell for key, cell, is_list in cells}
                )
    except csv.Error as error:
        expected = "quotes closed, those inside a cell doubled"
        problems.add("not CSV", f"{name}:{line}", str(error), expected)


def _has_quoted_cells(lines: list[str]) -> bool:
    """Whether quotes in cells are written as CSV writes them, rather than as they are."""
    cells = [cell for line in lines for cell in line.rstrip("\r\n").split("\t") if '"' in cell]
    return any(len(cell) > 2 for cell in cells) and all(map(QUOTED_CELL.fullmatch, cells))


def _cell(cell: str) -> str | list:
    """A list of words or labels where the cell holds one, in JSON's or Python's writing."""
    if not (cell.startswith("[") and cell.endswith("]")):
        return cell
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        if not PYTHON_LIST.fullmatch(cell):
            return cell
        try:
            value = ast.literal_eval(cell)
        except (ValueError, SyntaxError):
            return cell
    return value


def open_table(path, form: str, wanted: Wanted, problems: Problems) -> Opened:
    """A file of parquet, Arrow's file format or its stream format; lines are rows from 1."""
    import pyarrow
    import pyarrow.parquet

    broken = (pyarrow.ArrowException, OSError, EOFError, ValueError, zlib.error)
    name = str(path)

    def batches(source) -> Iterator:
        try:
            for batch in source:
                batch.validate(full=True)  # else a damaged file may end the process
                yield batch
        except broken as error:
            problems.add("unreadable file", name, str(error))

    try:
        file = open_bytes(path)
        if form == "parquet":
            table = pyarrow.parquet.ParquetFile(file)
            schema = table.schema_arrow
            columns = relevant_columns(schema.names, wanted)
            found = table.iter_batches(batch_size=HEAD, columns=columns)
        elif form == "arrow":
            table = pyarrow.ipc.open_file(file)
            schema = table.schema
            found = map(table.get_batch, range(table.num_record_batches))
        else:
            found = pyarrow.ipc.open_stream(file)
            schema = found.schema
    except broken as error:
        problems.add("unreadable file", name, str(error))
        return NOTHING
    records = records_of_batches(batches(found))
    return open_records(records, wanted, problems, name, class_names(schema.metadata))


def records_of_batches(batches: Iterable) -> Iterator[Record]:
    """Rows, numbered from 1, of pyarrow tables or record batches."""
    rows = itertools.chain.from_iterable(batch.to_pylist() for batch in batches)
    return itertools.starmap(Record, enumerate(rows, 1))


def relevant_columns(names: list[str], wanted: Wanted) -> list[str]:
    """Those that words, labels, sentences or documents may be in: pictures need not be read."""
    asked = [column for column in (wanted.text, wanted.labels) if column is not None]
    known = {*asked, *TEXT_COLUMNS, *label_columns(wanted.task), *SPAN_COLUMNS}
    known |= {*SENTENCE_COLUMNS, *DOCUMENT_COLUMNS, "answer"}
    found = [name for name in names if name in known or name.lower() in known]
    return found if found and set(asked) <= set(found) else names


def class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of integer labels by column, from what `datasets` writes into a table's schema."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    inner = {
        column: feature[0] if isinstance(feature, list) else feature.get("feature", feature)
        for column, feature in features.items()
        if feature
    }
    return {
        column: feature["names"]
        for column, feature in inner.items()
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }
