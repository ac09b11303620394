"""Errors the user can fix, and the exit status of a script that meets one."""

import sys
from collections.abc import Callable
from contextlib import suppress

from support.processes import is_main_process


class UserError(Exception):
    """An error the user can fix: shown as one message without a traceback, exit status 2.

    The message reads `place: problem: got X, expected Y. What to do.`
    """

    status = 2  # the script's exit status


def run_script(main: Callable[[], object]) -> None:
    """Run a script's `main`; end on a `UserError` with its message and its exit status."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # the stream is missing, or not one of Python's own
            # For characters that its encoding lacks.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        main()
    except UserError as error:
        if is_main_process():
            print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
    except RuntimeError as error:
        # gloo is recognised by its message, NCCL by its class: both report that the
        # connection is gone, not why.
        gone = "Connection closed by peer" in str(error) or "Connection reset" in str(error)
        if not gone and type(error).__name__ != "DistBackendError":
            raise
        print(
            "error: another process of this run has died; its own output says why.\n"
            f"  {error}\n"
            "The checkpoints are complete. Once the cause is fixed, the same command with "
            "--resume_from_checkpoint resumes from the last one.",
            file=sys.stderr,
        )
        sys.exit(1)
