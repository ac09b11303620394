"""Compare the training speed of both scripts of the suite with that of plain Trainer.

    NER_CORPORA=... python benchmarks/train.py                     # WNUT-17, MiniLM, 40 steps of 8
    NER_CORPORA=... python benchmarks/train.py --batch_size 32 --isa avx2
    NER_CORPORA=... python benchmarks/train.py --model roberta-base
    python benchmarks/train.py --corpus sample --against ../another/checkout

The rival is that of accuracy.py: Trainer with default arguments, random order, dynamic padding, in
fp32. It labels the sub-words that the suite labels by default. With --against, the rivals are the
scripts of another checkout of this suite. The scripts of the suite choose their precision.

All sides train on the same sentences for the same steps, at the same learning rate. The first
steps, which create kernels and map memory, are not timed. Speed counts labelled sub-words and is
given in sentences of average length, so it does not depend on which sentences the first steps had.
Runs are interleaved; medians are printed. The limit is the speed that the matrix products of the
sub-words alone would allow, without padding, at the rate of a large product in the fastest
precision.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from accuracy import as_flags
from encoders import NAMES, find_encoder, operations
from machine import add_isa, describe, matrix_rates, restrict

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
PLAIN = "plain Trainer"
SCRIPTS = ("train_trainer.py", "train_accelerate.py")
CORPORA = {  # training split, test split
    "wnut17": ("wnut17train.conll", "emerging.test.annotated"),
    "sec": ("FIN5.txt", "FIN3.txt"),
    "sample": ("train.conll", "test.conll"),  # the embedded corpus
}


@dataclass(frozen=True)
class Work:
    """The training that all sides do."""

    model: str  # folder of the encoder
    files: dict[str, str]  # of the corpus: `train_file`, `validation_file`
    sentences: int  # the first of the training split
    batch_size: int
    epochs: int
    warmup: int  # steps that are not timed
    learning_rate: float
    device: str
    plain_bf16: bool = False  # plain Trainer in bf16
    suite_flags: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Return the number of all steps."""
        return self.epochs * self.sentences // self.batch_size


