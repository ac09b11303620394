"""Errors the user can fix, and the exit status of a script that meets one."""

import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

from support.processes import is_first_on_machine
from support.text import on_terminal

Result = TypeVar("Result")
BROKEN_PIPE = 141  # the exit status of a program that SIGPIPE has ended


class UserError(Exception):
    """An error the user can fix: shown as one message without a traceback, exit status 2.

    The message reads `place: problem: got X, expected Y. What to do.`
    """

    status = 2  # the script's exit status
    is_shown = False  # whether the user has seen the details, so that a script adds nothing


class Terminated(SystemExit):
    """SIGTERM, which ends a script with one line and exit status 143."""

    def __init__(self, message: str = "Terminated."):
        super().__init__(128 + signal.SIGTERM)
        self.message = message


def on_main_process(state: Any, action: Callable[[], Result]) -> Result:
    """Call `action` in the main process and return its result in every process.

    `state`: accelerate's `PartialState`. A `UserError` is raised in every process. The result must
    be picklable.
    """
    outcome: list[Any] = [None, None]
    if state.is_main_process:
        try:
            outcome[0] = action()
        except UserError as error:
            outcome[1] = error
    if state.num_processes > 1:
        from accelerate.utils import broadcast_object_list  # takes seconds

        broadcast_object_list(outcome)
        state.wait_for_everyone()  # a process that ends here must not take the connection away
    result, problem = outcome
    if problem is not None:
        raise problem
    return result


def run_script(main: Callable[[], object]) -> None:
    """Run a script's `main`; end it with one message, without a traceback, where that is enough.

    The first process of each machine prints it, because the cause may lie on that machine.
    Exit statuses: that of a `UserError`, also if standard output is a file on a full disk; 130
    after Ctrl-C and 143 after SIGTERM; 141 if the reader of standard output has ended, as in
    `| head -1`; 1 if another process of the run has died.
    """
    with suppress(ValueError):  # not in the main thread
        # By default the process would end without clearing its work folder. Training replaces
        # the handler while it runs.
        signal.signal(signal.SIGTERM, _terminate)
    # The next file opened would get the descriptor of a closed stream, and messages of libraries.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # the stream is missing, or not one of Python's own
            # For characters that its encoding lacks.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        if is_first_on_machine() and not error.is_shown:
            print(f"error: {on_terminal(error)}", file=sys.stderr)
        sys.exit(error.status)
    except KeyboardInterrupt as stop:
        if is_first_on_machine():
            message = on_terminal(stop) or "Interrupted."
            # Below the ^C that the terminal shows.
            print(f"\n{message}" if sys.stderr.isatty() else message, file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _stdout_is_broken():
            message, status = "Stopped: the reader of the output has ended.", BROKEN_PIPE
        elif error.filename is None and _stdout_is_full():
            message = f"error: standard output: cannot be written: {error.strerror}"
            status = UserError.status
        else:
            raise
        print(message, file=sys.stderr)
        # Discards buffered output, which Python would fail to write at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(status)
    except Terminated as stop:
        if is_first_on_machine():
            print(on_terminal(stop.message), file=sys.stderr)
        raise
    except RuntimeError as error:
        # gloo is recognised by its message, NCCL by its class: both report that the
        # connection is gone, not why.
        gone = "Connection closed by peer" in str(error) or "Connection reset" in str(error)
        if not gone and type(error).__name__ != "DistBackendError":
            raise
        print(
            "error: another process of this run has died; its own output says why.\n"
            f"  {on_terminal(error)}\n"
            "The checkpoints are complete. Once the cause is fixed, the same command with "
            "--resume_from_checkpoint resumes from the last one.",
            file=sys.stderr,
        )
        sys.exit(1)


def _stdout_is_broken() -> bool:
    """Return whether the reader of standard output has ended."""
    try:
        poll = select.poll()  # not on Windows
        poll.register(sys.stdout, 0)  # reports POLLERR in any case
    except (AttributeError, ValueError):  # standard output has no descriptor
        return False
    return bool(poll.poll(0))


def _stdout_is_full() -> bool:
    """Return whether standard output cannot be written for lack of space; may write a line end."""
    try:
        # Not only a flush: Python may have dropped the text that it failed to write.
        print(flush=True)
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return False


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated
