"""The progress of the steps: a bar on a terminal, lines in a log."""

import io
import itertools
import struct
import sys

import pytest
from tqdm.std import tqdm

from training import bar
from training.bar import StepLines, draws_bars, steps_bar


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets; the clock of the lines shows them."""
    seconds = [100.0]
    monkeypatch.setattr(bar.time, "monotonic", lambda: seconds[0])
    return seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_gets_lines_ever_less_often(clock, capsys):
    lines = steps_bar(10_000)
    assert isinstance(lines, StepLines)
    for step in range(1, 1001):
        clock[0] += 1
        lines.update()
        if step % 10 == 0:
            lines.set_postfix(loss=f"{1 / step:.4f}")
    lines.close()
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == "step 6 of 10,000, 2:46:34 left"
    assert printed[1] == "step 11 of 10,000, loss=0.1000, 2:46:29 left"
    assert printed[2] == "step 16 of 10,000, loss=0.1000, 2:46:24 left"
    steps = [int(line.split()[1].replace(",", "")) for line in printed]
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert gaps == sorted(gaps) and gaps[0] == 5 and gaps[-1] >= 0.09 * steps[-1]
    assert len(printed) < 45


def test_fast_steps_get_their_first_line_early(clock, capsys):
    lines = steps_bar(50)
    for _ in range(30):
        clock[0] += 0.01
        lines.update()
    assert capsys.readouterr().err == "step 11 of 50, 00:00 left\n"


def test_a_resumed_run_counts_its_own_steps_only(clock, capsys):
    lines = steps_bar(1000, 900)
    clock[0] += 60
    lines.update()  # slow, as the first step is
    clock[0] += 54
    lines.update(9)
    assert capsys.readouterr().err == "step 910 of 1,000, 09:00 left\n"


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert draws_bars()
    shown = steps_bar(10, 4)
    assert isinstance(shown, tqdm) and (shown.total, shown.n) == (10, 4)
    shown.close()


def test_nothing_is_shown_on_request(capsys):
    hidden = steps_bar(10, shown=False)
    hidden.update(5)
    hidden.set_postfix(loss="0.1")
    hidden.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("columns", "draws"), [(80, True), (0, False)])
def test_a_terminal_without_a_width_gets_lines(columns, draws, monkeypatch):
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(writer, "w") as terminal, open(reader):
        monkeypatch.setattr(sys, "stderr", terminal)
        assert draws_bars() == draws