def main():
    """Read the command line and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        default="embedded",
        help=f"{', '.join(NAMES)} (families: random weights), or a folder (default: embedded)",
    )
    parser.add_argument("--corpus", choices=CORPORA, default="wnut17")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument(
        "--steps",
        type=int,
        default=40,
        help="of each run, in whole epochs over as many sentences as they need (default: 40)",
    )
    parser.add_argument("--warmup", type=int, default=5, help="steps not timed (default: 5)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--learning_rate", type=float, default=2e-4)
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: a GPU if there is one")
    parser.add_argument("--plain_bf16", action="store_true", help="plain Trainer in bf16 too")
    add_isa(parser)
    parser.add_argument("--against", type=Path, help="compare with another checkout of this suite")
    options = parser.parse_args()
    restrict(options.isa)
    # Imported here because it imports torch.
    from training.runtime import quiet_libraries

    quiet_libraries(verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        work = plan_work(options, Path(folder), parser)
        sides, rivals = {PLAIN: None, **{script: ROOT / script for script in SCRIPTS}}, {}
        if options.against:
            sides = {}
            for script in SCRIPTS:
                rival = f"{script}, other checkout"
                sides |= {script: ROOT / script, rival: options.against.resolve() / script}
                rivals |= {script: rival, rival: rival}
        speeds, precisions = measure(work, sides, options.rounds, Path(folder))
        rivals = rivals or dict.fromkeys(sides, PLAIN)
        print_heading(options, work)
        print_precisions(precisions)
        print_table(speeds, rivals, sentence_operations(work), matrix_rates(work.device))


def plan_work(options, folder: Path, parser) -> Work:
    """Return the work that the options ask for; `folder`: for an encoder with random weights."""
    if options.isa and options.device == "cuda":
        parser.error("--isa: restricts a CPU: got --device cuda, expected --device cpu")
    if min(options.batch_size, options.rounds) < 1 or not 1 <= options.warmup < options.steps:
        parser.error(
            "--batch_size, --rounds, --warmup, --steps: expected at least 1, and more steps than "
            "those of the warm-up"
        )
    scripts = [options.against / script for script in SCRIPTS] if options.against else []
    if missing := [str(script) for script in scripts if not script.is_file()]:
        parser.error(f"--against: not a checkout of this suite: {missing[0]} is missing")
    files = corpus_files(options.corpus, parser)
    model = find_encoder(options.model, folder / "encoder", parser)
    import torch

    device = "cpu" if options.isa else options.device
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no GPU that torch can use")
    wanted = options.steps * options.batch_size
    sentences = min(wanted, len(load_sentences(files)))
    sentences -= sentences % options.batch_size
    if not sentences:
        parser.error(f"--batch_size {options.batch_size}: more than the sentences of the corpus")
    return Work(
        model=model,
        files=files,
        sentences=sentences,
        batch_size=options.batch_size,
        epochs=math.ceil(wanted / sentences),
        warmup=options.warmup,
        learning_rate=options.learning_rate,
        device=device,
        plain_bf16=options.plain_bf16,
        # The suite asks the CPU for its instructions and would choose bf16, emulated in AVX2.
        suite_flags=("--mixed_precision", "no") if options.isa else (),
    )


def corpus_files(name: str, parser) -> dict[str, str]:
    """Return the files of the training and the test split, as keyword arguments."""
    folder = ROOT / "data" / "sample"
    if name != "sample":
        if not os.environ.get("NER_CORPORA"):
            parser.error(
                f"--corpus {name}: NER_CORPORA is not set: expected the folder of the corpora; "
                "see benchmarks/README.md. `--corpus sample` needs none."
            )
        folder = Path(os.environ["NER_CORPORA"], name)
    train, test = (folder / file for file in CORPORA[name])
    if not (train.is_file() and test.is_file()):
        parser.error(f"--corpus {name}: files are missing: expected {train} and {test}")
    # The test split has the place of the validation split, so that nothing is held out.
    return {"train_file": str(train), "validation_file": str(test)}


def load_sentences(files: dict[str, str], sentences: int | None = None) -> list[list[str]]:
    """Return the words of the first sentences of the training split."""
    from corpus.load import load_corpus
    from settings.run_settings import CorpusSettings

    settings = {name: (file,) for name, file in files.items()}
    corpus = load_corpus(CorpusSettings(**settings, max_train_samples=sentences))
    return corpus.splits["train"]["tokens"][:]


# --- Runs -----------------------------------------------------------------------------------------


def measure(
    work: Work, sides: dict[str, Path | None], rounds: int, folder: Path
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return the sentences/s of each side in each round, and the precision it trains in.

    `sides`: scripts by name; None is plain Trainer. `folder`: for the files of the runs. Exits if
    the sides did not do the same work.
    """
    speeds, precisions, amounts = {side: [] for side in sides}, {}, {}
    for seed in range(rounds):
        for side, script in sides.items():
            output, timing = folder / "run", folder / "timing.json"
            speed, amounts[side], precisions[side] = run(work, script, seed, output, timing)
            speeds[side].append(speed)
            print(f"  round {seed}, {side}: {speed:.1f} sentences/s", file=sys.stderr, flush=True)
            shutil.rmtree(output)
        if len(set(map(str, amounts.values()))) > 1:
            lines = (f"  {side}: {amount}" for side, amount in amounts.items())
            sys.exit("\n".join(["The sides did not do the same work:", *lines]))
    return speeds, precisions


