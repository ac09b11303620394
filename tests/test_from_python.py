"""Training from Python: several runs in one process, its state, errors, notebooks and threads."""

import builtins
import io
import json
import os
import random
import signal
import sys
import threading

import numpy as np
import pytest
import torch
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

import train_accelerate
import train_trainer
from results.run_results import RunOutcome
from support.end_of_run import at_end_of_run, one_run
from support.errors import UserError
from tests.helpers.script_runs import facts, run, weights, write_corpus

pytestmark = pytest.mark.usefixtures("one_thread", "no_report")
MODULES = {"train_trainer.py": train_trainer, "train_accelerate.py": train_accelerate}
SETTINGS = ["--use_cpu", "--mixed_precision", "no", "--max_seq_length", 24, "--max_steps", 3]


@pytest.fixture(params=list(MODULES))
def script(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list:
    return write_corpus(tmp_path_factory.mktemp("corpus"), 12, 6, 6)


@pytest.fixture
def flags(corpus, tiny_encoder, tmp_path, monkeypatch) -> list:
    monkeypatch.chdir(tmp_path)
    return ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS]


@pytest.fixture
def no_report(monkeypatch):
    monkeypatch.setattr("results.report.write_report", lambda *args, **kwargs: None)


def raise_in_step(monkeypatch, step: int, action) -> None:
    """Call `action` at the beginning of a step."""
    import training.order as order

    seed_step = order.seed_step

    def interrupted(seed, number, process):
        if number == step:
            action()
        return seed_step(seed, number, process)

    for module in list(sys.modules.values()):
        if getattr(module, "seed_step", None) is seed_step:
            monkeypatch.setattr(module, "seed_step", interrupted)


def test_two_runs_in_one_process_are_those_of_the_command_line(script, flags, tmp_path):
    main = MODULES[script].main
    # Each of these would change the second run, if it outlived the first.
    others = ["--learning_rate", 1e-2, "--gradient_accumulation_steps", 2, "--seed", 7]
    others += ["--max_grad_norm", 0.1, "--verbose", "--mixed_precision", "bf16"]
    first = main([*flags, *others, "--output_dir", tmp_path / "first"])
    second = main([*flags, "--output_dir", tmp_path / "second"])
    again = main([*flags, "--output_dir", tmp_path / "second"])
    run(script, [*flags, "--output_dir", tmp_path / "script"], tmp_path)
    expected = facts(tmp_path / "script")
    for outcome in (second, again):
        assert outcome == RunOutcome(expected["scores"], tmp_path / "second")
    assert set(expected["scores"]) == {"validation", "test"}
    assert weights(tmp_path / "second") == weights(tmp_path / "script")
    assert weights(tmp_path / "first") != weights(tmp_path / "script")
    assert first.scores["test"]["words"] == second.scores["test"]["words"]


def test_the_command_of_a_run_is_recorded(script, flags, tmp_path):
    MODULES[script].main([*flags, "--output_dir", "out", "--hub_token", "hf_secretsecret"])
    command = facts(tmp_path / "out")["command"]
    assert command.startswith(f"{script} --model_name_or_path ") and "--max_steps 3" in command
    assert "secret" not in command
    assert facts(tmp_path / "out")["script"] == script


def process_state() -> dict:
    return {
        "environment": dict(os.environ),
        "random": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "handlers": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)],
        "log level": transformers.logging.get_verbosity(),
        "bars": transformers.logging.is_progress_bar_enabled(),
        "denormals": (torch.tensor(2.0**-127) * 1).item(),
        "deterministic": torch.get_deterministic_debug_mode(),
    }


def test_the_state_of_the_process_is_as_before(script, flags, tmp_path):
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    transformers.logging.set_verbosity_info()
    accelerator = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=5)
    try:
        before = process_state()
        MODULES[script].main([*flags, "--output_dir", "out"])
        assert process_state() == before
        assert accelerator.mixed_precision == "bf16"
        assert accelerator.gradient_accumulation_steps == 5
        assert Accelerator(cpu=True).mixed_precision == "bf16"
        assert not (tmp_path / "out" / ".run").exists()
    finally:
        transformers.logging.set_verbosity_warning()
        for kind in (PartialState, AcceleratorState, GradientState):
            kind._shared_state.clear()


