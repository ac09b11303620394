"""Trackers of --report_to: those requested, those installed, and problems with them."""

import os
from importlib.util import find_spec
from typing import Any

from settings.flag_table import LOOP, TRACKERS, TRAINER
from support.text import CUTOFF, did_you_mean

NOT_IN_ALL = ("flyte",)  # it works only inside a Flyte task


def requested_trackers(flags: Any) -> list[str]:
    """Return the trackers to report to, with "all" replaced by the installed ones."""
    requested = ",".join(flags.report_to or []).split(",")
    names = [name.strip().lower() for name in requested if name.strip()]
    if "all" in names or (flags.with_tracking and not names):
        return _installed_trackers(flags.script)
    return [name for name in dict.fromkeys(names) if name != "none"]


def _installed_trackers(script: str | None) -> list[str]:
    """Return the installed trackers of a script; None: those that both scripts have."""
    names = (name for name in _trackers_of(script) if name not in NOT_IN_ALL)
    return [name for name in names if _is_ready(name)]


def _trackers_of(script: str | None) -> list[str]:
    scripts = {script} if script else {LOOP, TRAINER}
    return [name for name, tracker in TRACKERS.items() if scripts <= set(tracker.scripts)]


def _is_ready(name: str) -> bool:
    if name == "kubeflow":
        return "KUBEFLOW_TRAINER_SERVER_URL" in os.environ
    return any(find_spec(module) for module in TRACKERS[name].modules)


def tracker_problems(flags: Any) -> list[str]:
    """Return a line for each tracker that the run cannot report to."""
    problems = []
    known = _trackers_of(flags.script)
    expected = f"expected some of {', '.join(known)}, all or none"
    for name in requested_trackers(flags):
        if name not in TRACKERS:
            guess = did_you_mean(name, known, CUTOFF)
            problems.append(f"--report_to {name}: {expected}{guess}")
        elif name not in known:
            others = " and ".join(TRACKERS[name].scripts)
            problems.append(f"--report_to {name}: only {others} has it; {expected}")
        elif name == "kubeflow" and not _is_ready(name):
            problems.append(f"--report_to {name}: only a Kubeflow TrainJob can use it")
        elif not _is_ready(name):
            problems.append(
                f"--report_to {name}: not installed. Run `pip install {TRACKERS[name].package}`, "
                "or leave it out"
            )
    return problems
