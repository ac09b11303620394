"""Measure the memory and time of training with the flags for large encoders.

    NER_CORPORA=... python benchmarks/memory.py          # the embedded encoder on two corpora
    python benchmarks/memory.py --model xlm-r-base --corpora sample --steps 5

Each run is a process of `train_accelerate.py`, one after another: some steps in fp32 without
evaluation, then the model is saved. Memory is the peak of anonymous memory of the whole process;
pages of memory-mapped files, which the system can reclaim, do not count. Time is processor time of
the whole process in one thread, of which the start takes some seconds. `--optim adamw_bnb_8bit` is
measured where bitsandbytes is installed.
"""

import argparse
import os
import resource
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from accuracy import EPOCHS, as_flags, find_corpus
from encoders import NAMES, find_encoder
from machine import describe
from scale import measured

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main():
    """Measure each set of flags on each corpus, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default="embedded", help=f"the folder of a model, or one of {', '.join(NAMES)}"
    )
    parser.add_argument("--corpora", nargs="+", choices=EPOCHS, default=["wikigold", "sample"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch_size", type=int, default=8)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of this process and of the runs that it starts
    print(
        f"{describe()}; {options.model}, {options.steps} steps of {options.batch_size} sentences\n"
    )
    print("| corpus | flags | peak memory, MB | processor time, s |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        os.environ["HF_DATASETS_CACHE"] = str(work / "cache")
        model = find_encoder(options.model, work / "encoder", parser)
        for corpus in options.corpora:
            files = find_corpus(corpus, work, parser)
            for number, flags in enumerate(sets_of_flags(model)):
                output = work / f"{corpus}-{number}"
                arguments = {
                    "model_name_or_path": model,
                    "output_dir": output,
                    "max_steps": options.steps,
                    "per_device_train_batch_size": options.batch_size,
                    "mixed_precision": "no",
                    "checkpointing_steps": "no",
                }
                command = [sys.executable, ROOT / "train_accelerate.py", "--do_train", *flags]
                command += as_flags(files | arguments)
                began = processor_time()
                _, peak = measured([*map(str, command)])
                seconds = processor_time() - began
                shown = f"`{' '.join(flags)}`" if flags else "none"
                print(f"| {corpus} | {shown} | {peak:.0f} | {seconds:.0f} |", flush=True)


def processor_time() -> float:
    """Return the seconds of processor time of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sets_of_flags(model: str) -> list[list[str]]:
    """Return the sets of flags to measure; half of the layers are frozen."""
    from transformers import AutoConfig

    half = str(AutoConfig.from_pretrained(model).num_hidden_layers // 2)
    sets = [
        [],
        ["--gradient_checkpointing"],
        ["--freeze_layers", half],
        ["--lora"],
        ["--lora", "--gradient_checkpointing"],
        ["--lora", "--freeze_layers", half],
    ]
    return sets + [["--optim", "adamw_bnb_8bit"]] * bool(find_spec("bitsandbytes"))


if __name__ == "__main__":
    main()
