"""Signals: SIGTERM and Ctrl-C end training with a checkpoint."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from support.processes import is_main_process


class StopSignals:
    """Ends training after the current step; a second signal ends it immediately."""

    def __init__(self, state: Any):
        """`state`: accelerate's `PartialState`; all processes stop together."""
        self.state = state
        self.received = 0  # by this process
        self.stopping = False  # the decision of all processes, see `should_stop`
        self.handlers = {
            number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)
        }

    def restore(self) -> None:
        """Restore the earlier handlers of the signals."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + number)
        self.received = number
        if is_main_process():
            # Not print: the signal may interrupt a print, and Python forbids a nested one.
            os.write(2, b"\nStopping after this step. Repeat to stop immediately.\n")

    def exit(self, checkpoint: Path) -> None:
        """Print how to resume, and exit with the status that belongs to the signal."""
        if is_main_process():
            print(
                f"Stopped. The checkpoint is {checkpoint}. The same command with "
                "--resume_from_checkpoint resumes from it.",
                file=sys.stderr,
            )
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
