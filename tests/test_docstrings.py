"""The examples in docstrings give what they show; the model in them is a tiny one."""

import doctest
import importlib
from pathlib import Path

import pytest

from tests.helpers.models import ROOT

ROOMS = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
SOURCES = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in room.rglob("*.py"))]
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in SOURCES
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_the_library_and_the_chapter_have_examples():
    assert {"common", "tagging.tagger"} <= set(WITH_EXAMPLES)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_give_what_they_show(module, look_up, tiny_tagger, tmp_path, monkeypatch):
    """`look_up`: the tags of the model are known."""
    (tmp_path / "bert-finetuned-ner").symlink_to(tiny_tagger)
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0 and result.failed == 0
    assert Path.cwd() == tmp_path
