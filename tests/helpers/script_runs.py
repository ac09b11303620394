"""Running the training scripts as processes of their own, without importing torch for each.

A fork server imports the libraries once; every run is forked from it. What a run then is, is an
interpreter of its own in which the script is `__main__`: it has its own arguments, environment,
signals and exit status, and can be killed. Several processes of one run find each other as those
of torchrun do, by RANK, WORLD_SIZE and MASTER_PORT.
"""

import importlib
import itertools
import json
import multiprocessing
import multiprocessing.forkserver
import os
import random
import runpy
import signal
import socket
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LOOP, TRAINER = "train_accelerate.py", "train_trainer.py"
BOTH = (LOOP, TRAINER)
# Everything that the scripts import on their way.
LIBRARIES = (
    "torch", "torch._dynamo", "accelerate", "datasets", "evaluate", "matplotlib.figure",
    "seqeval.metrics", "tokenizers", "transformers", "transformers.models.bert.modeling_bert",
    "transformers.models.auto.modeling_auto", "transformers.trainer", "huggingface_hub",
)  # fmt: skip

_server = multiprocessing.get_context("forkserver")


class Run:
    """One start of a script: its processes, and what they print."""

    def __init__(
        self, script: str, flags, folder: Path, processes: int = 1, before=None, **environment: str
    ):
        """`folder`: where it runs, as the current directory; `environment` is added.

        `before`: a function of a module, called in each process before the script. Pictures of
        the report, which take most of a small run's time, are drawn only with `before=pictures`.
        """
        flags = [str(flag) for flag in flags]
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.log")))
        self.logs = [folder / f"run{number}_{rank}.log" for rank in range(processes)]
        shared = dict(os.environ) | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
        if processes > 1:
            shared |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
            shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        self.processes = []
        start_server()
        # Not the test runner: what a forked process imports of its parent's main is for nothing.
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
        """Send a signal, to one process or to all, as a terminal does."""
        for process in self.processes if rank is None else [self.processes[rank]]:
            if process.exitcode is None:
                os.kill(process.pid, number)

    def wait(self, timeout: float = 120) -> list[int]:
        """Exit statuses; negative: the signal that ended it."""
        deadline = time.monotonic() + timeout
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0))
        if any(process.exitcode is None for process in self.processes):
            self.send(signal.SIGKILL)
            raise TimeoutError(f"not done after {timeout} s:\n{self.output}")
        return [process.exitcode for process in self.processes]

    def wait_for(self, condition, timeout: float = 60) -> None:
        """Wait until `condition()` holds; fail where the run ends before."""
        deadline = time.monotonic() + timeout
        while True:
            over = [process.exitcode for process in self.processes if not process.is_alive()]
            if condition():
                return
            if over or time.monotonic() > deadline:
                self.send(signal.SIGKILL)
                raise AssertionError(f"it never came to that: {over}\n{self.output}")
            time.sleep(0.005)

    @property
    def output(self) -> str:
        """What all processes printed, on both streams."""
        return "\n".join(log.read_text(errors="replace") for log in self.logs if log.exists())


def start_server() -> None:
    """Start the fork server, once."""
    changes = {
        # One thread for each process, however many share the machine; read when torch is imported.
        "OMP_NUM_THREADS": "1",
        # Processes that are killed leave their semaphores, which its tracker would complain of.
        "PYTHONWARNINGS": "ignore::UserWarning",
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    _server.set_forkserver_preload([*LIBRARIES, __name__])
    multiprocessing.forkserver.ensure_running()
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def interrupt(where: str, call: int, action) -> None:
    """Make call number `call` (from 0) of a function do something first: see `Run`'s `before`.

    `where`: "module.function". `action`: a signal, sent to this process, an exception, or a
    function to call.
    """
    module_name, name = where.rsplit(".", 1)
    module = importlib.import_module(module_name)
    function, calls = getattr(module, name), itertools.count()

    def interrupted(*args, **kwargs):
        if next(calls) == call:
            if isinstance(action, Exception):
                raise action
            if callable(action):
                action()
            else:
                os.kill(os.getpid(), action)
        return function(*args, **kwargs)

    setattr(module, name, interrupted)


def record_batches(folder: Path) -> None:
    """Write down how many labels each window of each training batch has; a line a batch."""
    import common

    token_loss = common.token_loss

    def recording(logits, labels, *args, **kwargs):
        counts = labels.ne(common.IGNORED).sum(1).tolist()
        with open(folder / f"batches_{os.environ.get('RANK', 0)}.txt", "a") as file:
            print(*counts, file=file)
        return token_loss(logits, labels, *args, **kwargs)

    common.token_loss = recording


def record_steps(file: Path) -> None:
    """Keep the number of steps made so far in a file, which outlives the process."""
    from training import order, plan, trainer

    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)

    def recording(seed, step, process):
        os.pwrite(descriptor, b"%9d" % step, 0)
        return order.seed_step(seed, step, process)

    plan.seed_step = trainer.seed_step = recording


