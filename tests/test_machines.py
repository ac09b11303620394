"""Two machines without a shared disk: the output folder is on the first, caches are on each."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.checkpoints import complete, history
from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    ROOT,
    TOKEN_LOSS,
    Run,
    free_port,
    interrupt,
    results,
    run,
    weights,
    write_corpus,
)

SETTINGS = ["--mixed_precision", "no", "--learning_rate", "1e-2", "--logging_steps", "1"]
SETTINGS += ["--max_seq_length", "24", "--max_steps", "6", "--checkpointing_steps", "2"]
# The best of these has the first checkpoint, which the second machine needs at the end.
SETTINGS += ["--load_best_model_at_end", "--metric_for_best_model", "loss"]
SETTINGS += ["--greater_is_better", "true", "--eval_strategy", "steps", "--eval_steps", "2"]
FILES = ["--train_file", "corpus/train.conll", "--validation_file", "corpus/validation.conll"]
FILES += ["--test_file", "corpus/test.conll", "--model_name_or_path", "encoder"]
FILES += ["--cache_dir", "cache", "--output_dir", "out"]
FLAGS = [*FILES, *SETTINGS]
# As torchrun does on two machines with a process each.
ONE_EACH = {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}


@pytest.fixture
def machines(tiny_encoder, tmp_path) -> tuple[Path, Path]:
    """Return the disks of two machines, each with the corpus and the encoder."""
    disks = tmp_path / "machine0", tmp_path / "machine1"
    for disk in disks:
        write_corpus(disk / "corpus")
        shutil.copytree(tiny_encoder, disk / "encoder")
        (disk / "tmp").mkdir()
    return disks


def start_on_own_disk(folder: Path, then: Callable[[], None] | None = None) -> None:
    """Move this process to the disk of its machine: see `Run`'s `before`."""
    disk = folder / f"machine{os.environ['RANK']}"
    os.chdir(disk)
    tempfile.tempdir = str(disk / "tmp")
    if then is not None:
        then()


def run_on_machines(script: str, flags: list, folder: Path, status: int = 0) -> str:
    return run(
        script, flags, folder, 2, status, before=partial(start_on_own_disk, folder), **ONE_EACH
    )


def assert_only_caches(disk: Path) -> None:
    """Assert that a run has left nothing on a disk but its caches."""
    assert sorted(path.name for path in disk.iterdir()) == ["cache", "corpus", "encoder", "tmp"]
    assert list((disk / "tmp").glob("token-classification-*")) == []
    assert list((disk / "cache").rglob("*.arrow"))


def assert_same_results(expected: Path, actual: Path) -> None:
    assert weights(actual) == weights(expected)
    assert history(actual) == pytest.approx(history(expected), rel=1e-6)
    name = "predictions.txt"
    assert (actual / name).read_bytes() == (expected / name).read_bytes()


@pytest.mark.exhaustive
def test_a_run_is_resumed_from_the_disk_of_the_first_machine(machines, tmp_path):
    """The resume point and the weights of the best score reach the second machine."""
    first, second = machines
    run(LOOP, FLAGS, first / "alone", 2, before=partial(os.chdir, first))  # on one machine
    straight = (first / "out").rename(tmp_path / "straight")
    killed = Run(
        LOOP,
        FLAGS,
        tmp_path,
        2,
        before=partial(
            start_on_own_disk, tmp_path, partial(interrupt, TOKEN_LOSS, 3, signal.SIGKILL)
        ),
        **ONE_EACH,
    )
    killed.wait_for(lambda: any(process.exitcode for process in killed.processes))
    killed.send(signal.SIGKILL)
    killed.wait()
    assert complete(first / "out") == ["step_2"]
    assert not (second / "out").exists()
    shutil.rmtree(second / "tmp")  # a killed process leaves its temporary files
    (second / "tmp").mkdir()
    run_on_machines(LOOP, [*FLAGS, "--resume_from_checkpoint"], tmp_path)
    assert_same_results(straight, first / "out")
    assert_only_caches(second)


def test_machines_that_differ_are_refused(machines, snapshot, tmp_path):
    """Otherwise they would train on other data, or wait for each other forever."""
    first, second = machines
    with open(second / "corpus" / "train.conll", "a", encoding="utf-8") as file:
        file.write("Paris B-LOC\n")
    output = run_on_machines(LOOP, FLAGS, tmp_path, status=2)
    assert output.count("error: ") == 2  # on the terminal of each machine
    message = output[output.index("error: ") :].split("\n\n")[0]
    host = os.uname().nodename
    message = "\n".join(
        f"{line.partition(':')[0]}: <contents>" if line.startswith("  corpus") else line
        for line in stable(message, tmp_path).replace(host, "<host>").splitlines()
    )
    assert message == snapshot
    assert not (first / "out").exists()


def test_tagging_on_machines_without_a_shared_disk_is_refused(tiny_tagger, machines, tmp_path):
    """Each machine would keep its results; said before anything is tagged."""
    flags = ["--model", tiny_tagger, "--input", "corpus/test.conll", "--output", "out.jsonl"]
    output = run_on_machines("infer.py", flags, tmp_path, status=2)
    assert "do not share the disk" in output and ".out.jsonl.part-1 is not there" in output
    for disk in machines:
        assert sorted(path.name for path in disk.iterdir()) == ["corpus", "encoder", "tmp"]


# --- Launchers ------------------------------------------------------------------------------


def launch(script: str, flags: list[str], disks: tuple[Path, Path]) -> list[str]:
    """Run a script with a launcher on each machine; return the output of each."""
    port = str(free_port())
    torchrun = str(Path(sys.executable).parent / "torchrun")
    processes = []
    for number, disk in enumerate(disks):
        words = [torchrun, "--nnodes", "2", "--node_rank", str(number), "--nproc_per_node", "2"]
        words += ["--master_addr", "127.0.0.1", "--master_port", port, str(ROOT / script), *flags]
        own = {"HF_HOME": str(disk / "cache" / "home"), "TMPDIR": str(disk / "tmp")}
        shared = dict(os.environ) | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen(
                words,
                cwd=disk,
                env=shared | own,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(outputs)
    return outputs


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", BOTH)
def test_two_launchers_with_disks_of_their_own(script, machines, tmp_path):
    """Four processes; trained, resumed from an early checkpoint, and evaluated alone."""
    first, second = machines
    outputs = launch(script, FLAGS, machines)
    out = first / "out"
    saved = complete(out)
    assert len(saved) == 3  # the newest two and the best
    assert "steps of" in outputs[0] and "steps of" not in outputs[1]
    assert (out / "report.html").exists()
    assert_only_caches(second)
    straight = shutil.copytree(out, tmp_path / "straight")
    for name in saved[1:]:
        shutil.rmtree(out / name)
    launch(script, [*FLAGS, "--resume_from_checkpoint"], machines)
    assert_same_results(straight, out)
    assert_only_caches(second)
    shutil.copytree(out, second / "out")  # each machine has the model
    scored = [*FILES, "--model_name_or_path", "out", "--do_eval", "--do_predict"]
    launch(script, [*scored, "--output_dir", "scores"], machines)
    expected = {n: v for n, v in results(straight).items() if n.startswith("predict_f1")}
    assert {n: results(first / "scores")[n] for n in expected} == expected
    assert not (second / "scores").exists()
    assert json.loads((out / "run.json").read_text())["processes"] == 4