def run(work: Work, script: Path | None, seed: int, output: Path, timing: Path):
    """Train once; return sentences/s, the work that was done, and the precision."""
    from settings.flags import LoopFlags

    arguments = {
        "output_dir": str(output),
        "num_train_epochs": work.epochs,
        "per_device_train_batch_size": work.batch_size,
        "learning_rate": work.learning_rate,
        "seed": seed,
    }
    corpus = work.files | {"max_train_samples": work.sentences}
    use_cpu = work.device == "cpu"
    if script is None:
        rival = {
            "model": work.model,
            "corpus": {n: [v] if n in work.files else v for n, v in corpus.items()},
            "arguments": arguments | {"use_cpu": use_cpu, "bf16": work.plain_bf16},
            "label_all_tokens": LoopFlags.label_all_tokens,
        }
        command = [ROOT / "benchmarks" / "accuracy.py", "--rival", json.dumps(rival)]
    else:
        flags = as_flags(corpus | arguments | {"model_name_or_path": work.model})
        command = [script, *flags, *work.suite_flags, "--do_train", "--checkpointing_steps", "no"]
        command += ["--use_cpu"] if use_cpu else []
    clock = {"steps": work.steps, "warmup": work.warmup, "result": str(timing)}
    timing.unlink(missing_ok=True)
    call([ROOT / "benchmarks" / "clock.py", json.dumps(clock), *command])
    metrics = json.loads((output / "train_results.json").read_text())
    if not timing.is_file():
        sys.exit(f"{command[0]}: ended after {metrics['train_steps']} of {work.steps} steps")
    times = json.loads(timing.read_text())
    sentences = work.epochs * work.sentences
    timed = 1 - times["labelled_in_warmup"] / times["labelled"]  # share of the work
    amount = {
        "steps": metrics["train_steps"],
        "sentences": round(metrics["train_samples_per_second"] * metrics["train_runtime"]),
        "labelled sub-words": times["labelled"],
    }
    precision = "bf16" if work.plain_bf16 else "fp32"
    if script is not None:
        precision = json.loads((output / "run.json").read_text())["precision"]
    return sentences * timed / times["seconds"], amount, precision


def call(command) -> None:
    """Run a Python command; if it fails, exit with its output."""
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


# --- Report ---------------------------------------------------------------------------------------


def print_heading(options, work: Work) -> None:
    """Print the machine, the date and the work."""
    print(f"{describe(work.device)}; {time.strftime('%Y-%m-%d')}")
    print(
        f"{options.model}; {options.corpus}; {work.steps} steps of {work.batch_size} sentences, "
        f"the first {work.warmup} not timed; medians of {options.rounds} interleaved rounds."
    )


def print_precisions(precisions: dict[str, str]) -> None:
    """Print the precision of each side."""
    print(f"Precision: {', '.join(f'{side} {name}' for side, name in precisions.items())}.\n")


def sentence_operations(work: Work) -> float:
    """Return the floating-point operations of training on an average sentence.

    The backward pass takes twice those of the forward pass.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(work.model)
    sentences = load_sentences(work.files, work.sentences)
    encoded = tokenizer(sentences, is_split_into_words=True, truncation=False, verbose=False)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    return 3 * operations(work.model, lengths) / len(lengths)


def print_table(
    speeds: dict[str, list[float]],
    rivals: dict[str, str],
    operations_per_sentence: float,
    rates: dict[str, float],
) -> None:
    """Print the limits of the machine and the speed of each side, against its rival's."""
    for name, rate in rates.items():
        print(
            f"A matrix product in {name}: {rate / 1e9:.0f} GFLOP/s; "
            f"this rate alone would allow {rate / operations_per_sentence:.0f} sentences/s."
        )
    limit = max(rates.values()) / operations_per_sentence
    print("\n| | sentences/s | lowest, highest | ratio | of the limit |")
    print("| --- | --- | --- | --- | --- |")
    for side, rival in rivals.items():
        median = statistics.median(speeds[side])
        ratio = median / statistics.median(speeds[rival])
        print(
            f"| {side} | {median:.1f} | {min(speeds[side]):.1f}, {max(speeds[side]):.1f} "
            f"| {ratio:.2f} | {median / limit:.0%} |"
        )


if __name__ == "__main__":
    main()
