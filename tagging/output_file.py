"""The file that results are written to: complete or absent, in whole lines after Ctrl-C.

Results of finite input for a regular file are written beside it, and take its name when they are
complete; until then an earlier file stays. A lock prevents a second job from writing there too. A
stream gets each result as it comes.
"""

import gzip
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Any

from support.errors import UserError
from support.files import write_json
from support.text import on_terminal

# Formats with an independent piece for each text, apart from the header of CSV.
RESUMABLE = ("jsonl", "conll", "conllu", "csv", "doccano")


class OutputFile:
    """A file, compressed if its name ends in .gz, or standard output (`path` None).

    `whole`: the input is finite, so that a regular file is written beside and renamed. `job`: what
    is tagged and how, if the job can be resumed; `resume`: continue the interrupted job, of which
    `done` texts are written. `binary`: the pieces are bytes, of use only together, so that an
    unfinished file is removed. An interrupt waits until the piece that is being written is
    complete. Raises UserError if the file cannot be written.
    """

    file: IO[Any]

    def __init__(
        self,
        path: str | None,
        *,
        whole: bool = False,
        job: Mapping[str, Any] | None = None,
        resume: bool = False,
        binary: bool = False,
    ):
        self.binary = binary
        self.path, self.writing, self.interrupted = path, False, False
        self.job, self.done = job, 0
        self.partial: Path | None = None
        self.lock: Any = None  # a FileLock, while the partial file is written
        if path is not None and whole and is_regular(path):
            target = Path(os.path.realpath(path))  # a link stays a link
            self.partial = target.with_name(f".{target.name}.partial")
        self.position = self._resumed_position() if resume else 0

    @property
    def _journal(self) -> Path:
        assert self.partial is not None
        return self.partial.with_suffix(".journal")

    def _resumed_position(self) -> int:
        """Return the bytes of the complete results of the interrupted job, and count these."""
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            self.done, position = int(journal["done"]), int(journal["bytes"])
            complete = self.partial is not None and self.partial.stat().st_size >= position
        except (OSError, ValueError, KeyError, TypeError):
            complete = False
        if not complete:
            raise UserError(
                f"--resume: nothing to resume: got no interrupted job of --output {self.path}. "
                "Leave out --resume."
            )
        if journal.get("job") != json.loads(json.dumps(self.job)):
            raise UserError(
                f"--resume: the interrupted job of --output {self.path} had another model, other "
                "input or other flags. Use the same ones, or start again without --resume."
            )
        return position

    @property
    def is_terminal(self) -> bool:
        """Return whether the results are shown on a terminal."""
        return self.path is None and sys.stdout.isatty()

    def __enter__(self) -> "OutputFile":
        # An unpaired surrogate is written as \udXXX, as in JSON.
        options: dict[str, Any] = (
            {}
            if self.binary
            else {"encoding": "utf-8", "errors": "backslashreplace", "newline": "\n"}
        )
        kind = "b" if self.binary else "t"
        with self._errors_reported():
            if self.partial is not None:
                self._acquire_lock(self.partial.with_suffix(".lock"))
            if self.path is not None:
                opener: Any = gzip.open if self.path.lower().endswith(".gz") else open
                if self.position:
                    os.truncate(self.partial or self.path, self.position)
                mode = f"{'a' if self.position else 'w'}{kind}"
                try:
                    self.file = opener(self.partial or self.path, mode, **options)
                except OSError:
                    self._release_lock()
                    raise
            elif self.is_terminal:
                self.file = sys.stdout
            else:
                self.file = open(sys.stdout.fileno(), f"w{kind}", closefd=False, **options)
        self.handler_before: Any = None
        with suppress(ValueError):  # not in the main thread
            self.handler_before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def _acquire_lock(self, path: Path) -> None:
        """Lock the partial file; the system releases the lock of a process that is killed.

        Raises a `UserError` if another job has the lock.
        """
        # Imported here because a job without a file needs neither.
        from filelock import FileLock, Timeout

        from support.work_folder import NO_LOCKS

        lock = FileLock(path, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise UserError(
                f"--output {self.path}: in use: another job is writing it. Wait until that job has "
                "ended, or choose another file."
            ) from None
        except NotImplementedError:  # a file system without locks
            return
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return
        self.lock = lock

    def _release_lock(self) -> None:
        if self.lock is not None:
            with suppress(OSError):  # deleted while it is locked: the next job makes a new one
                os.unlink(self.lock.lock_file)
            self.lock.release()

    @contextmanager
    def _errors_reported(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            place = "standard output" if self.path is None else f"--output {self.path}"
            raise UserError(f"{place}: cannot be written: {error.strerror or error}") from None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self.writing:
            raise KeyboardInterrupt
        self.interrupted = True

    def write_all(self, pieces: Iterable[str] | Iterable[bytes]) -> None:
        """Write each piece whole."""
        for piece in pieces:
            self._uninterrupted(self.file.write, piece)
            self.done += 1

    def flush(self) -> None:
        """Flush the file, so that its reader gets everything written so far."""
        self._uninterrupted(self._record)

    def _record(self) -> None:
        """Flush the file, and record what is complete in it."""
        self.file.flush()
        if self.partial is not None and self.job is not None:
            size = self.partial.stat().st_size
            write_json(self._journal, {"done": self.done, "bytes": size, "job": self.job})

    def _uninterrupted(self, write: Callable[..., object], *piece: str | bytes) -> None:
        self.writing = True
        with self._errors_reported():
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
        try:
            with self._errors_reported():
                if kind is not BrokenPipeError:
                    self._record()
                if self.path is not None:
                    self.file.close()
                if self.partial is not None and kind is None:
                    if os.path.exists(self.path or ""):
                        self.partial.chmod(stat.S_IMODE(os.stat(self.path or "").st_mode))
                    os.replace(self.partial, os.path.realpath(self.path or ""))
                    self._journal.unlink(missing_ok=True)
        except UserError:
            # The disk is full: what is in the file's buffer is lost, and must not be tried again.
            with suppress(OSError, ValueError):
                self.file.close()
            if kind is None:
                raise
        finally:
            if self.handler_before is not None:
                signal.signal(signal.SIGINT, self.handler_before)
            if self.partial is not None and kind is not None:
                self._report_partial()
            self._release_lock()

    def _report_partial(self) -> None:
        """Report where the results of an unfinished job are, or remove them if there are none."""
        assert self.partial is not None
        if not self.done or self.binary:
            self.partial.unlink(missing_ok=True)
            self._journal.unlink(missing_ok=True)
            return
        advice = " To continue: the same command with --resume" if self.job is not None else ""
        message = f"{self.path}: unfinished, so far in {self.partial}.{advice}"
        print(on_terminal(message), file=sys.stderr)


def is_regular(path: str) -> bool:
    """Return whether a path is that of a regular file, or of none yet; not a pipe or device."""
    return not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)
