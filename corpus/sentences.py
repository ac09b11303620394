"""What all readers share: sentences, what is wrong with a corpus, and text line by line."""

import codecs
import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

HEAD = 1000  # lines or records that a layout is found out from
CHUNK = 1 << 18  # characters of a file in memory at a time
SHOWN = 20  # lines told of each kind of problem
TEXT_COLUMNS = ("tokens", "words", "token", "word", "form", "text", "sentence")
BLANK = " \t"  # other white space may be a word
ENCODINGS = (  # UTF-32's marks before UTF-16's, which begin them
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Sentence(NamedTuple):
    words: Sequence[str]
    tags: Sequence[str] | Sequence[int] | None  # integers are numbers of label names
    document: str | None
    lines: Sequence[int]  # where each word stands: its line, or its row of a table


class Wanted(NamedTuple):
    """What the user asked for; columns are names or numbers from 0, negative from the end."""

    task: str = "ner"
    text: str | None = None
    labels: str | None = None


class Opened(NamedTuple):
    """A file whose layout is known; reading `sentences` fills the `Problems` it was given."""

    sentences: Iterator[Sentence]
    layout: str = ""  # for people: where words and tags were found
    labelled: bool = False
    label_names: list[str] | None = None  # of integer labels, where the file itself has them
    raw_text: bool = False  # the words come from the suite's own splitter


NOTHING = Opened(iter(()))


class Findings:
    """What was found, by kind: of each kind the first lines, and how many there are."""

    def __init__(self):
        self.kinds: dict[str, Finding] = {}

    def add(self, kind: str, place: str, found: str, expected: str = "") -> None:
        self.add_lines(kind, [f"{place}: {found}"], 1, expected)

    def add_lines(self, kind: str, lines: list[str], count: int, expected: str = "") -> None:
        """Add `count` findings, of which `lines` are the first."""
        entry = self.kinds.setdefault(kind, Finding(expected))
        entry.count += count
        entry.lines += lines[: SHOWN - len(entry.lines)]

    def tell_of(self, file: str) -> bool:
        """Whether anything was found in this file."""
        lines = (line for entry in self.kinds.values() for line in entry.lines)
        return any(line.startswith(f"{file}:") for line in lines)

    def __bool__(self) -> bool:
        return bool(self.kinds)

    def __str__(self) -> str:
        return "\n".join(line for kind, entry in self.kinds.items() for line in entry.text(kind))


class Finding:
    def __init__(self, expected: str):
        self.expected, self.count, self.lines = expected, 0, []

    def text(self, kind: str) -> list[str]:
        left = self.count - len(self.lines)
        return [
            f"{kind}:" if self.count == 1 else f"{kind} ({self.count:,}):",
            *(f"  {line}" for line in self.lines),
            *([f"  ... and {left:,} more"] if left else []),
            *([f"  expected: {self.expected}"] if self.expected else []),
        ]


class Problems(Findings):
    """What is wrong with a corpus; `warnings` what a user should know but what stops nothing."""

    def __init__(self):
        super().__init__()
        self.warnings = Findings()


def quote(value) -> str:
    """What was found, on one line of bearable length."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return repr(text) if len(text) <= 80 else f"{text[:77]!r}..."


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def label_columns(task: str) -> tuple[str, ...]:
    """Names of the label column, the likeliest first."""
    names = (f"{task}_tags", task, f"{task}_tag", f"{task}_labels")
    if task == "pos":
        names += ("upos", "upos_tags")
    return (*names, "labels", "tags", "label", "tag")


def first_named(names: Sequence[str], candidates) -> int | None:
    """Position in `names` of the first candidate that is there, in whatever case."""
    lowered = [name.lower() for name in names]
    return next((lowered.index(name) for name in candidates if name in lowered), None)


def asked_column(asked: str, names: Sequence[str], width: int) -> int | None:
    """Position of the column that the user named, or numbered from 0 (negative: from the end)."""
    position = first_named(names, [asked.lower()])
    if asked in names:
        return names.index(asked)
    if position is None and asked.removeprefix("-").isdecimal() and -width <= int(asked) < width:
        return int(asked) % width
    return position


# --- Text -----------------------------------------------------------------------------------


def open_bytes(path):
    """The file's bytes, unpacked if it is gzip's (known by content)."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")


def encoding_of(head: bytes) -> str:
    return next((name for mark, name in ENCODINGS if head.startswith(mark)), "utf-8")


def open_text(path) -> io.TextIOWrapper:
    """Only LF ends a line: other line ends and controls may belong to words."""
    with open_bytes(path) as file:
        encoding = encoding_of(file.read(4))
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="\n")


@contextlib.contextmanager
def reading(path, problems: Problems) -> Iterator[io.TextIOWrapper]:
    """An open text file; what is wrong with its bytes goes to `problems`."""
    try:
        with open_text(path) as file:
            yield file
    except UnicodeError:
        report_bad_bytes(path, problems)
    except (OSError, EOFError, zlib.error) as error:
        problems.add("unreadable file", str(path), str(error))


def text_lines(path, problems: Problems) -> Iterator[str]:
    """Lines without their ends, LF or CRLF; split a chunk at a time, which is faster."""
    with reading(path, problems) as file:
        unfinished = []
        while chunk := file.read(CHUNK):
            unfinished.append(chunk)
            if "\n" in chunk:
                text = "".join(unfinished)
                *lines, rest = text.split("\n")
                yield from [line.removesuffix("\r") for line in lines] if "\r" in text else lines
                unfinished = [rest]
        if any(unfinished):
            yield "".join(unfinished).removesuffix("\r")


def report_bad_bytes(path, problems: Problems) -> None:
    """Name the lines that are not in the file's encoding."""
    expected = "UTF-8; convert with: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEWFILE"
    with open_bytes(path) as file:
        encoding = encoding_of(file.read(4))
    if not encoding.startswith("utf-8"):
        problems.add("wrong encoding", str(path), f"not all of it is {encoding.upper()}", expected)
        return
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                if b"\0" in line:
                    problems.add("no text", str(path), bad_byte(line, error), "a file of text")
                    return
                problems.add("wrong encoding", f"{path}:{number}", bad_byte(line, error), expected)


def bad_byte(line: bytes, error: UnicodeDecodeError) -> str:
    """The byte that is not UTF-8, and what the line may be, if it is text at all."""
    byte = f"byte 0x{line[error.start]:02x}"
    if b"\0" in line:
        return f"{byte} and zero bytes in a line, as no text has"
    likely = line.rstrip(b"\r\n").decode("cp1252", "replace")
    return f"{byte}, perhaps {quote(likely)}"
