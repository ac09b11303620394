"""Records of one word each, grouped into sentences."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from corpus.formats.blank_words import is_blank_row
from corpus.formats.column_names import HEAD_SIZE
from corpus.formats.label_column import typed_tag
from corpus.formats.lists import fault_of_tags, fault_of_words
from corpus.formats.records import (
    Fault,
    Record,
    RecordLayout,
    document_of,
    identifier,
    missing_field,
    record_id_of,
)
from corpus.formats.sentence import ReadOptions, Sentence
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import quote

ROWS_EXAMPLE = "a header such as: sentence_id,token,ner_tag"
SORTED_EXAMPLE = "the rows of a sentence together: sort them by document and sentence"
NUMBER_AT_END = re.compile(r"\d{1,18}$")


NO_ID = (None, "", "NaN", "nan")  # missing values, as tables write them


class _Key(NamedTuple):
    """The identity of a sentence: its document and its id, as far as there are any."""

    document: str | None
    sentence: str | int | None


class _Row(NamedTuple):
    """A word with its sentence; without a key, the end of a sentence."""

    line: int
    key: _Key | None = None
    word: str = ""
    tag: Any = None
    record_id: str | None = None


def read_rows(
    records: Iterable[Record],
    layout: RecordLayout,
    options: ReadOptions,
    problems: Problems,
    name: str,
) -> Iterator[Sentence]:
    """Yield sentences; add rows that cannot be read to `problems`.

    A sentence ends at a blank row, and before a row with another id or document. A row with an
    empty id belongs to the sentence before it. Ids may begin again in each document. If the rows of
    sentences are interleaved, they are joined by id, for which all of them are held in memory.
    """
    rows = _rows(records, layout, options, problems, name)
    if layout.sentence is not None:
        head = list(itertools.islice(rows, HEAD_SIZE))
        rows = itertools.chain(head, rows)
        groups = _Groups(named_documents=layout.document is not None)
        interleaved = not all(row.key is None or groups.add(row.key) for row in head)
        if interleaved or (groups.restarts and 2 * groups.of_one_row > groups.count):
            rows = _joined(rows, problems, name)
        else:
            rows = _checked(rows, layout, problems, name)
    has_tags = layout.labels is not None
    for (key, _), group in itertools.groupby(_numbered(rows), _key_and_number):
        if key is not None:
            members = [row for row, _ in group]
            yield Sentence(
                [row.word for row in members],
                [row.tag for row in members] if has_tags else None,
                key.document,
                [row.line for row in members],
                name,
                members[0].record_id,
            )


def _numbered(rows: Iterable[_Row]) -> Iterator[tuple[_Row, int]]:
    """Yield rows with the number of sentence ends before them."""
    ends = 0
    for row in rows:
        ends += row.key is None
        yield row, ends


def _key_and_number(numbered: tuple[_Row, int]) -> tuple[_Key | None, int]:
    return numbered[0].key, numbered[1]


def _rows(
    records: Iterable[Record],
    layout: RecordLayout,
    options: ReadOptions,
    problems: Problems,
    name: str,
) -> Iterator[_Row]:
    """Yield the rows that can be read, with the sentence that each belongs to."""
    sentence: Any = None
    document: str | None = None
    for record in records:
        line, fields = record.line, record.fields
        if fields is None:
            yield _Row(line)
            continue
        new_sentence = None if layout.sentence is None else fields.get(layout.sentence)
        has_id = new_sentence not in NO_ID and new_sentence == new_sentence  # NaN
        new_document = document_of(fields, layout)
        word: Any = fields.get(layout.text)
        tag: Any = None if layout.labels is None else fields.get(layout.labels)
        if layout.types is not None:
            tag = typed_tag(tag, fields.get(layout.types))
        if not has_id and is_blank_row(word, tag):
            problems.warnings.add(Problem(ProblemKind.BLANK_ROW, Place(name, line), quote(fields)))
            yield _Row(line)
            continue
        if new_document not in (*NO_ID, document):
            document, sentence = new_document, None
        if has_id:
            is_id = isinstance(new_sentence, str | int)
            sentence = new_sentence if is_id else str(new_sentence)
        record_id = record_id_of(record, layout) if sentence is None else identifier(sentence)
        fault = missing_field(fields, layout, options) or fault_of_words([word], layout.text)
        if fault is None and "\n" in word:
            fault = Fault(ProblemKind.OPEN_QUOTES, quote(word))
        if fault is None and layout.labels is not None:
            fault = fault_of_tags([tag], [word], layout.labels)
        if fault is None and layout.sentence is not None and sentence is None:
            detail = f"no {layout.sentence!r} in {quote(fields)}"
            fault = Fault(ProblemKind.WORD_WITHOUT_SENTENCE, detail)
        if fault:
            place = Place(name, line, record_id, document)
            problems.add(fault.at(place, ROWS_EXAMPLE, word if isinstance(word, str) else None))
            continue
        yield _Row(line, _Key(document, sentence), word, tag, record_id)


# --- Ids that occur again -----------------------------------------------------------------------


class _Groups:
    """Groups of neighbouring rows with one id. Most groups of interleaved rows have one row.

    `named_documents`: a column names the documents. Otherwise a document begins where the ids
    restart from the lowest one.
    """

    def __init__(self, *, named_documents: bool) -> None:
        self.named_documents = named_documents
        self.count = self.restarts = self.of_one_row = 0
        self._size = 0  # of the current group
        self._current: _Key | None = None
        self._ended: set[int] = set()  # hashes of keys, which need less memory
        self._lowest: int | None = None

    def add(self, key: _Key) -> bool:
        """Return whether a row may follow the rows before it: its sentence has not ended."""
        if key == self._current:
            self._size += 1
            self.of_one_row -= self._size == 2
            return True
        number = _number_of(key)
        if hash(key) in self._ended:
            if self.named_documents or number is None or number != self._lowest:
                return False
            self._ended.clear()
            self.restarts += 1
        elif self._current is not None:
            self._ended.add(hash(self._current))
        self._current = key
        self._size = 1
        self.count += 1
        self.of_one_row += 1
        if number is not None:
            self._lowest = number if self._lowest is None else min(self._lowest, number)
        return True


def _number_of(key: _Key) -> int | None:
    """Return the number at the end of a sentence id, as in "Sentence: 12"."""
    match = NUMBER_AT_END.search(str(key.sentence))
    return None if match is None else int(match[0])


def _checked(
    rows: Iterable[_Row], layout: RecordLayout, problems: Problems, name: str
) -> Iterator[_Row]:
    """Yield rows; report ids that begin again, and rows whose sentence has ended before."""
    groups = _Groups(named_documents=layout.document is not None)
    for row in rows:
        restarts = groups.restarts
        if row.key is not None and not groups.add(row.key):
            detail = f"{quote(row.word)} of sentence {quote(row.key.sentence)}, which ended before"
            place = Place(name, row.line, row.record_id, row.key.document)
            problem = Problem(ProblemKind.SCATTERED_SENTENCE, place, detail, SORTED_EXAMPLE)
            problems.add(problem)
            continue
        if groups.restarts > restarts and row.key is not None:
            detail = f"{quote(row.key.sentence)} again"
            expected = "a column that names the documents, such as doc_id"
            place = Place(name, row.line, row.record_id, row.key.document)
            problems.warnings.add(Problem(ProblemKind.REPEATED_IDS, place, detail, expected))
            yield _Row(row.line)  # the sentence before may have the same id
        yield row


def _joined(rows: Iterable[_Row], problems: Problems, name: str) -> Iterator[_Row]:
    """Yield rows sorted by sentence, in the order of the first row of each; report moved rows."""
    sentences: dict[_Key, list[_Row]] = {}
    before: _Key | None = None
    for row in rows:
        if row.key is None:
            continue
        if row.key != before and row.key in sentences:
            detail = f"{quote(row.word)} of sentence {quote(row.key.sentence)}"
            place = Place(name, row.line, row.record_id, row.key.document)
            problems.warnings.add(Problem(ProblemKind.JOINED_ROWS, place, detail))
        sentences.setdefault(row.key, []).append(row)
        before = row.key
    for sentence_rows in sentences.values():
        yield from sentence_rows
