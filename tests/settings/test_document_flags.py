"""docs/flags.md: up to date and complete."""

import dataclasses

from settings.document_flags import PAGE, flags_page
from settings.flag_table import OBSOLETE, OF_TRAINER, SETTLED
from settings.flags import LoopFlags


def test_the_committed_page_is_the_generated_one():
    assert PAGE.read_text(encoding="utf-8") == flags_page()


def test_the_page_has_a_row_for_each_flag():
    rows = [line for line in flags_page().splitlines() if line.startswith("| `--")]
    for name in (
        *(f.name for f in dataclasses.fields(LoopFlags)),
        *OF_TRAINER,
        *SETTLED,
        *OBSOLETE,
    ):
        assert sum(row.startswith(f"| `--{name}`") for row in rows) >= 1, name
    assert {row.count(" | ") for row in rows} == {1, 2}
