"""The configuration of a run as its page shows it: facts, command, arguments, versions."""

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from results.calibration_rows import calibration_rows
from results.verdict import Run, nouns_of
from support.html import duration
from support.secrets import scrub


class Fact(NamedTuple):
    """A row about the run: a name, its value, and labels shown after it."""

    name: str
    value: object
    labels: Sequence[str] = ()


def run_facts(run: Run, entity_tags: bool) -> list[Fact]:
    """Return the known facts about the run, one row each."""
    seconds = run.get("duration_s")
    calibration = calibration_rows(run.get("calibration") or {}, with_scores=False)
    facts = [
        Fact("Base model", run.get("base_model")),
        Fact("Corpus", run.get("corpus_name")),
        Fact("Corpus fingerprint", run.get("corpus_fingerprint")),
        *(Fact("Stand-in", sentence) for sentence in run.get("replaced") or ()),
        Fact("Task", run.get("task")),
        label_fact(run, entity_tags),
        *(Fact(name, text) for name, text in calibration),
        Fact("Epochs", run.get("more_epochs")),
        Fact("Seed", (run.get("arguments") or {}).get("seed")),
        Fact("Device", run.get("device")),
        Fact("Number format", run.get("precision")),
        Fact("Processes", run.get("processes")),
        Fact("Duration", None if seconds is None else duration(seconds)),
        Fact("Script", run.get("script")),
        Fact("Suite version", run.get("suite_version")),
    ]
    return [fact for fact in facts if fact.value is not None]


def label_fact(run: Run, entity_tags: bool) -> Fact:
    """Return the row about the labels of the run: their number and their types."""
    labels = run.get("label_names") or []
    if not labels:
        return Fact("Labels", None)
    if not entity_tags:
        return Fact("Labels", f"{len(labels)} tags:", labels)
    types = list(dict.fromkeys(label[2:] for label in labels if label != "O"))
    noun = nouns_of(run).singular
    return Fact("Labels", f"{len(labels)} IOB2 tags, {len(types)} {noun} types:", types)


def command_line(run: Run) -> str | None:
    """Return the command that started the run, without access tokens."""
    command = run.get("command")
    if not command:
        return None
    return scrub(shlex.join(command) if isinstance(command, list | tuple) else str(command))


def argument_rows(arguments: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the arguments by name, without access tokens and without those that are not set.

    A name that ends in "token" holds one; "label_all_tokens" does not.
    """
    given = {k: v for k, v in arguments.items() if v is not None and not k.endswith("token")}
    return sorted_rows(given)


def sorted_rows(values: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return names and values by name, without anything that looks like an access token."""
    return [(name, scrub(str(value))) for name, value in sorted(values.items())]
