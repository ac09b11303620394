"""Files as text: gzip, encodings, lines, and problems of the bytes."""

import codecs
import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from typing import IO, cast

from corpus.problems import Place, Problem, ProblemKind, Problems
from support.text import quote

CHUNK_SIZE = 1 << 18  # characters of a file in memory at a time
BLANK = " \t"  # other white space may be a word
ENCODINGS = (  # UTF-32 before UTF-16: one of its marks begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FilePath = str | os.PathLike[str]


def is_compressed(path: FilePath) -> bool:
    """Return whether the content of a file is gzip."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_bytes(path: FilePath) -> IO[bytes]:
    """Open a file for reading bytes, decompressed if its content is gzip."""
    return cast(IO[bytes], gzip.open(path)) if is_compressed(path) else open(path, "rb")


def encoding_of(head: bytes) -> str:
    """Return the encoding that the first bytes of a file declare; UTF-8 without a mark."""
    return next((name for mark, name in ENCODINGS if head.startswith(mark)), "utf-8")


def open_text(path: FilePath) -> io.TextIOWrapper:
    """Open a text file in the encoding that its first bytes declare.

    Only LF ends a line: other line ends and control characters may belong to words.
    """
    with open_bytes(path) as file:
        encoding = encoding_of(file.read(4))
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline="\n")


@contextlib.contextmanager
def reading(path: FilePath, problems: Problems) -> Iterator[io.TextIOWrapper]:
    """Open a text file; add errors that occur while its bytes are read to `problems`."""
    try:
        with open_text(path) as file:
            yield file
    except UnicodeError:
        report_bad_bytes(path, problems)
    except (OSError, EOFError, zlib.error) as error:
        problems.add(Problem(ProblemKind.UNREADABLE_FILE, Place(str(path)), str(error)))


def text_lines(path: FilePath, problems: Problems) -> Iterator[str]:
    """Yield the lines of a file without their ends, LF or CRLF."""
    with reading(path, problems) as file:
        unfinished: list[str] = []
        while chunk := file.read(CHUNK_SIZE):  # splitting chunks is faster than reading lines
            unfinished.append(chunk)
            if "\n" in chunk:
                text = "".join(unfinished)
                *lines, rest = text.split("\n")
                yield from [line.removesuffix("\r") for line in lines] if "\r" in text else lines
                unfinished = [rest]
        if any(unfinished):
            yield "".join(unfinished).removesuffix("\r")


def report_bad_bytes(path: FilePath, problems: Problems) -> None:
    """Add each line of a file that is not valid in the file's encoding to `problems`."""
    name = str(path)
    expected = "UTF-8. To convert: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEWFILE"
    with open_bytes(path) as file:
        encoding = encoding_of(file.read(4))
    if not encoding.startswith("utf-8"):
        detail = f"some bytes are not {encoding.upper()}"
        problems.add(Problem(ProblemKind.WRONG_ENCODING, Place(name), detail, expected))
        return
    with open_bytes(path) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                detail = bad_byte(line, error)
                if b"\0" in line:
                    problem = Problem(ProblemKind.NOT_TEXT, Place(name), detail, "a text file")
                    problems.add(problem)
                    return
                place = Place(name, number)
                problems.add(Problem(ProblemKind.WRONG_ENCODING, place, detail, expected))


def bad_byte(line: bytes, error: UnicodeDecodeError) -> str:
    """Describe a byte that is not UTF-8, with its line decoded as Windows-1252."""
    byte = f"byte 0x{line[error.start]:02x}"
    if b"\0" in line:
        return f"{byte} and null bytes in one line, which text does not contain"
    likely = line.rstrip(b"\r\n").decode("cp1252", "replace")
    return f"{byte}, perhaps {quote(likely)}"
