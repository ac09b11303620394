"""The bookkeeping of the loop: counts steps, logs losses, moves the bar, says what is due."""

from pathlib import Path
from typing import Any

import torch

from settings.run_settings import OutputSettings
from training.bar import steps_bar
from training.checkpoints import checkpoint_name, checkpoint_path
from training.losses import RunningLoss
from training.plan import Plan
from training.progress import Progress
from training.signals import StopSignals

SAVED_BY = "accelerate"  # the library that writes the checkpoints; Trainer cannot read them


class TrainingRun:
    """The training under way in `train_accelerate.py`."""

    def __init__(
        self,
        accelerator: Any,
        plan: Plan,
        progress: Progress,
        stop_signals: StopSignals,
        output: OutputSettings,
    ):
        self.accelerator, self.plan, self.progress = accelerator, plan, progress
        self.calendar, self.stop_signals = plan.calendar, stop_signals
        self.output_dir = output.output_dir
        self.losses = RunningLoss(accelerator, progress, output.log_file)
        self.improved = False  # by the evaluation after the current step
        shown = output.show_progress and accelerator.is_local_main_process
        self.bar = steps_bar(plan.total_steps, progress.step, shown=shown)

    def add_loss(self, loss: torch.Tensor) -> None:
        """Add the loss of a micro-batch, a scalar: its share of the loss of the step."""
        self.losses.add(loss)

    def end_step(self, learning_rate: float) -> None:
        """Count a step done at `learning_rate`; log the mean loss when it is due."""
        self.progress.step += 1
        self.improved = False
        self.bar.update()
        if self.calendar.logs_at(self.progress.step):
            loss = self.losses.log(learning_rate)
            self.bar.set_postfix(loss=f"{loss:.4f}")
            logs = {"train/loss": loss, "train/learning_rate": learning_rate}
            self.accelerator.log(logs, step=self.progress.step)

    def evaluation_due(self) -> bool:
        """Return whether the validation split is to be scored; not if a signal ends the run."""
        due = self.calendar.evaluates_at(self.progress.step)
        return due and not self.stop_signals.should_stop()

    def end_evaluation(self, scores: dict[str, float], checkpoint: str | None) -> None:
        """Record the scores of the validation split; `checkpoint`: see `record_scores`."""
        self.losses.store_pending()
        progress, epoch = self.progress, self.calendar.epoch_of(self.progress.step)
        self.improved = progress.record_scores(epoch, scores, checkpoint, self.plan.best)
        logs = {f"eval/{name}": score for name, score in scores.items()}
        self.accelerator.log(logs, step=progress.step)

    def checkpoint_due(self) -> bool:
        """Return whether a checkpoint is to be saved, by the plan or because a signal came."""
        signalled = self.stop_signals.should_stop()
        return signalled or self.calendar.saves_at(self.progress.step, self.improved)

    def checkpoint_folder(self) -> Path:
        """Return the folder that a checkpoint of the current step is saved in."""
        name = checkpoint_name(SAVED_BY, self.calendar, self.progress.step)
        state = self.accelerator.state
        return checkpoint_path(self.output_dir, name, self.plan.identity, state)
