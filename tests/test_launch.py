"""Real command lines: launchers with their configurations, exit statuses and signals."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from support.manifests import checkpoint_folders
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    ROOT,
    TRAINER,
    facts,
    results,
    shows_all_words_scored,
    write_corpus,
)
from training.checkpoints import damage

BIN = Path(sys.executable).parent
SMALL = ["--max_train_samples", 40, "--max_eval_samples", 20, "--max_predict_samples", 20]
SMALL += ["--max_steps", 2, "--mixed_precision", "no"]


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list[str]:
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    flags = ["--model_name_or_path", tiny_encoder, *corpus, "--mixed_precision", "no"]
    return [str(flag) for flag in [*flags, "--logging_steps", 1, "--output_dir", "out"]]


def start(words: list, folder: Path, **environment: str | None) -> subprocess.Popen:
    """Start a command in its own process group, as a terminal does; its output goes to log.txt.

    `environment` is added; a variable that is None is removed.
    """

    def as_in_a_terminal():
        signal.signal(signal.SIGINT, signal.default_int_handler)

    words = [str(word) for word in words]
    words[0] = str(BIN / words[0])
    shared = dict(os.environ) | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | environment
    shared = {name: value for name, value in shared.items() if value is not None}
    with open(folder / "log.txt", "ab") as log:
        return subprocess.Popen(
            words,
            cwd=folder,
            stdout=log,
            stderr=log,
            env=shared,
            start_new_session=True,
            preexec_fn=as_in_a_terminal,
        )


def run(words: list, folder: Path, status: int = 0, **environment: str | None) -> str:
    """Run a command to its end, assert its exit status, return its output."""
    process = start(words, folder, **environment)
    try:
        actual = process.wait(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    output = (folder / "log.txt").read_text()
    assert actual == status, output
    return output


# --- Commands -------------------------------------------------------------------------------


def test_trainer_and_infer_without_flags(snapshot, tmp_path):
    """Offline, the embedded corpus and encoder stand in; the output says so first and last."""
    output = run(["python", ROOT / TRAINER, *SMALL], tmp_path)
    folder = tmp_path / "all-MiniLM-L6-v2-finetuned-ner"
    replaced = facts(folder)["replaced"]
    assert len(replaced) == 2
    assert [output.count(sentence) for sentence in replaced] == [2, 2]
    assert replaced == snapshot
    assert (folder / "report.html").exists()
    text = "My name is Sylvain and I work at Hugging Face in Brooklyn."
    process = subprocess.run(
        [BIN / "python", ROOT / "infer.py", text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    tagged = json.loads(process.stdout)
    assert tagged["text"] == text
    for entity in tagged["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["word"]


def test_loop_with_the_configuration_of_the_suite(flags, tmp_path):
    launch = ["accelerate", "launch", "--config_file", ROOT / "accelerate_config.yaml"]
    run([*launch, ROOT / LOOP, *flags, "--max_steps", 2], tmp_path)
    assert facts(tmp_path / "out")["processes"] == 1
    assert (tmp_path / "out" / "all_results.json").exists()


@pytest.mark.skipif((psutil.cpu_count(logical=False) or 1) < 2, reason="there is one core")
@pytest.mark.parametrize(
    "flags,one_thread", [([], False), (["--num_cpu_threads_per_process", "1"], True)]
)
def test_a_single_process_has_all_cores(flags, one_thread, tmp_path):
    """`accelerate launch` limits it to one thread, even without a flag for that."""
    (tmp_path / "script.py").write_text(
        "from encoder.cpu.process import prepare_process\n"
        "prepare_process()\n"
        "import torch\n"
        "print(torch.get_num_threads())\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": None}
    output = run(["accelerate", "launch", *flags, "script.py"], tmp_path, **environment)
    assert (int(output.splitlines()[-1]) == 1) == one_thread, output


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "command,environment",
    [
        (["accelerate", "launch", LOOP], {}),
        (["accelerate", "launch", TRAINER], {}),
        (["accelerate", "launch", LOOP, "--sample"], {}),
        (["python", LOOP, "--sample"], {}),
        (["python", TRAINER, "--sample"], {}),
        (["torchrun", "--nproc_per_node", "2", LOOP, "--sample"], {"ACCELERATE_USE_CPU": "true"}),
        (["torchrun", "--nproc_per_node", "2", TRAINER, "--sample"],
         {"ACCELERATE_USE_CPU": "true"}),
        (["accelerate", "launch", "--multi_gpu", "--num_processes", "2", LOOP, "--sample"],
         {"ACCELERATE_USE_CPU": "true"}),
    ],
)  # fmt: skip
def test_commands(command, environment, tmp_path):
    words = [str(ROOT / word) if word in BOTH else word for word in command]
    output = run([*words, *SMALL], tmp_path, **environment)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert folder.name.startswith("all-MiniLM-L6-v2-finetuned-ner")
    for name in ("eval_words", "predict_words"):
        assert shows_all_words_scored(output, results(folder)[name])
    assert facts(folder)["processes"] == (2 if "2" in command else 1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", BOTH)
@pytest.mark.parametrize(
    "launcher",
    [
        ["torchrun", "--nproc_per_node", "2"],
        ["accelerate", "launch", "--multi_gpu", "--num_processes", "2"],
    ],
)
def test_lone_processes_are_refused_under_launchers(launcher, script, flags, tmp_path):
    output = run([*launcher, ROOT / script, *flags], tmp_path, status=1)
    assert "ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2" in output
    assert not (tmp_path / "out").exists()


# --- Configurations -------------------------------------------------------------------------


def parse_accelerate(words: list[str]):
    """Return the arguments of `accelerate launch`, after its own checks."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    return _validate_launch_command(launch_command_parser().parse_args(words))[0]


