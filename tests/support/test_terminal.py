"""Rows of text on a terminal and in a log."""

import sys

import pytest

from support.terminal import row_lines

ROWS = {"files": "config.json, " * 9 + "README.md", "push": "nothing is pushed"}


def test_rows_of_a_log_are_not_wrapped():
    assert row_lines(ROWS) == [f"{name:10}{text}" for name, text in ROWS.items()]


@pytest.mark.parametrize("columns", [8, 30, 80])
def test_rows_are_wrapped_at_the_width_of_a_terminal(monkeypatch, columns):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    first, second = row_lines(ROWS)
    lines = first.split("\n")
    assert len(lines) > 1 and all(len(line) <= max(columns, 22) for line in lines)
    assert all(line.startswith(" " * 10) for line in lines[1:])
    assert " ".join(map(str.strip, lines)).split() == ["files", *ROWS["files"].split()]
    assert second.split() == ["push", *ROWS["push"].split()]
