"""Broken corpora: the problems that reading and checking them report."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from corpus.check import check_corpus
from corpus.load import load_corpus
from corpus.problems import CorpusError, ProblemGroup, ProblemKind
from settings.run_settings import CorpusSettings
from support.errors import UserError
from tests.helpers.messages import stable

GOOD = "EU B-ORG\nrejects O\nGerman B-MISC\n\nPeter B-PER\nBlackburn I-PER\n"


def record(**fields: Any) -> str:
    """Return a line of JSON Lines."""
    return json.dumps(fields) + "\n"


TOKENS = record(tokens=["EU", "rejects"], ner_tags=["B-ORG", "O"])
TEXT = record(text="EU rejects", spans=[[0, 2, "ORG"]])


class BrokenCorpus(NamedTuple):
    """A training file, flags, and the groups of problems: kind, count, and at most 3 places.

    `DIR` in a flag is the folder of the file. `validation_file` is the content of a second file.
    If `problems` is empty, the error concerns the settings.
    """

    name: str
    content: str | bytes
    flags: dict[str, Any]
    problems: list[tuple[ProblemKind, int, list[str]]]


def check_broken_corpus(case: BrokenCorpus, folder: Path, snapshot: Any) -> None:
    """Assert that a corpus is rejected with its problems, and that nothing is cached."""
    settings = _settings(case, folder)
    with pytest.raises(UserError) as raised:
        load_corpus(settings)
    error = raised.value
    groups = error.problems.groups if isinstance(error, CorpusError) else []
    reported = [(group.kind, group.count, _places(group, folder)[:3]) for group in groups]
    assert reported == case.problems
    message = stable(error, folder)
    for group in groups:
        if group.kind is ProblemKind.UNREADABLE_FILE:  # the wording belongs to a library
            message = message.replace(group.shown[0].detail, "<reason>")
    assert message == snapshot
    assert [path for path in (folder / "cache").rglob("*") if path.is_file()] == []
    checked, would_start = check_corpus(settings)
    assert not would_start
    assert str(error) in checked


def _places(group: ProblemGroup, folder: Path) -> list[str]:
    return [stable(problem.place, folder).removeprefix("<folder>/") for problem in group.shown]


def _settings(case: BrokenCorpus, folder: Path) -> CorpusSettings:
    path = folder / case.name
    path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    values = {"train_file": (str(path),), "cache_dir": str(folder / "cache")}
    for flag, value in case.flags.items():
        if flag == "validation_file":
            (folder / "validation.conll").write_text(value)
            value = [str(folder / "validation.conll")]
        if isinstance(value, list):
            value = tuple(item.replace("DIR", str(folder)) for item in value)
        values[flag] = value
    return CorpusSettings(**values)
