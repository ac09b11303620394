"""A training script run as a process of its own, with its output in a file."""

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.errors import UserError

TAIL_LINES = 5  # lines shown of the output of a run that failed without an error message


def run_training(command: Sequence[str], name: str, log: Path) -> None:
    """Run a training script to its end; its output is added to the file `log`.

    `name`: the run's name, for messages. An interrupt is passed on, so that training saves a
    checkpoint, and raised again when the script has ended. Raises UserError if the script fails.
    """
    with open(log, "ab") as output:
        start = output.tell()
        # In a session of its own, so that Ctrl-C reaches it only once, through this process.
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"--launcher {command[0]}: {error.strerror or error}") from None
        try:
            status = process.wait()
        except BaseException as interrupt:
            is_ctrl_c = isinstance(interrupt, KeyboardInterrupt)
            _stop(process, signal.SIGINT if is_ctrl_c else signal.SIGTERM)
            raise
    if status != 0:
        with open(log, "rb") as lines:
            lines.seek(start)
            printed = lines.read().decode("utf-8", "replace")
        own_message = re.search(r"^error: (.*)", printed, re.DOTALL | re.MULTILINE)
        message = own_message[1] if own_message else "\n".join(printed.splitlines()[-TAIL_LINES:])
        raise UserError(
            f"{name}: training ended with status {status}: {message.strip()}\n"
            f"Its whole output: {log}. Once this is fixed, the same command resumes the study."
        )


def _stop(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to all processes of a run and wait; a second interrupt kills them."""
    try:
        os.killpg(process.pid, number)
        process.wait()
    except ProcessLookupError:
        pass
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
