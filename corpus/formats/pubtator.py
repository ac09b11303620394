"""PubTator, of BC5CDR and NCBI-Disease: a title and an abstract, then a line for each mention."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from corpus.formats.records import Record, RecordLayout
from corpus.formats.sentence import LayoutKind
from corpus.formats.text import BLANK
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import quote

HEADER = re.compile(r"\s*+[\w.-]++\|t\|.*+\n[\w.-]++\|a\|")
TEXT = re.compile(r"([\w.-]+)\|([a-z])\|(.*)", re.DOTALL)
MENTION = re.compile(r"[\w.-]+\t(\d+)\t(\d+)\t([^\t]*)\t([^\t]+)(?:\t.*)?")
RELATION = re.compile(r"[\w.-]+\t[A-Za-z][^\t]*\t[^\t]+\t[^\t]+")
EXAMPLE = (
    "the lines of a document together: its title, its abstract, and for each mention its number, "
    "the first character, the one after the last, the text and the type, separated by tabs"
)

PUBTATOR_LAYOUT = RecordLayout(LayoutKind.TEXT, "text", "spans", None, "doc_id", None, by_line=True)


def read_pubtator(lines: Iterable[str], problems: Problems, name: str) -> Iterator[Record]:
    """Yield a record for each document; its texts are separated by line feeds."""
    texts: list[str] = []
    spans: list[Any] = []
    document, first = "", 0
    for number, line in enumerate(lines, 1):
        text = TEXT.fullmatch(line)
        mention = MENTION.fullmatch(line)
        if not line.strip(BLANK) or (text and text[2] == "t" and texts):
            yield from _record(texts, spans, document, first)
            texts, spans = [], []
        if text:
            first = first if texts else number
            document = text[1]
            texts.append(text[3])
        elif mention and texts:
            start, end, own_text, label = mention.groups()
            span = {"start": int(start), "end": int(end), "label": label, "text": own_text}
            spans.append(span)
        elif line.strip(BLANK) and (mention or not RELATION.fullmatch(line)):
            place = Place(name, number, None, document or None)
            kind = ProblemKind.RECORD_WITHOUT_TEXT if mention else ProblemKind.ROW_WIDTH
            problems.add(Problem(kind, place, quote(line), EXAMPLE))
    yield from _record(texts, spans, document, first)


def _record(texts: list[str], spans: list[Any], document: str, line: int) -> Iterator[Record]:
    if texts:
        yield Record(line, {"text": "\n".join(texts), "spans": spans, "doc_id": document})