def parse_script(words: list[str]):
    """Return the arguments of a training script; the first of `words` is its name."""
    from settings.flags import LoopFlags
    from settings.parse import parse_flags
    from settings.trainer_flags import TrainerFlags

    classes = {LOOP: LoopFlags, TRAINER: TrainerFlags}
    return parse_flags(classes[Path(words[0]).name], "", words[1:])


def readme_commands() -> list[str]:
    """Return each command of a launcher in README and docs/, from blocks and tables."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    lines = [
        line for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.split("\n")
    ]
    lines += re.findall(r"`([^`\n]+)`", text)
    lines = [re.split(r"\s+#", line)[0].strip() for line in lines]
    known = re.compile(r"([A-Z_]+=\S+ )*(accelerate launch|torchrun) .*train_\w+\.py")
    return sorted({line for line in lines if known.match(line)})


@pytest.mark.parametrize("command", readme_commands())
def test_readme_commands_parse(command, monkeypatch):
    from torch.distributed.run import get_args_parser

    monkeypatch.chdir(ROOT)
    words = [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]
    if words[0] == "torchrun":
        parsed = get_args_parser().parse_args(words[1:])
    else:
        parsed = parse_accelerate(words[2:])
        for name in ("use_fsdp", "use_deepspeed"):
            assert getattr(parsed, name) == (f"--{name}" in words)
        if "--num_processes" in words:
            assert parsed.num_processes == 8
    assert (ROOT / parsed.training_script).exists()
    parse_script([parsed.training_script, *parsed.training_script_args])


def test_readme_shows_each_kind_of_launch():
    commands = "\n".join(readme_commands())
    for words in ("--nproc_per_node 8", "--nnodes 2", "--use_fsdp", "--use_deepspeed"):
        assert words in commands
    assert "ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2" in commands


def test_flags_of_fsdp_and_deepspeed_reach_accelerate(monkeypatch):
    """Create the plugins as the launched script does; `test_sharded.py` trains with them."""
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    monkeypatch.chdir(ROOT)
    by_kind = {
        kind: next(shlex.split(c)[2:] for c in readme_commands() if f"--use_{kind}" in c)
        for kind in ("fsdp", "deepspeed")
    }
    for name, value in prepare_multi_gpu_env(parse_accelerate(by_kind["fsdp"])).items():
        monkeypatch.setenv(name, value)
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    assert FullyShardedDataParallelPlugin().fsdp_version == 2
    parsed = parse_accelerate(by_kind["deepspeed"])
    parsed.deepspeed_fields_from_accelerate_config = ""  # the launcher's value without a file
    environment = prepare_deepspeed_cmd_env(parsed)[1]
    assert environment["ACCELERATE_USE_DEEPSPEED"] == "true"
    assert environment["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == "2"


def test_configuration_is_one_process_and_its_comments_make_it_several(monkeypatch, tmp_path):
    text = (ROOT / "accelerate_config.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    parsed = parse_accelerate(["--config_file", str(ROOT / "accelerate_config.yaml"), LOOP])
    assert not parsed.multi_gpu and not parsed.cpu and parsed.num_processes == 1
    # Put the lines that its comments show in the place of the active ones.
    for name in ("distributed_type", "num_processes"):
        shown = re.search(rf"^#\s+({name}: \w+)", text, re.M)[1]
        text, count = re.subn(rf"^{name}: .*$", shown, text, flags=re.M)
        assert count == 1
    (tmp_path / "several.yaml").write_text(text)
    parsed = parse_accelerate(["--config_file", "several.yaml", LOOP])
    assert parsed.multi_gpu and parsed.num_processes == 8


# --- Signals to launchers -------------------------------------------------------------------

TWO = ["torchrun", "--nproc_per_node", "2"]
ACCELERATE_TWO = ["accelerate", "launch", "--multi_gpu", "--num_processes", "2"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", BOTH)
@pytest.mark.parametrize(
    "launcher,to_group,number,status",
    [
        # Ctrl-C in a terminal reaches the whole group, `kill` only the launcher.
        (["python"], True, signal.SIGINT, 130),
        (["python"], False, signal.SIGTERM, 143),
        # torchrun forwards both, waits for the checkpoint, and ends with a traceback.
        (TWO, True, signal.SIGINT, 1),
        (TWO, False, signal.SIGTERM, 1),
        (ACCELERATE_TWO, False, signal.SIGTERM, 1),
        (ACCELERATE_TWO, True, signal.SIGINT, 1),
        # accelerate launch of one process ends immediately, and the script keeps running: Ctrl-C
        # has reached it too, SIGTERM has not.
        (["accelerate", "launch"], True, signal.SIGINT, None),
        (["accelerate", "launch"], False, signal.SIGTERM, -signal.SIGTERM),
    ],
)
def test_signal_to_a_launcher(launcher, to_group, number, status, script, flags, tmp_path):
    environment = {"ACCELERATE_USE_CPU": "true"}
    command = [*launcher, ROOT / script, *flags, "--max_steps", 100000]
    command += ["--num_train_epochs", 1, "--do_train"]
    process = start(command, tmp_path, **environment)
    log = tmp_path / "log.txt"
    try:
        deadline = time.monotonic() + 120
        while "loss=" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        (os.killpg if to_group else os.kill)(process.pid, number)
        actual = process.wait(timeout=60)
        if status is not None:
            assert actual == status, log.read_text()
        orphaned = launcher == ["accelerate", "launch"] and number == signal.SIGTERM
        deadline = time.monotonic() + (5 if orphaned else 60)
        while not checkpoint_folders(tmp_path / "out") and time.monotonic() < deadline:
            time.sleep(0.1)
        saved = checkpoint_folders(tmp_path / "out")
        assert bool(saved) != orphaned, log.read_text()
        assert [damage(path) for path in saved] == [None] * len(saved)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
