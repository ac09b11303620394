"""Time the start-up: the first answer of infer.py, `--help`, and the start of training.

    python benchmarks/start.py --model bert-finetuned-ner      # a folder that training wrote
    python benchmarks/start.py --model FOLDER --against ../another/checkout

The rival is a one-liner with transformers' `pipeline` on the same folder; with --against, also the
scripts of another checkout of this suite. Sides take turns; medians of whole processes are printed,
together with the time to import torch and transformers. "First line" is the time until a script
prints what it does, "training" that until training begins, on a corpus that is cached.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = "My name is Sylvain and I work at Hugging Face in Brooklyn."
PIPELINE = (
    "import sys; from transformers import pipeline; "
    "print(pipeline('token-classification', sys.argv[1], aggregation_strategy='simple')"
    "(sys.argv[2]))"
)
IMPORTS = "import torch, transformers; from transformers import AutoModelForTokenClassification"
ANYTHING = ""  # starts every line
BEGINS = "output "  # starts the line that a training script prints when it is ready
OTHER = ", other checkout"


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of a trained model")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--against", type=Path, help="compare with another checkout of this suite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(options.rounds, str(Path(options.model).resolve()), folder, options.against)


def starts(checkout: Path, model: str, folder: str) -> dict[str, tuple[list[str], str | None]]:
    """Return the commands to time, by name, each with the line to wait for or None."""

    def train(script: str) -> list[str]:
        flags = ["--sample", "--output_dir", f"{folder}/{script}", "--overwrite_output_dir"]
        return [f"{checkout}/{script}", *flags]

    return {
        "infer.py TEXT": ([f"{checkout}/infer.py", "--model", model, TEXT], None),
        "infer.py --help": ([f"{checkout}/infer.py", "--help"], None),
        "train_accelerate.py --help": ([f"{checkout}/train_accelerate.py", "--help"], None),
        "train_trainer.py --help": ([f"{checkout}/train_trainer.py", "--help"], None),
        "first line, train_accelerate.py": (train("train_accelerate.py"), ANYTHING),
        "first line, train_trainer.py": (train("train_trainer.py"), ANYTHING),
        "training, train_accelerate.py": (train("train_accelerate.py"), BEGINS),
        "training, train_trainer.py": (train("train_trainer.py"), BEGINS),
    }


def compare(rounds: int, model: str, folder: str, against: Path | None) -> None:
    """Time all sides in turn and print the medians."""
    own = starts(ROOT, model, f"{folder}/own")
    rivals = starts(against.resolve(), model, f"{folder}/other") if against else {}
    sides = {
        "pipeline one-liner": (["-c", PIPELINE, model, TEXT], None),
        "import torch, transformers": (["-c", IMPORTS], None),
        # Each command is next to its rival, so that a slow minute of the machine affects both.
        **{
            f"{name}{side}": commands[name]
            for name in own
            for side, commands in (("", own), (OTHER, rivals))
            if commands
        },
    }
    times = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, (command, until) in sides.items():
            seconds = timed(command, until)
            if number:  # the first round fills the caches of disk and corpus
                times[name].append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{platform.platform()}, {os.cpu_count()} cores; {time.strftime('%Y-%m-%d')}")
    for name, values in times.items():
        print(f"{name:47}{medians[name]:6.2f} s   ({min(values):.2f}-{max(values):.2f})")
    for name in rivals:
        ratio = medians[name] / medians[f"{name}{OTHER}"]
        print(f"{name}: {ratio:.2f} of the other checkout's time")
    ratio = medians["infer.py TEXT"] / medians["pipeline one-liner"]
    print(f"first answer: {ratio:.2f} of the pipeline's time (goal: at most 0.65)")
    limits = {
        "infer.py --help": 1,
        "train_accelerate.py --help": 1,
        "train_trainer.py --help": 3,
        "first line, train_accelerate.py": 3,
        "first line, train_trainer.py": 3,
    }
    for name, limit in limits.items():
        print(f"{name}: {medians[name]:.2f} s (goal: under {limit})")
    for name in ("training, train_accelerate.py", "training, train_trainer.py"):
        over = medians[name] - medians["import torch, transformers"]
        print(f"{name}: {over:+.2f} s over the imports (goal: at most 3)")


def timed(command: list[str], until: str | None) -> float:
    """Return the seconds until a Python process ends, or prints a line that starts with `until`."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    if until is None:
        _, messages = process.communicate()
        failed = process.returncode != 0
        seconds = time.perf_counter() - started
    else:
        failed = not any(line.startswith(until) for line in process.stdout)
        seconds = time.perf_counter() - started
        process.kill()
        _, messages = process.communicate()
    if failed:
        sys.exit(f"{' '.join(command)} failed:\n{messages}")
    return seconds


if __name__ == "__main__":
    main()
