"""README's table "I want to ...": each command runs, on tiny stand-ins for what it names.

`my.conll`, `test.conll`, `notes.txt` and the models `my-model`, `old-model`, `new-model` exist in
the current folder, as they do for a user. Commands of scripts run in this process. Training makes
two steps with a tiny encoder.
"""

import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.helpers.examples import need
from tests.helpers.hub_server import HubServer
from tests.helpers.models import ROOT
from tests.helpers.script_runs import facts, free_port

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = ["--max_steps", "2", "--max_seq_length", "32", "--use_cpu", "--mixed_precision", "no"]
BIN = Path(sys.executable).parent


def commands() -> list[str]:
    """Return the commands of the table."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## I want to ...\n")[1]
    rows = [row for row in section.split("\n## ")[0].splitlines() if row.startswith("| ")]
    cells = [row.strip("| ").split(" | ") for row in rows[2:]]
    assert all(len(cell) == 2 and re.fullmatch("`[^`]+`", cell[1]) for cell in cells)
    return [cell[1].strip("`") for cell in cells]


HEAVY = re.compile(r"torchrun|--push_to_hub|study\.py (seeds|curve|label)|examples/")


def parameters() -> list:
    marks = [pytest.mark.exhaustive]
    return [
        pytest.param(command, marks=marks if HEAVY.search(command) else [])
        for command in commands()
    ]


# --- Stand-ins ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stand_ins(tiny_encoder, tmp_path_factory) -> Path:
    """Folder with the files and models that the commands name."""
    folder = tmp_path_factory.mktemp("stand-ins")
    for name, split, sentences in (("my.conll", "train", 60), ("test.conll", "test", 12)):
        text = (ROOT / "data" / "sample" / f"{split}.conll").read_text(encoding="utf-8")
        kept = "\n\n".join(text.split("\n\n")[:sentences])
        (folder / name).write_text(f"{kept}\n\n", encoding="utf-8")
    (folder / "notes.txt").write_text("Anna went to Paris.\nShe works at Hugging Face.\n")
    here = Path.cwd()
    os.chdir(folder)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("results.report.write_report", lambda *args, **kwargs: None)
            train("train_trainer.py", ["--train_file", "my.conll"], tiny_encoder, "my-model")
    finally:
        os.chdir(here)
    for name in ("old-model", "new-model"):
        shutil.copytree(folder / "my-model", folder / name)
    return folder


def train(script: str, flags: list[str], encoder: Path, output_dir: str = "out"):
    """Run a training script in this process, on two steps with a tiny encoder."""
    module = importlib.import_module(script.removesuffix(".py"))
    tiny = ["--model_name_or_path", str(encoder), *TINY, "--output_dir", output_dir]
    return module.main([*flags, *tiny])


@pytest.fixture
def folder(stand_ins, tmp_path, monkeypatch) -> Path:
    """The current folder of a command, with the stand-ins."""
    shutil.copytree(stand_ins, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


# --- Commands -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", parameters())
def test_command(command, folder, tiny_encoder, monkeypatch, capfd):
    words = shlex.split(command)
    if "--push_to_hub" not in words:  # its pictures are pushed
        monkeypatch.setattr("results.report.write_report", lambda *args, **kwargs: None)
    if words[0] == "torchrun":
        run_torchrun(words, folder, tiny_encoder)
    elif words[0] == "jupyter":
        run_notebook(words, folder)
    elif "--push_to_hub" in words:
        push(words, folder, tiny_encoder)
    elif words[1].startswith("examples/"):
        run_example(words, folder)
    elif words[0] == "accelerate" or words[1].startswith("train_"):
        run_training(words[2:] if words[0] == "accelerate" else words[1:], folder, tiny_encoder)
    elif words[1] == "study.py":
        run_study(words, tiny_encoder, monkeypatch)
    else:
        run_in_process(words, monkeypatch, capfd)


def run_training(words: list[str], folder: Path, encoder: Path) -> None:
    script, *flags = words
    if "--resume_from_checkpoint" in flags:  # from a run to resume
        train(script, flags[: flags.index("--resume_from_checkpoint")], encoder)
    outcome = train(script, flags, encoder)
    if "--check" in flags or "--dry_run" in flags:
        assert outcome.scores == {} and not (folder / "out").exists()
        return
    assert set(outcome.scores) == {"validation", *(["test"] if "--test_file" in flags else [])}
    assert (folder / "out" / "model.safetensors").exists()
    assert facts(folder / "out")["script"] == script


def run_study(words: list[str], encoder: Path, monkeypatch) -> None:
    import study

    def run_training(command, name, log):
        script, *flags = command[1:]
        importlib.import_module(Path(script).stem).main(flags)

    monkeypatch.setattr("results.study_runs.run_training", run_training)
    words += ["--model_name_or_path", str(encoder), *(TINY if "curve" not in words else TINY[2:])]
    if "curve" in words:
        words += ["--num_train_epochs", "1"]
    monkeypatch.setattr(sys, "argv", words[1:])
    study.main()
    content = json.loads((Path(f"{words[2]}-study") / "study.json").read_text())
    assert len(content["runs"]) == (5 if words[3] == "--" else int(words[3]))


def run_in_process(words: list[str], monkeypatch, capfd) -> None:
    """Run infer.py or compare.py in this process."""
    module = importlib.import_module(words[1].removesuffix(".py"))
    monkeypatch.setattr(sys, "argv", words[1:])
    capfd.readouterr()
    module.main()
    if "--output" in words:
        assert Path(words[words.index("--output") + 1]).stat().st_size > 0
    else:
        assert capfd.readouterr().out.strip()


# --- Commands that are heavy ----------------------------------------------------------------


def run_torchrun(words: list[str], folder: Path, encoder: Path) -> None:
    words = [str(BIN / words[0]), *words[1:]]
    words[words.index("--nproc_per_node") + 1] = "2"
    words[words.index("train_trainer.py")] = str(ROOT / "train_trainer.py")
    words += ["--model_name_or_path", str(encoder), *TINY, "--output_dir", "out"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true"}
    subprocess.run(words, cwd=folder, env=environment, check=True, timeout=300)
    assert facts(folder / "out")["processes"] == 2


def push(words: list[str], folder: Path, encoder: Path) -> None:
    with HubServer() as server:
        command = [sys.executable, ROOT / words[1], *words[2:]]
        command += ["--model_name_or_path", encoder, *TINY, "--output_dir", "out"]
        environment = os.environ | server.environment(folder / "home")
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=300)
        assert server.commits("tester/out")[-1].message == "Training complete"


def run_notebook(words: list[str], folder: Path) -> None:
    """Run a copy of the notebook that trains a few steps."""
    need("nbclient", "ipykernel")
    path = Path(words[-1])
    path.parent.mkdir()
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text.count("EPOCHS = None") == 1
    path.write_text(text.replace("EPOCHS = None", "EPOCHS = 0.1"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *words]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=600)
    assert "words scored" in path.read_text(encoding="utf-8")


def run_example(words: list[str], folder: Path) -> None:
    script, *flags = words[1:]
    command = [sys.executable, str(ROOT / script), *flags]
    if "serve" not in script:
        need("onnx", "onnxscript", "onnxruntime")
        subprocess.run(command, check=True, timeout=300)
        assert (folder / flags[flags.index("--output") + 1] / "model.onnx").exists()
        return
    need("fastapi", "uvicorn")
    port = free_port()
    process = subprocess.Popen([*command, "--port", str(port)])
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as response:
                    assert response.status == 200
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) is not None


def test_the_first_three_commands_parse():
    """`tests/test_launch.py` and `benchmarks/start.py` run them."""
    from settings.flags import LoopFlags
    from settings.parse import parse_flags
    from settings.tagging_flags import TaggingFlags

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"```bash\n(.*?)```", text, re.S)[1]
    install, training, tagging = map(shlex.split, re.split("&&|\n", first.strip()))
    assert (ROOT / install[-1]).exists()
    assert parse_flags(LoopFlags, "", training[2:]).sample
    assert parse_flags(TaggingFlags, "", tagging[2:]).texts
