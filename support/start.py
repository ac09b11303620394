"""The start of a script, while its imports take seconds: Ctrl-C, and the first line.

    from support.start import begin_script

    if __name__ == "__main__":
        begin_script()  # before all other imports

    import numpy
    ...
    imports_are_done()  # in `main`

Only what Python itself has loaded is imported here, so that `begin_script` runs immediately.
"""

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from support.processes import is_main_process

SAMPLE_DURATION = " The run takes 1 to 3 minutes on 2 CPU cores."  # see benchmarks/README.md
HELP = {"-h", "--help", "--help_all"}


def begin_script() -> None:
    """End the process with one line and status 130 on Ctrl-C, until `imports_are_done`.

    A KeyboardInterrupt in an import shows a traceback, and in a compiled module it can become an
    error of another kind. The process can end immediately, because nothing has been written yet.
    If Ctrl-C is ignored, as under `nohup`, it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_process)


def imports_are_done() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again, which `support.errors.run_script` reports."""
    if signal.getsignal(signal.SIGINT) is _end_process:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_process(number: int, frame: FrameType | None) -> None:
    if is_main_process():
        # Not print: the signal may interrupt a print, and Python forbids a nested one.
        os.write(2, b"\nInterrupted.\n" if os.isatty(2) else b"Interrupted.\n")
    os._exit(128 + number)


def say_loading(arguments: Sequence[str]) -> None:
    """Print that the libraries are being loaded, unless they are or only the help is shown.

    `arguments`: the command line. For --sample alone, the line says how long the run takes; other
    runs say so once a step has been timed.
    """
    if is_main_process() and "transformers" not in sys.modules and HELP.isdisjoint(arguments):
        duration = SAMPLE_DURATION if list(arguments) == ["--sample"] else ""
        print(f"Loading torch and transformers ...{duration}", flush=True)
