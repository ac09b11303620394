"""Tables read into records: CSV, parquet, Arrow."""

import csv
import itertools
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from corpus.formats.cells import cell_value
from corpus.formats.column_names import (
    DOCUMENT_COLUMNS,
    DOCUMENT_NAME,
    HEAD_SIZE,
    RECORD_ID_COLUMNS,
    SENTENCE_COLUMNS,
    SPAN_COLUMNS,
    TEXT_COLUMNS,
    label_columns,
)
from corpus.formats.exports import EXPORT_COLUMNS
from corpus.formats.record_source import open_records
from corpus.formats.records import LISTS_EXAMPLE, Record
from corpus.formats.rows import ROWS_EXAMPLE
from corpus.formats.sentence import UNREADABLE, OpenedSource, ReadOptions
from corpus.formats.spans import EDGE_KEYS
from corpus.formats.text import BLANK, MAX_LINE, FilePath, is_compressed, open_bytes, regular_file
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import counted, quote

DELIMITER_LINE = re.compile(r'"?sep=([,;\t|])"?')  # Excel's first line
QUOTED_CELL = re.compile('"(?:[^"]|"")*"')


def read_csv(
    file: Iterable[str],
    problems: Problems,
    name: str,
    delimiter: str,
    head: list[str] | None = None,
) -> Iterator[Record]:
    """Yield the rows under the header of a CSV file; add rows that do not fit to `problems`.

    Cells that hold lists are returned as lists; blank rows end sentences. `file` yields lines
    with their ends, because these may belong to a word in quotes. `head`: the first lines, if the
    caller has taken them from `file`, as from a slow pipe.
    """
    lines = iter(file)
    if head is None:
        head = list(itertools.islice(lines, HEAD_SIZE))
    quoted = delimiter != "\t" or _has_quoted_cells(head)
    csv.field_size_limit(MAX_LINE)  # a list of words in a cell may be longer than the default
    rows = csv.reader(
        itertools.chain(head, lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=_has_spaced_names(head, delimiter),
        strict=True,
    )
    header: list[str] | None = None
    unused = 0  # columns without a name at the end, which spreadsheets write
    holds_list: dict[int, bool] = {}
    line = 1
    for row in _rows_of_csv(rows, problems, name):
        first, line = line, rows.line_num + 1
        while unused and len(row) > len(header or ()) and not row[-1]:
            row.pop()
        if header is None:
            if DELIMITER_LINE.fullmatch(delimiter.join(row)):
                continue
            row = [cell.strip(BLANK) for cell in row]
            header = row or None
            unused = len(row)
            while row and not row[-1]:
                row.pop()
            unused -= len(row)
            repeated = [key for key, count in Counter(row).items() if count > 1]
            if repeated:
                detail = f"{', '.join(map(quote, repeated))} in {quote(delimiter.join(row))}"
                kind = ProblemKind.REPEATED_COLUMN_NAME
                problems.add(Problem(kind, Place(name, first), detail, ROWS_EXAMPLE))
        elif not any(row):
            yield Record(first, None)
        elif len(row) != len(header):
            detail = f"{counted(len(row), 'cell')} in {quote(delimiter.join(row))}"
            expected = f"{len(header)} cells, as in the header {quote(delimiter.join(header))}"
            place = Place(name, first)
            problems.add(Problem(ProblemKind.ROW_WIDTH, place, detail, expected))
        else:
            for position, cell in enumerate(row):
                # The first value of a column decides, so that the word [1] stays a word.
                if cell and position not in holds_list:
                    holds_list[position] = not isinstance(cell_value(cell), str)
            yield Record(
                first,
                {
                    key: cell_value(cell) if holds_list.get(position) else cell
                    for position, (key, cell) in enumerate(zip(header, row, strict=True))
                },
            )


def _rows_of_csv(rows: Any, problems: Problems, name: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV reader; add a malformed row to `problems`, and continue."""
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            expected = "closed quotes; quotes inside a cell are doubled"
            problems.add(Problem(ProblemKind.NOT_CSV, Place(name, line), str(error), expected))
            continue
        if row is None:
            return
        yield row


def _has_spaced_names(lines: list[str], delimiter: str) -> bool:
    """Return whether a space follows each delimiter of the header, so that names do not have it."""
    header = next(filter(str.strip, lines), "")
    return header.count(f"{delimiter} ") == header.count(delimiter) > 0


def _has_quoted_cells(lines: list[str]) -> bool:
    """Return whether tab-separated cells are quoted as in CSV; otherwise quotes belong to words."""
    rows = [line.rstrip("\r\n").split("\t") for line in lines]
    cells = [cell for row in rows for cell in row if '"' in cell]
    if any(len(cell) > 2 for cell in cells) and all(map(QUOTED_CELL.fullmatch, cells)):
        return True
    if len({len(row) for row in rows if row != [""]}) < 2:
        return False
    # Line feeds in quoted texts: the rows are equally wide only if the quotes are read.
    try:
        quoted = list(csv.reader(lines, delimiter="\t"))[:-1]  # the last may be incomplete
    except csv.Error:  # a carriage return in a cell
        return False
    return len({len(row) for row in quoted if row}) == 1


def open_table(
    path: FilePath, table_format: str, options: ReadOptions, problems: Problems
) -> OpenedSource:
    """Open a table; `table_format` is "parquet", "arrow" (a file) or "arrow stream".

    Rows count as lines, from 1.
    """
    name = str(path)
    try:
        schema, _ = _open_batches(path, table_format, options)
        names = schema.names  # decodes them: a damaged name is not UTF-8
    except _table_errors() as error:
        problems.add(Problem(ProblemKind.UNREADABLE_FILE, Place(name), _reason(error)))
        return UNREADABLE
    if repeated := [quote(key) for key, count in Counter(names).items() if count > 1]:
        detail = f"{', '.join(repeated)} in {quote(', '.join(names))}"
        problems.add(Problem(ProblemKind.REPEATED_COLUMN_NAME, Place(name), detail, LISTS_EXAMPLE))
        return UNREADABLE

    def read_records(target: Problems) -> Iterator[Record]:
        return read_table(path, table_format, options, target)

    return open_records(read_records, options, problems, name, class_names(schema.metadata))


def read_table(
    path: FilePath,
    table_format: str,
    options: ReadOptions | None,
    problems: Problems,
    name: str | None = None,
) -> Iterator[Record]:
    """Yield the rows of a table; `table_format` as in `open_table`.

    `options`: read only the columns that may be needed; None for all columns. `name`: the name of
    the file in messages; default: its path.
    """
    try:
        _, batches = _open_batches(path, table_format, options)
        yield from records_of_batches(map(_validated, batches))
    except _table_errors() as error:
        place = Place(str(path) if name is None else name)
        problems.add(Problem(ProblemKind.UNREADABLE_FILE, place, _reason(error)))


def _table_errors() -> tuple[type[Exception], ...]:
    """Return the errors that a damaged table causes, or one with values that Python lacks."""
    # Imported here because only these files need it.
    import pyarrow

    # MemoryError: a damaged length asks for more memory than there is.
    plain = (OSError, EOFError, ValueError, OverflowError, MemoryError, zlib.error)
    return (pyarrow.ArrowException, *plain)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"asks for more memory than there is; the file is damaged ({error})"
    return str(error)


def _open_batches(
    path: FilePath, table_format: str, options: ReadOptions | None
) -> tuple[Any, Iterable[Any]]:
    """Return the schema of a table, and its batches, without columns that are not needed."""
    import pyarrow
    import pyarrow.parquet

    # A mapped file has an end, which a damaged length cannot exceed.
    file = open_bytes(path) if is_compressed(path) else pyarrow.memory_map(str(regular_file(path)))
    if table_format == "parquet":
        table = pyarrow.parquet.ParquetFile(file)
        columns = _columns_to_read(table.schema_arrow, options)
        return table.schema_arrow, table.iter_batches(batch_size=HEAD_SIZE, columns=columns)
    if table_format == "arrow":
        reader = pyarrow.ipc.open_file(file)
        batches = map(reader.get_batch, range(reader.num_record_batches))
    else:
        reader = batches = pyarrow.ipc.open_stream(file)
    columns = _columns_to_read(reader.schema, options)
    return reader.schema, (batch.select(columns) for batch in batches)


def _columns_to_read(schema: Any, options: ReadOptions | None) -> list[str]:
    return schema.names if options is None else relevant_columns(schema, options)


def _validated(batch: Any) -> Any:
    batch.validate(full=True)  # a damaged batch could crash the process otherwise
    return batch


def records_of_batches(batches: Iterable[Any]) -> Iterator[Record]:
    """Yield the rows of pyarrow tables or record batches, numbered from 1.

    Raises ValueError for values that Python cannot hold, such as dates after the year 9999.
    """
    rows = itertools.chain.from_iterable(map(_rows, batches))
    return itertools.starmap(Record, enumerate(rows, 1))


def _rows(batch: Any) -> list[dict[str, Any]]:
    try:
        return batch.to_pylist()
    except _table_errors() as error:
        raise ValueError(f"{_unreadable_columns(batch)}: {error}") from error


def _unreadable_columns(batch: Any) -> str:
    """Name the columns whose values Python cannot hold, with their types."""
    bad = []
    for field in batch.schema:
        try:
            batch[field.name].to_pylist()
        except _table_errors():
            bad.append(f"column {field.name!r} ({field.type})")
    return ", ".join(bad)


def relevant_columns(schema: Any, options: ReadOptions) -> list[str]:
    """Return the columns that may be needed, so that others, such as images, are not read.

    `schema`: the names and types of the columns, of pyarrow. Lists of strings may be tags, and
    lists of objects may be spans or sentences, whatever their names. Without a column of labels,
    strings may be tags, too.
    """
    # Imported here because only these files need it.
    import pyarrow

    names = schema.names
    requested = {
        column for column in (options.text_column, options.label_column) if column is not None
    }
    labels = {*label_columns(options.task), *SPAN_COLUMNS}
    known = {*requested, *TEXT_COLUMNS, *labels, *SENTENCE_COLUMNS, *DOCUMENT_COLUMNS}
    known |= {*RECORD_ID_COLUMNS, *EXPORT_COLUMNS}

    def may_hold_tags(kind: Any) -> bool:
        is_list = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)
        kind = kind.value_type if is_list else kind
        if is_list and pyarrow.types.is_struct(kind):  # sentences of a document, or spans
            keys = {*TEXT_COLUMNS, *EDGE_KEYS[0]}
            return any(inner.name in keys or inner.name.lower() in keys for inner in kind)
        is_string = pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
        return is_string and (is_list or not any(name.lower() in labels for name in names))

    relevant = [
        field.name
        for field in schema
        if field.name in known
        or field.name.lower() in known
        or ".responses" in field.name  # Argilla
        or DOCUMENT_NAME.fullmatch(field.name)
        or may_hold_tags(field.type)
    ]
    return relevant if relevant and requested <= set(relevant) else names


def class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """Return the names of integer labels by column, as `datasets` writes them into a schema.

    Metadata of the same name that `datasets` did not write give no names.
    """
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        features = dict(features.items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    for feature in list(features.values()):  # also those of the sentences of a document
        part = feature[0] if isinstance(feature, list) and feature else feature
        part = part.get("feature", part) if isinstance(part, dict) else None
        if isinstance(part, dict) and "_type" not in part:
            features = {**part, **features}
    names = {column: _names_of_feature(feature) for column, feature in features.items()}
    return {column: listed for column, listed in names.items() if listed}


def _names_of_feature(feature: Any) -> list[str] | None:
    """Return the names of a feature's labels, or of those of the lists that it holds."""
    if isinstance(feature, list):
        feature = feature[0] if feature else None
    if isinstance(feature, dict):
        feature = feature.get("feature", feature)
    names = feature.get("names") if isinstance(feature, dict) else None
    named = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if named else None
