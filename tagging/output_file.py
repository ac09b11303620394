"""The file that results are written to; Ctrl-C leaves whole lines in it."""

import gzip
import signal
import sys
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import IO, Any

from support.errors import UserError


class OutputFile:
    """A file, compressed if its name ends in .gz, or standard output (`path` None).

    An interrupt waits until the piece that is being written is complete.
    """

    file: IO[str]

    def __init__(self, path: str | None):
        self.path, self.writing, self.interrupted = path, False, False

    def __enter__(self) -> "OutputFile":
        # An unpaired surrogate is written as \udXXX, as in JSON.
        options: dict[str, Any] = {
            "encoding": "utf-8",
            "errors": "backslashreplace",
            "newline": "\n",
        }
        try:
            if self.path is not None:
                opener: Any = gzip.open if self.path.lower().endswith(".gz") else open
                self.file = opener(self.path, "wt", **options)
            elif sys.stdout.isatty():
                self.file = sys.stdout
            else:
                self.file = open(sys.stdout.fileno(), "w", closefd=False, **options)
        except OSError as error:
            raise UserError(f"--output {self.path}: {error.strerror}") from None
        self.handler_before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self.writing:
            raise KeyboardInterrupt
        self.interrupted = True

    def write_all(self, pieces: Iterable[str]) -> None:
        """Write each piece whole."""
        for piece in pieces:
            self._uninterrupted(self.file.write, piece)

    def flush(self) -> None:
        """Flush the file, so that its reader gets everything written so far."""
        self._uninterrupted(self.file.flush)

    def _uninterrupted(self, write: Callable[..., object], *piece: str) -> None:
        self.writing = True
        write(*piece)
        self.writing = False
        if self.interrupted:
            raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.writing = True  # an interrupt must not cut the last piece
        if kind is not BrokenPipeError:
            self.file.flush()
        signal.signal(signal.SIGINT, self.handler_before)
        if self.path is not None:
            self.file.close()
