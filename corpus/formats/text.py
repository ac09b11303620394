"""Files as text: pipes, gzip, encodings, lines, limits, and problems of the bytes."""

import codecs
import contextlib
import functools
import gzip
import io
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

from corpus.problems import Place, Problem, ProblemKind, Problems
from support.processes import world_size
from support.text import quote

CHUNK_SIZE = 1 << 18  # characters of a file in memory at a time
MAX_LINE = 50_000_000  # characters of a line, a cell, or an element of a JSON array
MAX_EXPANSION = 200  # bytes for each compressed byte; text has about 5, a repeated line 1000
ALWAYS_EXPANDED = 10_000_000  # bytes that any compressed file may have
BYTE_ORDER_MARK = "\ufeff"
BLANK = " \t"  # other white space may be a word
ENCODINGS = (  # UTF-32 before UTF-16: one of its marks begins with UTF-16's
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FilePath = str | os.PathLike[str]
READ_ERRORS = (OSError, EOFError, zlib.error)


class TooLarge(OSError):
    """A file beyond a limit; damaged or hostile files would otherwise exhaust the memory."""


@functools.cache
def _copies() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of copies of pipes; it is deleted when Python ends."""
    return tempfile.TemporaryDirectory(prefix="token-classification-pipes-")


@functools.cache
def _copy_of_pipe(path: str) -> str:
    """Read a pipe once and whole; return the path of a file with its content."""
    with (
        open(path, "rb") as pipe,
        tempfile.NamedTemporaryFile(dir=_copies().name, delete=False) as file,
    ):
        shutil.copyfileobj(pipe, file)
    return file.name


def regular_file(path: FilePath) -> FilePath:
    """Return a path that can be opened several times: a pipe is copied to a file.

    Raises OSError for a device, and for a pipe in a run of several processes, of which each would
    get a part of it.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise OSError("is a device, not a file")
    if not stat.S_ISFIFO(mode):
        return path
    if world_size() > 1:
        raise OSError("is a pipe, which only one process can read. Write it to a file first")
    return _copy_of_pipe(str(path))


class _LimitedGzip(gzip.GzipFile):
    """A compressed file that must not expand more than text does."""

    def __init__(self, path: FilePath) -> None:
        super().__init__(path)
        self.limit = max(ALWAYS_EXPANDED, MAX_EXPANSION * os.path.getsize(path))
        with open(path, "rb") as file:  # a whole file ends with its size, modulo 4 GiB
            file.seek(max(0, os.path.getsize(path) - 4))
            size = int.from_bytes(file.read(4), "little")
        if size > self.limit:  # decided before anything is done with the content
            with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
                while self.read(CHUNK_SIZE):
                    pass
            self.rewind()

    def read(self, size: int | None = -1) -> bytes:
        """Return at most `size` bytes."""
        content = super().read(self.limit + 1 if size is None or size < 0 else size)
        if self.tell() > self.limit:
            raise TooLarge(
                f"expands to more than {self.limit:,} bytes, {MAX_EXPANSION} times its size or "
                "more. If this is right, decompress it first"
            )
        return content


def is_compressed(path: FilePath) -> bool:
    """Return whether the content of a file is gzip."""
    with open(regular_file(path), "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_bytes(path: FilePath) -> IO[bytes]:
    """Open a file for reading bytes, decompressed if its content is gzip.

    Reading raises `TooLarge` where gzip expands beyond measure.
    """
    path = regular_file(path)
    if not is_compressed(path):
        return open(path, "rb")
    return io.BufferedReader(cast(io.RawIOBase, _LimitedGzip(path)), CHUNK_SIZE)


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
    """Open a text file; add errors that occur while its bytes are read to `problems`.

    A file that cannot be opened has no content.
    """
    try:
        file = open_text(path)
    except READ_ERRORS as error:
        report_unreadable(path, error, problems)
        file = io.TextIOWrapper(io.BytesIO())
    try:
        with file:
            yield file
    except UnicodeError:
        report_bad_bytes(path, problems)
    except READ_ERRORS as error:
        report_unreadable(path, error, problems)


def report_unreadable(path: FilePath, error: Exception, problems: Problems) -> None:
    """Add an error that occurred while a file was read to `problems`."""
    large = isinstance(error, TooLarge)
    kind = ProblemKind.TOO_LARGE if large else ProblemKind.UNREADABLE_FILE
    problems.add(Problem(kind, Place(str(path)), str(error)))


def text_lines(path: FilePath, problems: Problems) -> Iterator[str]:
    """Yield the lines of a file without their ends, LF or CRLF."""
    with reading(path, problems) as file:
        unfinished: list[str] = []
        length, line = 0, 1  # of the unfinished line
        while chunk := file.read(CHUNK_SIZE):  # splitting chunks is faster than reading lines
            unfinished.append(chunk)
            if "\n" in chunk:
                text = "".join(unfinished)
                *lines, rest = text.split("\n")
                if BYTE_ORDER_MARK in text:  # the start of a file that was appended to another
                    lines = [line.lstrip(BYTE_ORDER_MARK) for line in lines]
                yield from [line.removesuffix("\r") for line in lines] if "\r" in text else lines
                unfinished, length, line = [rest], len(rest), line + len(lines)
            else:
                length += len(chunk)
            if length > MAX_LINE:
                raise long_line(line)
        if any(unfinished):
            yield "".join(unfinished).removesuffix("\r").lstrip(BYTE_ORDER_MARK)


def long_line(number: int) -> TooLarge:
    """Return the error about a line that is too long."""
    return TooLarge(
        f"line {number} has more than {MAX_LINE:,} characters: a binary file, or a file without "
        "line ends"
    )


def lines_with_ends(file: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a file with their ends; raise `TooLarge` for a line that is too long."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise long_line(number)
        yield line.lstrip(BYTE_ORDER_MARK)


def report_bad_bytes(path: FilePath, problems: Problems) -> None:
    """Add each line of a file that is not valid in the file's encoding to `problems`."""
    name = str(path)
    expected = (
        "UTF-8. To convert: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEWFILE, with the file's own "
        "encoding in place of WINDOWS-1252 if the text above is wrong"
    )
    with open_bytes(path) as file:
        encoding = encoding_of(file.read(4))
    if not encoding.startswith("utf-8"):
        detail = f"some bytes are not {encoding.upper()}"
        problems.add(Problem(ProblemKind.WRONG_ENCODING, Place(name), detail, expected))
        return
    try:
        with open_bytes(path) as file:
            for number, lines in _blocks_of_lines(file):
                if _is_utf8(b"\n".join(lines)):
                    continue
                for line_number, line in enumerate(lines, number):
                    description = _bad_byte_of(line)
                    if description is None:
                        continue
                    if b"\0" in line:
                        kind, place = ProblemKind.NOT_TEXT, Place(name)
                        problems.add(Problem(kind, place, description, "a text file"))
                        return
                    kind, place = ProblemKind.WRONG_ENCODING, Place(name, line_number)
                    problems.add(Problem(kind, place, description, expected))
    except READ_ERRORS as error:
        report_unreadable(path, error, problems)


def _blocks_of_lines(file: IO[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number of a first line, and complete lines without their ends."""
    number, rest = 1, b""
    while block := file.read(CHUNK_SIZE):
        *lines, rest = (rest + block).split(b"\n")
        yield number, lines
        number += len(lines)
        if len(rest) > MAX_LINE:
            raise long_line(number)
    yield number, [rest]


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _bad_byte_of(line: bytes) -> str | None:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return bad_byte(line, error)
    return None


def bad_byte(line: bytes, error: UnicodeDecodeError) -> str:
    """Describe a byte that is not UTF-8, with its line decoded as Windows-1252."""
    byte = f"byte 0x{line[error.start]:02x}"
    if b"\0" in line:
        return f"{byte} and null bytes in one line, which text does not contain"
    likely = line.rstrip(b"\r\n").decode("cp1252", "replace")
    return f"{byte}, perhaps {quote(likely)}"
