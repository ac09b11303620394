"""brat's standoff annotation: a text file, and a file of the same name that ends in .ann."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.formats.records import Record, RecordLayout
from corpus.formats.sentence import LayoutKind
from corpus.formats.text import FilePath, encoding_of, reading, text_lines
from corpus.problems import Place, Problem, ProblemKind, Problems

ANNOTATION = re.compile(r"(?:T\d+\t\S+ \d+ \d+|[REAMN]\d+\t|[*#]\d*\t)")
TEXT_BOUND = re.compile(r"T\d+\t(\S+) (\d+(?: \d+;\d+)* \d+)(?:\t(.*))?")

BRAT_LAYOUT = RecordLayout(LayoutKind.TEXT, "text", "spans", None, "doc_id", None, by_line=True)


def files_of_brat(path: FilePath) -> tuple[str, str] | None:
    """Return the text file and the annotation file that belong together; None for other files.

    `path` is either of them. The text file need not exist.
    """
    suffix = Path(path).suffix
    if suffix not in (".txt", ".ann"):
        return None
    text, annotations = (str(Path(path).with_suffix(end)) for end in (".txt", ".ann"))
    return (text, annotations) if _is_annotation_file(annotations) else None


def _is_annotation_file(path: str) -> bool:
    """Return whether a file holds annotations, or nothing: a text without entities."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        head = file.read(4096)
    start = head.decode(encoding_of(head), "replace").lstrip("\ufeff\r\n \t")
    return not start or ANNOTATION.match(start) is not None


def without_annotation_files(paths: list[str]) -> list[str]:
    """Return the files without those that are read beside their text file."""
    pairs = [files_of_brat(path) for path in paths]
    return [
        path
        for path, pair in zip(paths, pairs, strict=True)
        if pair is None or path == pair[0] or pair[0] not in paths
    ]


def read_brat(text_path: str, annotation_path: str, problems: Problems) -> Iterator[Record]:
    """Yield the record of a document: its text, its spans and its name."""
    text = ""
    if not os.path.isfile(text_path):
        detail = f"{Path(text_path).name}, the text of {Path(annotation_path).name}, is missing"
        expected = "the text file and its .ann file in one folder, with the same name"
        problems.add(Problem(ProblemKind.UNREADABLE_FILE, Place(text_path), detail, expected))
        return
    with reading(text_path, problems) as file:
        text = file.read()
    if problems.concern(text_path):
        return
    spans = [_span(line, text) for line in text_lines(annotation_path, problems) if line[:1] == "T"]
    yield Record(1, {"text": text, "spans": spans or None, "doc_id": Path(text_path).stem})


def _span(line: str, text: str) -> Any:
    """Return the span of a line; the line itself if it is not a span, or is discontinuous.

    Parts that only white space separates are one span: brat splits spans at line ends.
    """
    match = TEXT_BOUND.fullmatch(line)
    if match is None:
        return line
    label, offsets, own_text = match.groups()
    numbers = list(map(int, re.split("[ ;]", offsets)))
    gaps = zip(numbers[1:-1:2], numbers[2:-1:2], strict=True)
    if any(text[end:start].strip() or end > start for end, start in gaps):
        return line
    return {"start": numbers[0], "end": numbers[-1], "label": label, "text": own_text}
