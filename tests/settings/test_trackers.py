"""Trackers of --report_to."""

import pytest

from settings.flag_table import LOOP, TRAINER
from settings.flags import LoopFlags
from settings.trackers import requested_trackers
from settings.trainer_flags import TrainerFlags
from tests.helpers.flags import FLAGS_CLASSES, parse, refused


@pytest.mark.parametrize("script", FLAGS_CLASSES)
def test_tracker_that_is_not_installed_is_refused_with_its_package(script, installed, snapshot):
    installed("tensorboardX")
    message = refused("--report_to", "tensorboard", "comet_ml", "wandb", script=script)
    assert "pip install comet-ml" in message and "pip install wandb" in message
    assert len(message.splitlines()) == 2
    assert message == snapshot


@pytest.mark.parametrize(
    ("script", "name", "other"), [(LoopFlags, "codecarbon", TRAINER), (TrainerFlags, "aim", LOOP)]
)
def test_tracker_of_the_other_script(script, name, other, installed):
    installed(name)
    assert other in refused("--report_to", name, script=script)


@pytest.mark.parametrize(
    ("script", "expected"),
    [(LoopFlags, ["aim", "tensorboard"]), (TrainerFlags, ["dagshub", "tensorboard"])],
)
def test_all_means_the_installed_trackers_of_the_script(script, expected, installed):
    installed("tensorboard", "aim", "dagshub", "flytekit")
    flags = parse("--report_to", "all", script=script)
    assert requested_trackers(flags) == expected
    assert requested_trackers(parse("--with_tracking", script=script)) == expected


def test_no_tracker_is_installed(installed, capsys):
    installed()
    parse("--with_tracking")
    assert capsys.readouterr().err.count("no tracker is installed") == 1
    assert requested_trackers(parse("--report_to", "none")) == []


def test_kubeflow_needs_its_job(monkeypatch):
    monkeypatch.delenv("KUBEFLOW_TRAINER_SERVER_URL", raising=False)
    assert "kubeflow" in refused("--report_to", "kubeflow", script=TrainerFlags)
    monkeypatch.setenv("KUBEFLOW_TRAINER_SERVER_URL", "https://x")
    parse("--report_to", "kubeflow", script=TrainerFlags)
