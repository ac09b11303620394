"""Inputs as lines: read from files, folders and pipes, decoded; lines that cannot be read.

Only the current line is in memory, so streams may have any length. A line that cannot be read
ends the run with an error that names the line, or is skipped and counted.
"""

import io
import itertools
import os
import select
import sys
import zlib
from collections import deque
from collections.abc import Iterable, Iterator

from corpus.formats.column_names import HEAD_SIZE
from corpus.formats.text import bad_byte, encoding_of, open_bytes
from corpus.problems import Place, Problem, ProblemKind, Problems
from support.errors import UserError
from support.processes import is_main_process
from support.text import on_terminal
from tagging.input_files import STANDARD_INPUT
from tagging.input_form import Form

# Seconds to wait for the next line of a pipe while its form is undecided.
GRACE_S = 0.5
LONGEST_LINE = 1 << 28  # bytes of a line that arrives through a pipe; a device may have no end


class BrokenLines(Problems):
    """Lines that cannot be read: an error at the first, or skipped and counted.

    `skip`: skip such lines. `verbose`: report each skipped line on standard error. `can_skip`:
    whether the script has the flag --skip_errors.
    """

    def __init__(self, *, skip: bool, verbose: bool = True, can_skip: bool = True):
        super().__init__()
        self.skip, self.verbose, self.can_skip = skip, verbose, can_skip
        self._places: set[Place] = set()

    @property
    def skipped(self) -> int:
        """The number of lines that were skipped."""
        return len(self._places)

    def add(self, problem: Problem) -> None:
        """Raise UserError, or count and report the problem."""
        # `problem.expected` is left out: it asks for labels, which a text to tag does not need.
        message = f"{problem.place}: {problem.title}: {problem.detail}"
        if problem.kind in (ProblemKind.ROW_WIDTH, ProblemKind.NOT_CSV):
            message += f"; expected {problem.expected}"
        if not self.skip:
            advice = "\nTo skip lines that cannot be read: --skip_errors" if self.can_skip else ""
            if problem.kind is ProblemKind.RECORD_WITHOUT_TEXT:  # probably of every line
                advice = "\nTo name the field of the text or the words: --text_column_name"
            raise UserError(f"{message}{advice}")
        is_new = problem.place not in self._places
        self._places.add(problem.place)
        if self.verbose and is_new:
            print(f"skipped: {on_terminal(message)}", file=sys.stderr)


class Source:
    """The lines, in bytes, of a file, a named pipe or standard input."""

    def __init__(self, path: str, *, is_one_of_several: bool = False):
        self.path, self.is_one_of_several = path, is_one_of_several
        self.name = "standard input" if path == STANDARD_INPUT else path
        self.form: Form | None = None  # known once `read_items` has seen the first lines
        self.bytes_read = 0
        self._ready: deque[bytes] = deque()
        self._descriptor: int | None = None  # of a pipe

    def __iter__(self) -> Iterator[bytes]:
        # A named pipe cannot be opened twice to find out whether it is compressed.
        is_pipe = self.path == STANDARD_INPUT or not os.path.isfile(self.path)
        for line in self._lines_of_pipe() if is_pipe else self._lines_of_file():
            self.bytes_read += len(line)
            yield line

    def _lines_of_file(self) -> Iterator[bytes]:
        try:
            with open_bytes(self.path) as file:
                yield from file
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{self.path}: {error}") from None

    def _lines_of_pipe(self) -> Iterator[bytes]:
        """Yield lines as soon as they arrive; Python's own buffer would hold them back."""
        if self.path == STANDARD_INPUT:
            self._descriptor = sys.stdin.fileno()
        else:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY)
            except OSError as error:
                raise UserError(f"{self.path}: cannot be read: {error.strerror}") from None
        parts: list[bytes] = []
        size = 0
        while block := os.read(self._descriptor, 1 << 16):
            parts.append(block)
            size += len(block)
            if size > LONGEST_LINE:
                raise UserError(
                    f"{self.name}: not text: got a line of more than {LONGEST_LINE >> 20} MB"
                )
            if b"\n" in block:
                *lines, rest = b"".join(parts).split(b"\n")
                self._ready.extend(lines)
                parts, size = [rest], len(rest)
                while self._ready:
                    yield self._ready.popleft() + b"\n"
        if last := b"".join(parts):
            yield last

    def is_waiting(self, seconds: float = 0) -> bool:
        """Return whether no further line arrives within `seconds`.

        The lines collected so far should then be processed.
        """
        if self._descriptor is None or self._ready:
            return False
        try:
            return not select.select([self._descriptor], [], [], seconds)[0]
        except OSError:  # Windows waits for sockets only; lines are processed as they arrive
            return True

    def note(self, text: str) -> None:
        """Print a note on how the source is read."""
        if is_main_process():
            print(on_terminal(f"{self.name}: {text}."), file=sys.stderr)


# --- Decoding ---------------------------------------------------------------------------------


def utf8_lines(source: Source, problems: Problems) -> Iterator[bytes]:
    """Yield lines of UTF-8 as they are, those of UTF-16 and UTF-32 converted to UTF-8."""
    lines = iter(source)
    first = next(lines, b"")
    encoding = encoding_of(first)
    if encoding.startswith("utf-8"):
        yield from filter(None, [first])
        yield from lines
    else:
        text = decode_whole(first + b"".join(lines), source.name, encoding, problems)
        yield from (line.encode() for line in io.StringIO(text or "", newline="\n"))


def first_lines(lines: Iterator[bytes], seen: list[bytes], source: Source) -> Iterator[str]:
    """Yield the lines that show the form, and append them to `seen`; stop when a pipe stalls."""
    for line in itertools.islice(lines, HEAD_SIZE):
        seen.append(line)
        yield line.decode("utf-8-sig" if len(seen) == 1 else "utf-8", "replace").rstrip("\r\n")
        if source.is_waiting(GRACE_S):
            return


def decode_lines(lines: Iterable[bytes], name: str, problems: Problems) -> Iterator[str | None]:
    """Yield lines with their ends; None for a line that is not UTF-8."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            place = Place(name, number)
            problems.add(Problem(ProblemKind.WRONG_ENCODING, place, bad_byte(line, error)))
            yield None


def decode_whole(content: bytes, name: str, encoding: str, problems: Problems) -> str | None:
    """Return the text of a whole source; None if it is not in its encoding."""
    try:
        return content.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x} is not {encoding.upper()}"
        problems.add(Problem(ProblemKind.WRONG_ENCODING, Place(name, line), found))
        return None


def without_end(line: str) -> str:
    """Return a line without its end, LF or CRLF."""
    return line.removesuffix("\n").removesuffix("\r")
