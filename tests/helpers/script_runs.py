"""Run the scripts as separate processes without importing torch for each of them.

A fork server imports the libraries once; every run is forked from it. A run is a separate
interpreter in which the script is `__main__`: it has its own arguments, environment, signals and
exit status, and can be killed. The processes of one run find each other as under torchrun, by
RANK, WORLD_SIZE and MASTER_PORT.
"""

import atexit
import importlib
import itertools
import json
import multiprocessing
import multiprocessing.forkserver
import os
import random
import re
import runpy
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LOOP, TRAINER = "train_accelerate.py", "train_trainer.py"
BOTH = (LOOP, TRAINER)
# Functions that runs replace or interrupt. When one moves, only this list changes.
SEED_STEP = "training.order.seed_step"  # called at the start of each optimizer step
CHECKSUM = "training.checkpoints._crc32"  # called for each file of a checkpoint
TOKEN_LOSS = "common.token_loss"
PREDICT_BATCH = "common.predict_batch"
WRITE_JSON = "support.files.write_json"
WRITE_REPORT = "results.report.write_report"

# Everything that the scripts import while they run.
LIBRARIES = (
    "torch", "torch._dynamo", "accelerate", "datasets", "evaluate", "matplotlib.figure",
    "seqeval.metrics", "tokenizers", "transformers", "transformers.models.bert.modeling_bert",
    "transformers.models.auto.modeling_auto", "transformers.trainer", "huggingface_hub",
)  # fmt: skip

_server = multiprocessing.get_context("forkserver")


class Run:
    """One start of a script: its processes and their output."""

    def __init__(
        self,
        script: str,
        flags: Iterable,
        folder: Path,
        processes: int = 1,
        before: Callable[[], None] | None = None,
        **environment: str,
    ):
        """Start the script in `folder`, its current directory, with `environment` added.

        `before`: a function of a module, called in each process before the script. The report,
        which takes most of a small run's time, is written only with `before=with_report`.
        """
        flags = [str(flag) for flag in flags]
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.log")))
        self.logs = [folder / f"run{number}_{rank}.log" for rank in range(processes)]
        shared = dict(os.environ) | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        if processes > 1:
            shared |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
            shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        self.processes: list[ForkServerProcess] = []
        start_server()
        # A forked process would import its parent's main module: hide the test runner.
        main, sys.modules["__main__"] = sys.modules["__main__"], type(sys)("__main__")
        try:
            for rank, log in enumerate(self.logs):
                ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if processes > 1 else {}
                self.processes.append(
                    _server.Process(
                        target=_play,
                        args=(script, flags, folder, log, shared | ranks | environment, before),
                        daemon=True,
                    )
                )
                self.processes[-1].start()
        finally:
            sys.modules["__main__"] = main

    def send(self, number: int, rank: int | None = None) -> None:
        """Send a signal to one process, or to all of them, as a terminal does."""
        for process in self.processes if rank is None else [self.processes[rank]]:
            if process.exitcode is None:
                os.kill(process.pid, number)

    def wait(self, timeout: float = 120) -> list[int]:
        """Return the exit statuses; a negative one is the signal that ended the process."""
        deadline = time.monotonic() + timeout
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0))
        if any(process.exitcode is None for process in self.processes):
            self.send(signal.SIGKILL)
            raise TimeoutError(f"not finished after {timeout} s:\n{self.output}")
        return [process.exitcode for process in self.processes]

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60) -> None:
        """Wait until `condition()` holds; fail if the run ends first."""
        deadline = time.monotonic() + timeout
        while True:
            ended = [process.exitcode for process in self.processes if not process.is_alive()]
            if condition():
                return
            if ended or time.monotonic() > deadline:
                self.send(signal.SIGKILL)
                raise AssertionError(f"the condition never held: {ended}\n{self.output}")
            time.sleep(0.005)

    @property
    def output(self) -> str:
        """The output of all processes, both streams."""
        return "\n".join(log.read_text(errors="replace") for log in self.logs if log.exists())


