"""Signals: SIGTERM and Ctrl-C end training with a checkpoint."""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from support.end_of_run import at_end_of_run
from support.processes import is_main_process
from support.text import on_terminal


class StopSignals:
    """Ends training after the current step; a second signal ends it immediately.

    The earlier handlers are restored when the run ends, also after an error.
    """

    def __init__(self, state: Any):
        """`state`: accelerate's `PartialState`; all processes stop together."""
        self.state = state
        self.received = 0  # by this process
        self.stopping = False  # the decision of all processes, see `should_stop`
        self.handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # the only one that gets signals
            at_end_of_run(self.restore)
            for number in (signal.SIGTERM, signal.SIGINT):
                self.handlers[number] = signal.signal(number, self._note)

    def restore(self) -> None:
        """Restore the earlier handlers of the signals."""
        while self.handlers:
            signal.signal(*self.handlers.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + number)
        self.received = number
        if is_main_process():
            # Not print: the signal may interrupt a print, and Python forbids a nested one.
            os.write(2, b"\nStopping after this step. Repeat to stop immediately.\n")

    def exit(self, checkpoint: Path) -> NoReturn:
        """Report how to resume: in a KeyboardInterrupt after Ctrl-C, otherwise before the exit."""
        message = (
            f"Stopped. The checkpoint is {checkpoint}. The same command with "
            "--resume_from_checkpoint resumes from it."
        )
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        if is_main_process():
            print(on_terminal(message), file=sys.stderr)
        sys.exit(128 + self.received)

    def should_stop(self) -> bool:
        """Return whether any process got a signal; every process calls this, with one result."""
        received = self.received
        if self.state.num_processes > 1:
            import torch
            from accelerate.utils import reduce

            # Ctrl-C reaches every process of a group, SIGTERM perhaps one. A signal that arrives
            # during the exchange counts the next time, or the processes would disagree.
            own = torch.tensor([received], device=self.state.device)
            total = reduce(own, "sum").item()
            received = received or (signal.SIGTERM if total else 0)
        self.stopping = bool(received)
        self.received = self.received or received
        return self.stopping
