"""The loss since the last logged step: summed on each process, reduced when it is needed."""

from pathlib import Path
from typing import Any

import torch

from training.progress import Progress
from training.step_log import StepLog


class RunningLoss:
    """The sum of the losses of the steps that are not logged yet."""

    def __init__(self, accelerator: Any, progress: Progress, log_file: str | None = None):
        """Continue from the pending loss of a checkpoint, which the main process holds.

        `log_file`: also gets each logged step (`training.step_log`), from the main process.
        """
        self.accelerator, self.progress = accelerator, progress
        self.sum = torch.zeros((), device=accelerator.device)
        self.sum += progress.pending_loss * accelerator.is_main_process
        self.step_log: StepLog | None = None
        if log_file is not None and accelerator.is_main_process:
            self.step_log = StepLog(Path(log_file), progress.step_losses)

    def add(self, loss: torch.Tensor) -> None:
        """Add the loss of a micro-batch, a scalar: its share of the loss of the step."""
        self.sum += loss.detach()

    def log(self, learning_rate: float) -> float:
        """Record the mean loss since the last logged step, and return it."""
        loss = self.progress.log_loss(self._total(), learning_rate)
        if self.step_log is not None:
            self.step_log.add(self.progress.step_losses[-1])
        self.sum.zero_()
        return loss

    def store_pending(self) -> None:
        """Store the loss that is not logged yet in the progress; check that it is finite."""
        self.progress.pending_loss = self._total()
        self.progress.check_finite(self.progress.pending_loss)

    def _total(self) -> float:
        return float(self.accelerator.reduce(self.sum, "sum").item())
