"""The progress line of long runs: texts, words per second, time left."""

import os
import sys
import time
from collections.abc import Sequence

from support.processes import is_main_process
from support.text import counted
from tagging.input_lines import Source

SHOW_AFTER_S, TERMINAL_EVERY_S, LOG_EVERY_S = 3.0, 0.5, 30.0


class Progress:
    """A line on standard error, shown after the first few seconds of a run.

    `files`: the inputs; their size gives the share that is done. `results_on_terminal`: results
    go to the same terminal and show the progress themselves.
    """

    def __init__(self, files: Sequence[str], results_on_terminal: bool):
        self.started = self.shown = time.monotonic()
        self.texts = self.words = 0
        self.terminal = sys.stderr.isatty()
        sized = not any(path.endswith(".gz") or not os.path.isfile(path) for path in files)
        # 0: unknown, because an input is compressed or a pipe.
        self.total_bytes = sum(map(os.path.getsize, files)) if sized else 0
        self.quiet = not is_main_process() or (self.terminal and results_on_terminal)

    def add(self, texts: int, words: int, sources: Sequence[Source] = ()) -> None:
        """Count texts and words that are done, read from `sources` so far."""
        self.texts += texts
        self.words += words
        now = time.monotonic()
        interval = TERMINAL_EVERY_S if self.terminal else LOG_EVERY_S
        if self.quiet or now - self.started < SHOW_AFTER_S or now - self.shown < interval:
            return
        self.shown, elapsed = now, now - self.started
        line = f"{self.texts:,} texts, {self.words / elapsed:,.0f} words/s"
        share = sum(source.bytes_read for source in sources) / max(self.total_bytes, 1)
        if 0 < share <= 1:
            line += f", {share:.0%}, {_clock(elapsed / share - elapsed)} left"
        if self.terminal:  # overwrites the previous line
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self, counts: bool = False) -> None:
        """Remove the line from the terminal; print the counts of this process if `counts`."""
        if self.terminal and self.shown > self.started:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        if counts and not self.quiet:
            line = f"{counted(self.texts, 'text')}, {counted(self.words, 'word')} tagged."
            print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