def test_the_state_is_restored_after_an_error(script, flags, tmp_path, monkeypatch):
    main = MODULES[script].main

    def fail():
        raise RuntimeError("no more memory")

    with monkeypatch.context() as patch:
        raise_in_step(patch, 2, fail)
        before = process_state()
        with pytest.raises(RuntimeError, match="no more memory"):
            main([*flags, "--output_dir", "out"])
        assert process_state() == before
    assert not (tmp_path / "out" / ".run").exists()
    assert main([*flags, "--output_dir", "out"]).scores  # the folder is free


def test_ctrl_c_names_the_checkpoint_and_the_run_resumes(script, flags, tmp_path, monkeypatch):
    main = MODULES[script].main
    with monkeypatch.context() as patch:
        raise_in_step(patch, 1, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt, match=r"The checkpoint is .*[_-]2"):
            main([*flags, "--output_dir", "out"])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = main([*flags, "--output_dir", "out", "--resume_from_checkpoint"])
    straight = main([*flags, "--output_dir", "straight"])
    assert resumed.scores == straight.scores
    assert weights(tmp_path / "out") == weights(tmp_path / "straight")


def test_errors_are_user_errors(script, flags, tmp_path):
    main = MODULES[script].main
    with pytest.raises(UserError, match="--learning_rat"):
        main([*flags, "--learning_rat", 1])
    with pytest.raises(UserError, match="no such"):
        main(["--train_file", "absent.conll", *flags[:2]])
    with pytest.raises(TypeError, match="expected a list"):
        main("--max_steps 3")
    (tmp_path / "bad.conll").write_text("Anna B-PER\nParis\n")
    with pytest.raises(UserError):
        main(["--check", *flags[:2], "--train_file", "bad.conll"])


def test_check_returns_no_scores(script, flags, capsys):
    outcome = MODULES[script].main([*flags, "--check", "--output_dir", "out"])
    assert outcome.scores == {}
    assert "sentences" in capsys.readouterr().out


def test_a_run_in_a_thread(script, flags):
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(MODULES[script].main([*flags, "--output_dir", "out"]))
    )
    thread.start()
    thread.join()
    assert outcomes[0].scores["test"]["overall"]


class NotebookStream(io.TextIOBase):
    """Standard output as in a notebook: without a descriptor."""

    def __init__(self):
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def test_in_a_notebook_the_scores_are_printed_as_text(script, flags, monkeypatch):
    """There rich would show a table as HTML, and write nothing."""
    kernel = type("ZMQInteractiveShell", (), {"config": {"IPKernelApp": {}}})
    monkeypatch.setattr(builtins, "get_ipython", kernel, raising=False)
    streams = NotebookStream(), NotebookStream()
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    outcome = MODULES[script].main([*flags, "--output_dir", "out"])
    f1 = outcome.scores["test"]["overall"]["f1"]
    assert "overall" in streams[0].text and f"{f1:.4f}" in streams[0].text


def test_two_runs_at_the_same_time_are_refused(snapshot):
    @one_run
    def outer():
        return inner()

    @one_run
    def inner():
        return 1

    with pytest.raises(UserError) as error:
        outer()
    assert str(error.value) == snapshot
    assert inner() == 1


def test_the_end_of_a_run_undoes_in_reverse_order_even_after_an_error():
    undone = []

    @one_run
    def main(fails):
        at_end_of_run(undone.append, 1)
        at_end_of_run(undone.append, 2)
        if fails:
            raise ValueError
        return "result"

    assert main(False) == "result"
    with pytest.raises(ValueError):
        main(True)
    assert undone == [2, 1, 2, 1]


TWICE = """
import json, sys
from {module} import main

for folder in ("first", "second"):
    scores, _ = main([*sys.argv[1:], "--output_dir", folder])
print("scores", json.dumps(scores))
"""


def test_two_runs_of_two_processes_return_the_scores_in_both(script, flags, tmp_path):
    program = tmp_path / "twice.py"
    program.write_text(TWICE.format(module=script.removesuffix(".py")))
    output = run(str(program), flags, tmp_path, processes=2)
    lines = [line for line in output.splitlines() if line.startswith("scores ")]
    expected = facts(tmp_path / "second")["scores"]
    assert [json.loads(line.removeprefix("scores ")) for line in lines] == [expected, expected]
    assert weights(tmp_path / "first") == weights(tmp_path / "second")
