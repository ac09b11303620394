"""The progress of the steps: a bar on a terminal and in a notebook, elsewhere a line now and then.

A bar is redrawn ten times a second, in place. In a log that would be one endless line.
"""

import os
import sys
import time
from typing import Any

from tqdm.auto import tqdm

# The first line comes FIRST_STEPS or FIRST_SECONDS after the first step. Two lines are at
# least FIRST_SECONDS and this share of the time so far apart.
FIRST_STEPS = 10
FIRST_SECONDS = 5.0
SHARE = 0.1


def draws_bars() -> bool:
    """Return whether standard error is a terminal, or the program a notebook that shows bars.

    A terminal without a width, as in some containers and under `ssh -tt`, would show no bar.
    """
    if any(kind.__module__ == "tqdm.notebook" for kind in tqdm.__mro__):
        return True
    return sys.stderr is not None and sys.stderr.isatty() and _has_width()


def _has_width() -> bool:
    """Return whether the terminal of standard error has a width, or an unknown one."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (OSError, ValueError):
        return True


def steps_bar(total: int, done: int = 0, *, shown: bool = True) -> Any:
    """Return the bar of a run of `total` steps, with tqdm's `update`, `set_postfix` and `close`.

    `done`: steps that an earlier session has made.
    """
    if shown and not draws_bars():
        return StepLines(total, done)
    return tqdm(total=total, initial=done, dynamic_ncols=True, disable=not shown)


class StepLines:
    """Lines with steps, loss and remaining time: the first soon, the next ones ever less often.

    The time of the first step is not counted: it creates kernels and maps memory, so that it takes
    longer than the others.
    """

    def __init__(self, total: int, done: int):
        self.total, self.first, self.step = total, done, done
        self.started = self.printed = 0.0  # the end of the first step, and that of the last line
        self.values: dict[str, str] = {}

    def update(self, steps: int = 1) -> None:
        """Count steps, and print a line if it is due."""
        self.step += steps
        now = time.monotonic()
        if not self.started:
            self.first, self.started, self.printed = self.step, now, now
            return
        is_first = self.printed == self.started
        wait = max(FIRST_SECONDS, SHARE * (now - self.started))
        if now - self.printed >= wait or (is_first and self.step - self.first >= FIRST_STEPS):
            self._print(now)

    def set_postfix(self, **values: str) -> None:
        """Set the values that the next lines show."""
        self.values = values

    def close(self) -> None:
        """Do nothing: the lines are complete."""

    def _print(self, now: float) -> None:
        self.printed = now
        left = (self.total - self.step) * (now - self.started) / (self.step - self.first)
        shown = [f"step {self.step:,} of {self.total:,}"]
        shown += [f"{name}={value}" for name, value in self.values.items()]
        shown.append(f"{tqdm.format_interval(left)} left")
        print(", ".join(shown), file=sys.stderr, flush=True)