def pause() -> None:
    print("a long step", flush=True)
    for _ in range(600):
        time.sleep(0.1)  # in pieces: a signal's handler runs between them


def wait_for_file(path: Path) -> None:
    print(f"waiting for {path.name}", flush=True)
    while not path.exists():
        time.sleep(0.01)


def pictures() -> None:
    """Leave the report as it is."""


def _play(script, flags, folder, log, environment, before):
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # The fork server ignores Ctrl-C; an interpreter of its own does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [script, *flags]
    sys.path.insert(0, str(ROOT))
    if before is not pictures:
        from results import report

        report.write_report = lambda folder, run: None
    if before:
        before()
    runpy.run_path(str(ROOT / script), run_name="__main__")


def run(script: str, flags, folder: Path, processes: int = 1, status: int = 0, **options) -> str:
    """Run a script to its end and hold its exit status against `status`; returns its output."""
    started = Run(script, flags, folder, processes, **options)
    statuses = started.wait()
    assert statuses == [status] * processes, f"{statuses}\n{started.output}"
    return started.output


# For a process to print the most memory that it has had, in kB. What `resource` says counts its
# parent's, from whom it was forked.
PRINT_PEAK = """
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM:")))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- A small corpus and a small encoder -----------------------------------------------------

NAMES = {
    "PER": ["Peter Blackburn", "Sylvain", "Anna Smith", "John", "Anna"],
    "ORG": ["Hugging Face", "Microsoft", "Bank of Germany", "EU"],
    "LOC": ["Brooklyn", "New York", "Paris", "London", "France"],
}
OTHERS = [
    *("the", "of", "a", "said", "on", "went", "from", "was", "with", "for", "he", "she", "it"),
    *("work", "call", "to", "boycott", "is", "and", "in"),
]
ODD = ["lamb", "boycotting", "Xzqvy", "12.5", "...", "-", "é", "中", "washington"]


def sentence(random: random.Random, length: int) -> list[tuple[str, str]]:
    """About `length` pairs of word and IOB2 tag."""
    rows = []
    while len(rows) < length:
        kind = random.choice(["PER", "ORG", "LOC", None, None, None, None])
        if kind is None:
            rows.append((random.choice(OTHERS if random.random() < 0.8 else ODD), "O"))
        else:
            words = random.choice(NAMES[kind]).split()
            rows += [(word, ("I-" if i else "B-") + kind) for i, word in enumerate(words)]
    return rows


def write_corpus(folder: Path, train: int = 45, validation: int = 23, test: int = 29) -> list:
    """Three CoNLL files of random sentences of 1 to 60 words; returns the flags that name them.

    The numbers of sentences divide by nothing; three splits, each with every label.
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
            rows = sentence(source, length)
            text += "".join(f"{word} {tag}\n" for word, tag in rows) + "\n"
        (folder / f"{split}.conll").write_text(text, encoding="utf-8")
        flags += [f"--{split}_file", folder / f"{split}.conll"]
    return flags


def without_dropout(encoder: Path, folder: Path) -> Path:
    """A copy of an encoder whose configuration has no dropout."""
    folder.mkdir(parents=True)
    for file in encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


# --- What a run left ------------------------------------------------------------------------


def facts(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def results(folder: Path) -> dict:
    return json.loads((folder / "all_results.json").read_text(encoding="utf-8"))


def losses(folder: Path) -> np.ndarray:
    """(updates, 2): loss and learning rate of each update that was logged."""
    return np.array([[row["loss"], row["learning_rate"]] for row in facts(folder)["step_losses"]])


def weights(folder: Path) -> dict:
    """The saved parameters' bytes by name; equal to the bit where the dictionaries are equal."""
    from safetensors.numpy import load_file

    return {n: v.tobytes() for n, v in load_file(folder / "model.safetensors").items()}
