"""The bookkeeping of the loop: counts steps, logs losses, moves the bar, says what is due."""

from typing import Any

import torch
from tqdm.auto import tqdm

from training.plan import Plan
from training.progress import Progress


class TrainingRun:
    """The training under way in `train_accelerate.py`."""

    def __init__(
        self,
        accelerator: Any,
        plan: Plan,
        progress: Progress,
        logging_steps: float,
        checkpoint_steps: int,
    ):
        """`checkpoint_steps`: steps between two checkpoints; 0: none within an epoch."""
        self.accelerator, self.progress = accelerator, progress
        self.logging_steps, self.checkpoint_steps = logging_steps, checkpoint_steps
        # Summed since the last logged step, on this process; the main one holds the pending loss.
        self.running_loss = torch.zeros((), device=accelerator.device)
        self.running_loss += progress.pending_loss * accelerator.is_main_process
        self.bar = tqdm(
            total=plan.total_steps,
            initial=progress.step,
            disable=not accelerator.is_local_main_process,
        )

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add the loss of a micro-batch, a scalar: its share of the loss of the step."""
        self.running_loss += loss.detach()

    def end_step(self, learning_rate: float) -> None:
        """Count a step done at `learning_rate`; log the mean loss when it is due."""
        self.progress.step += 1
        self.bar.update()
        if self.progress.step % self.logging_steps == 0:
            loss = self._sum_of_losses()
            self.running_loss.zero_()
            self.progress.total_loss += loss
            loss /= self.logging_steps
            self.progress.log_loss(loss, learning_rate)
            self.bar.set_postfix(loss=f"{loss:.4f}")
            logs = {"train/loss": loss, "train/learning_rate": learning_rate}
            self.accelerator.log(logs, step=self.progress.step)

    def checkpoint_due(self) -> bool:
        """Return whether a checkpoint within the epoch is due after this step."""
        return bool(self.checkpoint_steps) and self.progress.step % self.checkpoint_steps == 0

    def note_pending_loss(self) -> None:
        """Store the loss that is not logged yet in the progress; check that it is finite."""
        self.progress.pending_loss = self._sum_of_losses()
        self.progress.check_finite(self.progress.pending_loss)

    def _sum_of_losses(self) -> float:
        return self.accelerator.reduce(self.running_loss, "sum").item()
