"""Commands that a run prints work in the folder in which it was started."""

import shlex
from pathlib import Path

import pytest

from results.commands import as_place, tagging_command
from settings.parse import parse_flags
from settings.tagging_flags import TaggingFlags
from tests.helpers.models import ROOT, save_tiny_encoder
from tests.helpers.script_runs import LOOP, TRAINER, run, write_corpus

FOLDERS = ["a b", "-x", "--model", "it's", '"q" $HOME `x` !y', "Köln", "a\nb", ".", ".."]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_tagging_command_is_parsed_as_intended(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    start, script, *argv = shlex.split(tagging_command(Path(folder)))
    assert (start, script) == ("python", "infer.py")
    flags = parse_flags(TaggingFlags, "", argv)
    assert Path(flags.model) == Path(folder)


def test_scripts_are_named_by_their_paths_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, script, *_ = shlex.split(tagging_command(Path("out")))
    assert script == str(ROOT / "infer.py")


def test_a_sentence_names_the_current_folder_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert as_place(Path()) == str(tmp_path)
    assert as_place(Path("..")) == str(tmp_path.parent)
    assert as_place(Path("out")) == "out"


@pytest.mark.parametrize(("script", "processes"), [(TRAINER, 1), (LOOP, 2)])
def test_the_command_that_trains_longer(script, processes, tmp_path):
    """It names the script by its path, keeps the folder, and starts as many processes."""
    encoder = save_tiny_encoder(tmp_path / "encoder")
    corpus = write_corpus(tmp_path / "corpus")
    flags = ["--model_name_or_path", encoder, *corpus, "--num_train_epochs", 2]
    # The loss falls, so that the last evaluation is the best.
    flags += ["--metric_for_best_model", "loss", "--greater_is_better", "false"]
    output = run(script, [*flags, "--output_dir", "models/of me"], tmp_path / "run", processes)
    (line,) = (text for text in output.splitlines() if text.startswith("To train longer: "))
    command = shlex.split(line.removeprefix("To train longer: "))
    several = ["torchrun", "--nproc_per_node", str(processes)] if processes > 1 else ["python"]
    assert command[: len(several) + 1] == [*several, str(ROOT / script)]
    assert command[-2:] == ["--output_dir", "models/of me-longer"]
    assert ("--use_cpu" in command) == (processes > 1)