def start_server() -> None:
    """Start the fork server unless it is running."""
    changes = {
        # One thread for each process; torch reads it when it is imported.
        "OMP_NUM_THREADS": "1",
        # The tracker would warn about the semaphores of processes that were killed.
        "PYTHONWARNINGS": "ignore::UserWarning",
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    _server.set_forkserver_preload([*LIBRARIES, __name__, "tests.helpers.preloaded"])
    multiprocessing.forkserver.ensure_running()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def replace(place: str, make: Callable[[Callable], Callable]) -> None:
    """Replace a function by `make(function)`, here and in every module that has imported it.

    `place`: "module.function".
    """
    module_name, name = place.rsplit(".", 1)
    function = getattr(importlib.import_module(module_name), name)
    replacement = make(function)
    for module in list(sys.modules.values()):
        if str(getattr(module, "__file__", None) or "").startswith(str(ROOT)):
            for attribute, value in list(vars(module).items()):
                if value is function:
                    setattr(module, attribute, replacement)


def interrupt(place: str, call: int, action: int | Exception | Callable[[], None]) -> None:
    """Make call number `call` (from 0) of a function do something first: see `Run`'s `before`.

    `place`: "module.function". `action`: a signal, sent to this process, an exception, or a
    function to call.
    """
    calls = itertools.count()

    def make(function: Callable) -> Callable:
        def interrupted(*args, **kwargs):
            if next(calls) == call:
                if isinstance(action, Exception):
                    raise action
                if callable(action):
                    action()
                else:
                    os.kill(os.getpid(), action)
            return function(*args, **kwargs)

        return interrupted

    replace(place, make)


def record_batches(folder: Path) -> None:
    """Record the number of labels of each window of each training batch; one line per batch.

    Windows may lie in one row: special tokens without a label separate them. Fillers, which have no
    label, are left out.
    """
    import common

    def make(token_loss: Callable) -> Callable:
        def recording(logits, labels, *args, **kwargs):
            counts = [
                len(list(part))
                for row in labels.ne(common.IGNORED).tolist()
                for is_labelled, part in itertools.groupby(row)
                if is_labelled
            ]
            with open(folder / f"batches_{os.environ.get('RANK', 0)}.txt", "a") as file:
                print(*counts, file=file)
            return token_loss(logits, labels, *args, **kwargs)

        return recording

    replace(TOKEN_LOSS, make)


def need_padding() -> None:
    """Let no network run without padding."""
    replace("encoder.attention.let_run_unpadded", lambda function: lambda network: False)


def record_steps(file: Path) -> None:
    """Keep the number of finished steps in a file, which survives a kill of the process."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)

    def make(seed_step: Callable) -> Callable:
        def recording(seed, step, process):
            os.pwrite(descriptor, b"%9d" % step, 0)
            return seed_step(seed, step, process)

        return recording

    replace(SEED_STEP, make)


def pause() -> None:
    """Take a minute, in which signals are handled."""
    print("a long step", flush=True)
    for _ in range(600):
        time.sleep(0.1)  # short sleeps: a signal's handler runs between them


def wait_for_file(path: Path) -> None:
    """Print that the process waits, and wait until another process makes the file."""
    print(f"waiting for {path.name}", flush=True)
    while not path.exists():
        time.sleep(0.01)


def with_report() -> None:
    """Let a run write its report: see `Run`."""


def with_workers() -> None:
    """Let a run start processes that prepare batches: see `Run`."""
    multiprocessing.current_process()._config["daemon"] = False


def _play(script, flags, folder, log, environment, before):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # The fork server ignores Ctrl-C; a fresh interpreter does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [script, *flags]
    sys.path.insert(0, str(ROOT))
    if before is not with_report:
        replace(WRITE_REPORT, lambda write_report: lambda *args, **kwargs: None)
    if before:
        before()
    try:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    finally:  # a new interpreter calls these; a forked process does not
        atexit._run_exitfuncs()


def run(
    script: str, flags: Iterable, folder: Path, processes: int = 1, status: int = 0, **options
) -> str:
    """Run a script to its end, assert its exit status, return its output."""
    started = Run(script, flags, folder, processes, **options)
    statuses = started.wait()
    assert statuses == [status] * processes, f"{statuses}\n{started.output}"
    return started.output


# Code that prints the peak memory of its process in kB. The figure of `resource` would include
# that of the process it was forked from.
def run_both(flags: list, make_folder: Callable[[str], Path]) -> dict[str, Path]:
    """Run both training scripts; return the output folder of each."""
    folders = {script: make_folder("straight") for script in BOTH}
    for script, folder in folders.items():
        run(script, flags, folder)
    return {script: folder / "out" for script, folder in folders.items()}


def check_resuming(script: str, flags: list, straight: Path, folder: Path) -> None:
    """Stop a run in its second step and resume it; its weights are those of `straight`."""
    before = partial(interrupt, SEED_STEP, 2, signal.SIGTERM)
    run(script, flags, folder, status=128 + signal.SIGTERM, before=before)
    run(script, [*flags, "--resume_from_checkpoint"], folder)
    assert weights(folder / "out") == weights(straight)


PRINT_PEAK = """
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


def free_port() -> int:
    """Return the number of a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- A small corpus and a small encoder -----------------------------------------------------

NAMES = {
    "PER": ["Peter Blackburn", "Sylvain", "Anna Smith", "John", "Anna"],
    "ORG": ["Hugging Face", "Microsoft", "Bank of Germany", "EU"],
    "LOC": ["Brooklyn", "New York", "Paris", "London", "France"],
}
COMMON_WORDS = [
    *("the", "of", "a", "said", "on", "went", "from", "was", "with", "for", "he", "she", "it"),
    *("work", "call", "to", "boycott", "is", "and", "in"),
]
RARE_WORDS = ["lamb", "boycotting", "Xzqvy", "12.5", "...", "-", "é", "中", "washington"]


def random_sentence(random: random.Random, length: int) -> list[tuple[str, str]]:
    """Return `length` pairs of word and IOB2 tag, or one or two more."""
    rows = []
    while len(rows) < length:
        kind = random.choice(["PER", "ORG", "LOC", None, None, None, None])
        if kind is None:
            rows.append((random.choice(COMMON_WORDS if random.random() < 0.8 else RARE_WORDS), "O"))
        else:
            words = random.choice(NAMES[kind]).split()
            rows += [(word, ("I-" if i else "B-") + kind) for i, word in enumerate(words)]
    return rows


def write_corpus(folder: Path, train: int = 45, validation: int = 23, test: int = 29) -> list:
    """Write three CoNLL files of random sentences of 1 to 60 words; return the flags for them.

    No batch size divides the numbers of sentences. Each split has every label.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flags = []
    for number, (split, sentences) in enumerate(
        {"train": train, "validation": validation, "test": test}.items()
    ):
        source = random.Random(number)
        text = ""
        for _ in range(sentences):
            length = source.choice([1, 2, 3, 5, 8, 13, 21, 34, 60])
            rows = random_sentence(source, length)
            text += "".join(f"{word} {tag}\n" for word, tag in rows) + "\n"
        (folder / f"{split}.conll").write_text(text, encoding="utf-8")
        flags += [f"--{split}_file", folder / f"{split}.conll"]
    return flags


def without_dropout(encoder: Path, folder: Path) -> Path:
    """Copy an encoder into `folder`, with a configuration without dropout."""
    folder.mkdir(parents=True)
    for file in encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# --- The output of a run --------------------------------------------------------------------


def error_message(output: str) -> str:
    """Return the one message of a run that ended with a user error."""
    assert output.count("error: ") == 1 and "Traceback" not in output, output
    return output[output.index("error: ") :]


def trains_without_padding(output: str) -> bool:
    """Return whether a run does not say that its batches are padded."""
    from encoder.traits import Traits

    notes = [Traits(False, 0, leaks, unused_parameters=False).note for leaks in (False, True)]
    printed = " ".join(output.split())
    return not any(str(note) in printed for note in notes)


def shows_all_words_scored(output: str, words: int) -> bool:
    """Return whether a line shows `words` twice: those scored, and those in the corpus."""
    return bool(re.search(rf"\b{words}\b\D+\b{words}\b", output.replace(",", "")))


# --- The files of a run ---------------------------------------------------------------------


def facts(folder: Path) -> dict:
    """Return run.json."""
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def results(folder: Path) -> dict:
    """Return all_results.json."""
    return json.loads((folder / "all_results.json").read_text(encoding="utf-8"))


def losses(folder: Path) -> np.ndarray:
    """Return (steps, 2): loss and learning rate of each step that was logged."""
    return np.array([[row["loss"], row["learning_rate"]] for row in facts(folder)["step_losses"]])


def weights(folder: Path) -> dict:
    """Return the bytes of the saved parameters by name, to compare two models to the bit."""
    from safetensors.numpy import load_file

    return {n: v.tobytes() for n, v in load_file(folder / "model.safetensors").items()}
