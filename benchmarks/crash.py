"""Kill training repeatedly, resume it each time, and compare the result with that of a full run.

    python benchmarks/crash.py                        # both scripts, 24 kills each
    python benchmarks/crash.py --kills 100 --seed 1
    python benchmarks/crash.py --processes 2          # all processes of a run are killed

Every kill is a SIGKILL at a random moment: half of them at any time after the start of the process,
half while a checkpoint is being written. After each kill, every folder named like a checkpoint must
be complete, the newest checkpoint must not be lost, and the run resumes with
--resume_from_checkpoint. A run that reaches its end must have bit for bit the weights, and the
predictions, of a run that was never killed; then the next run begins, with another seed. Dropout,
length grouping, windows, accumulation, evaluation and --save_total_limit are on.

Steps lost: the steps done before a kill that the newest complete checkpoint does not include.
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

EVERY, EPOCHS, LIMIT = 4, 2, 2  # steps between checkpoints; epochs; checkpoints kept
SPLITS = {"train": 150, "validation": 40, "test": 40}  # sentences


def main():
    """Read the command line, then kill runs of both scripts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=24, help="kills of each script")
    parser.add_argument("--processes", type=int, default=1, help="processes of each run")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    args = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as work:
        os.environ["HF_HOME"] = f"{work}/home"
        from tests.helpers.script_runs import BOTH

        flags = make_inputs(Path(work))
        for script in BOTH:
            kill_runs(script, flags, args, Path(work) / script)


def make_inputs(work: Path) -> list:
    """Return flags for a corpus and an encoder of 3.3 million parameters.

    A checkpoint takes 40 MB.
    """
    import torch
    from transformers import BertConfig, BertModel

    from tests.helpers.models import save_tiny_tokenizer, tiny_vocabulary
    from tests.helpers.script_runs import write_corpus

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tiny_vocabulary()),
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(work / "encoder")
    save_tiny_tokenizer(work / "encoder")
    flags = ["--model_name_or_path", work / "encoder", *write_corpus(work / "corpus", **SPLITS)]
    flags += ["--num_train_epochs", EPOCHS, "--checkpointing_steps", EVERY]
    flags += ["--gradient_accumulation_steps", 2, "--per_device_train_batch_size", 4]
    flags += ["--learning_rate", 1e-3, "--save_total_limit", LIMIT, "--output_dir", "out"]
    return [*flags, "--mixed_precision", "no"]


def kill_runs(script: str, flags: list, args, folder: Path) -> None:
    """Kill runs of one script until there are enough kills, and print the outcome."""
    from tests.helpers.script_runs import run

    moments = random.Random(f"{args.seed} {script}")
    kinds, lost, finished, started = Counter(), [], 0, time.monotonic()
    while sum(kinds.values()) < args.kills:
        seeded = [*flags, "--seed", finished]
        began = time.monotonic()
        run(script, seeded, folder / f"straight{finished}", args.processes)
        full_run_s = time.monotonic() - began
        killed = folder / f"killed{finished}"
        left = args.kills - sum(kinds.values())
        for _ in range(left):
            kind, steps = kill_once(script, seeded, args.processes, killed, moments, full_run_s)
            if kind is None:
                break  # the run ended before the moment of its kill
            kinds[kind] += 1
            lost.append(steps)
            print(f"  {script}: killed {kind}, {steps} steps lost", flush=True)
        run(script, seeded + resume(killed), killed, args.processes)
        expected, actual = digest(folder / f"straight{finished}"), digest(killed)
        if actual != expected:
            sys.exit(f"{script}, seed {finished}: {actual} after kills, expected {expected}")
        print(f"  {script}: run {finished} complete, results {actual[:16]} as expected", flush=True)
        finished += 1
    activities = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    print(
        f"{script}, {args.processes} process(es): {sum(kinds.values())} kills survived in "
        f"{finished} runs ({activities}); steps lost: {mean(lost):.1f} on average, "
        f"{max(lost)} at most, with a checkpoint every {EVERY} steps; "
        "weights and predictions of every run equal those of an uninterrupted one; "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )


def resume(folder: Path) -> list:
    """Return the flag to resume; none if the run was killed before its first checkpoint."""
    from support.manifests import checkpoint_folders

    return ["--resume_from_checkpoint"] if checkpoint_folders(folder / "out") else []


def kill_once(script, flags, processes, folder: Path, moments, full_run_s: float):
    """Start or resume a run and kill it; return its activity at that moment and the steps lost.

    Returns (None, 0) if the run ended before. `full_run_s`: the seconds that a full run takes.
    """
    from tests.helpers.script_runs import Run, record_steps

    out, counter = folder / "out", folder / "steps"
    before = newest_step(out)
    folder.mkdir(parents=True, exist_ok=True)
    counter.write_bytes(b"%9d" % before)
    started = Run(
        script, flags + resume(folder), folder, processes, before=partial(record_steps, counter)
    )
    if moments.random() < 0.5:
        moment = time.monotonic() + moments.uniform(0, full_run_s)
        alive = wait_until(started, lambda: time.monotonic() > moment)
    else:
        number = moments.randrange(1, 4)  # the first, second or third checkpoint of the session
        partial_folders = set()

        def is_writing():
            partial_folders.update(path.name for path in out.glob(".run/[!.]*/"))
            return len(partial_folders) == number

        alive = wait_until(started, is_writing)
        time.sleep(moments.uniform(0, 0.1))
    was_writing = any(out.glob(".run/[!.]*/"))
    alive = alive and all(process.is_alive() for process in started.processes)
    started.send(signal.SIGKILL)
    statuses = started.wait()
    if not alive or statuses != [-signal.SIGKILL] * processes:
        if any(status not in (0, -signal.SIGKILL) for status in statuses):
            sys.exit(f"{script} failed without a kill: {statuses}\n{started.output}")
        if statuses == [0] * processes:
            return None, 0
    done, kept = int(counter.read_bytes()), newest_step(out)
    if kept < before:
        sys.exit(
            f"{script}: the checkpoint of step {before} was lost, the newest is that of step {kept}"
        )
    lost = max(done - kept, 0)  # a finished step is counted when the next one begins
    if was_writing:
        return "while a checkpoint was written", lost
    return ("before its first step" if done == before else "between checkpoints"), lost


def wait_until(started, condition) -> bool:
    """Wait for the condition or the run's end; return whether the condition came first."""
    while all(process.is_alive() for process in started.processes):
        if condition():
            return True
        time.sleep(0.002)
    return False


def newest_step(out: Path) -> int:
    """Return the step of the newest checkpoint or 0; exit if any checkpoint is damaged."""
    from support.manifests import checkpoint_folders
    from training.checkpoints import damage, read_progress

    folders = checkpoint_folders(out)
    for path in folders:
        if problem := damage(path):
            sys.exit(f"{path} is damaged: {problem}")
    return read_progress(folders[-1]).step if folders else 0


def digest(folder: Path) -> str:
    """Return the SHA-256 of the weights and the predictions."""
    files = [folder / "out" / name for name in ("model.safetensors", "predictions.txt")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


if __name__ == "__main__":
    main()
