"""The calendar of a run: at which steps it logs, evaluates and saves.

Both scripts follow it. The rules and the flags are those of `TrainingArguments`.
"""

import math
from dataclasses import dataclass

from settings.run_settings import IntervalSettings


@dataclass(frozen=True)
class Calendar:
    """The steps of a run and the intervals between its events."""

    epoch_steps: int  # steps of an epoch
    total_steps: int
    intervals: IntervalSettings
    keeps_best: bool = False  # whether the best evaluation must have a checkpoint

    @property
    def num_epochs(self) -> int:
        """Return the number of epochs; the last one may be partial."""
        return math.ceil(self.total_steps / self.epoch_steps)

    def epoch_of(self, step: int) -> int:
        """Return the number of the epoch that a step, counted from 1, belongs to."""
        return max(step - 1, 0) // self.epoch_steps

    def ends_epoch(self, step: int) -> bool:
        """Return whether a step is the last of its epoch, or of the run."""
        return step > 0 and (step % self.epoch_steps == 0 or step == self.total_steps)

    def logs_at(self, step: int) -> bool:
        """Return whether the loss is logged after a step."""
        intervals = self.intervals
        if step == 1 and intervals.logging_first_step:
            return True
        return self._due(intervals.logging_strategy, intervals.logging_steps, step)

    def evaluates_at(self, step: int) -> bool:
        """Return whether the validation split is scored after a step."""
        intervals = self.intervals
        in_epochs = intervals.eval_strategy == "epoch"
        if (step / self.epoch_steps if in_epochs else step) < intervals.eval_delay:
            return False
        eval_steps = intervals.eval_steps or intervals.logging_steps
        last = intervals.eval_strategy == "steps" and step == self.total_steps
        return last or self._due(intervals.eval_strategy, eval_steps, step)

    def saves_at(self, step: int, improved: bool) -> bool:
        """Return whether a checkpoint is saved after a step.

        `improved`: whether an evaluation after this step gave the best score so far.
        """
        intervals = self.intervals
        if improved and (self.keeps_best or intervals.save_strategy == "best"):
            return True
        if self.ends_epoch(step) and intervals.save_each_epoch:
            return True
        last = intervals.save_strategy == "steps" and step == self.total_steps
        return last or self._due(intervals.save_strategy, intervals.save_steps, step)

    def _due(self, strategy: str, steps: float, step: int) -> bool:
        if strategy == "epoch":
            return self.ends_epoch(step)
        return strategy == "steps" and step > 0 and step % self.whole_steps(steps) == 0

    def whole_steps(self, steps: float) -> int:
        """Return `steps` as a whole number; a value below 1 is a share of all steps, rounded up."""
        return math.ceil(steps * self.total_steps) if 0 < steps < 1 else int(steps)
