"""Measure the time of a training step by kind of operation.

    NER_CORPORA=... python benchmarks/step.py                       # WNUT-17, MiniLM, batches of 8
    NER_CORPORA=... python benchmarks/step.py --model roberta-base --isa avx2
    python benchmarks/step.py --corpus sample --batch_size 32

Runs `train_accelerate.py` under torch's profiler, from the end of the warm-up to the end of the
last step. The time of an operation is that in the main thread, without the operations that it
calls. "Between operations" is the rest of the step: Python, autograd's bookkeeping, and the
profiler itself. Then the matrix products of these steps are computed alone, in the same sizes, each
with weights that are not in a cache. Their time beyond that at the rate of a large product is the
cost of their sizes.
"""

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from clock import run_watched
from encoders import NAMES, find_encoder
from machine import add_isa, describe, matrix_rates, restrict
from train import CORPORA, ROOT, as_flags, call, corpus_files

# The kind of an operation: the first one that lists a part of its name.
KINDS = {
    "AdamW": ("adam",),
    "clipping": ("vector_norm", "clip_grad"),
    "attention": ("attention", "softmax"),
    "matrix products": ("::mm", "::addmm", "::bmm", "::baddbmm", "::linear", "mkldnn_linear"),
    "norms, activations, dropout": ("norm", "gelu", "silu", "tanh", "dropout", "bernoulli"),
    "embeddings": ("embedding",),
    "casts, copies, gathering rows": ("copy", "index", "::cat", "gather", "scatter", "clone"),
    "other elementwise operations": ("aten::",),
}
BETWEEN = "between operations"
PRODUCTS = ("aten::mm", "aten::addmm")
REPEATS = 20  # of a product alone
CACHE_BYTES = 1 << 28


class Shape(NamedTuple):
    """The sizes of a matrix product, (rows, inner) times (inner, columns)."""

    rows: int
    inner: int
    columns: int

    @property
    def operations(self) -> float:
        """Return the floating-point operations."""
        return 2.0 * self.rows * self.inner * self.columns


def main():
    """Read the command line, run the steps, and print the time of their parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="embedded", help=f"{', '.join(NAMES)}, or a folder")
    parser.add_argument("--corpus", choices=CORPORA, default="wnut17")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--warmup", type=int, default=5, help="steps not counted (default: 5)")
    add_isa(parser)
    parser.add_argument("--profiled", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.profiled:
        run_profiled(options, **json.loads(options.profiled))
        return
    if not 1 <= options.warmup < options.steps:
        parser.error("--steps: expected more than those of the warm-up, which are at least 1")
    restrict(options.isa)
    with tempfile.TemporaryDirectory() as folder:
        model = find_encoder(options.model, Path(folder, "encoder"), parser)
        flags = as_flags(
            corpus_files(options.corpus, parser)
            | {
                "model_name_or_path": model,
                "output_dir": str(Path(folder, "run")),
                "max_steps": options.steps,
                "per_device_train_batch_size": options.batch_size,
                "learning_rate": 2e-4,
            }
        )
        flags += ["--do_train", "--checkpointing_steps", "no", "--use_cpu"]
        # The suite asks the CPU for its instructions and would choose bf16, emulated in AVX2.
        flags += ["--mixed_precision", "no"] if options.isa else []
        result = Path(folder, "profile.json")
        child = {"flags": flags, "result": str(result)}
        own = ["--steps", options.steps, "--warmup", options.warmup]
        call([__file__, *own, "--profiled", json.dumps(child)])
        profile = json.loads(result.read_text())
        precision = json.loads(Path(folder, "run", "run.json").read_text())["precision"]
    products = {Shape(*sizes): count for sizes, count in profile["products"]}
    report(options, profile["seconds"], profile["by_kind"], products, precision)


def run_profiled(options, flags: list[str], result: str) -> None:
    """Run the training script in this process under the profiler, and write the result."""
    profiles: list[Profile] = []
    make = partial(Profile, steps=options.steps, warmup=options.warmup, results=profiles)
    run_watched(make, str(ROOT / "train_accelerate.py"), flags)
    values = {
        "seconds": profiles[0].seconds,
        "by_kind": profiles[0].by_kind(),
        "products": [*profiles[0].products().items()],
    }
    Path(result).write_text(json.dumps(values))


class Profile:
    """The steps of a run under torch's profiler."""

    def __init__(self, torch, steps: int, warmup: int, results: list) -> None:
        """Hook into torch's optimizers; add itself to `results`."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self.steps, self.warmup, self.step, self.seconds = steps, warmup, 0, 0.0
        self.profiler = torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True
        )
        results.append(self)
        register_optimizer_step_post_hook(self.end_step)

    def end_step(self, *_) -> None:
        """Count a step; start the profiler, or stop it."""
        self.step += 1
        if self.step == self.warmup:
            self.profiler.start()
            self.seconds = -time.perf_counter()
        elif self.step == self.steps:
            self.seconds += time.perf_counter()
            self.profiler.stop()

    def by_kind(self) -> dict[str, float]:
        """Return the seconds of each kind of operation in all steps."""
        seconds = dict.fromkeys([*KINDS, BETWEEN], 0.0)
        for event in self.profiler.key_averages():
            name = event.key.lower()
            kind = next((k for k, parts in KINDS.items() if any(p in name for p in parts)), None)
            if kind is not None:
                seconds[kind] += event.self_cpu_time_total / 1e6
        seconds[BETWEEN] = self.seconds - sum(seconds.values())
        return seconds

    def products(self) -> dict[Shape, int]:
        """Return how often each matrix product occurs in all steps."""
        counts: dict[Shape, int] = {}
        for event in self.profiler.key_averages(group_by_input_shape=True):
            if event.key in PRODUCTS:
                left, right = [shape for shape in event.input_shapes if len(shape) == 2][-2:]
                shape = Shape(left[0], left[1], right[1])
                counts[shape] = counts.get(shape, 0) + event.count
        return counts


def seconds_alone(products: dict[Shape, int], precision: str) -> float:
    """Return the seconds of all products, each computed some times with operands from memory."""
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    seconds = 0.0
    for shape, count in products.items():
        operands = [
            (
                torch.randn(shape.rows, shape.inner).to(dtype),
                torch.randn(shape.inner, shape.columns).to(dtype),
            )
            for _ in range(REPEATS)
        ]
        operands[0][0] @ operands[0][1]  # creates the kernel
        _displace_caches()
        began = time.perf_counter()
        for left, right in operands:
            left @ right
        seconds += (time.perf_counter() - began) / REPEATS * count
    return seconds


def _displace_caches() -> None:
    """Fill the caches of the processor with other data."""
    import torch

    torch.ones(CACHE_BYTES // 4).sum()


def report(
    options, seconds: float, by_kind: dict[str, float], products: dict[Shape, int], precision: str
) -> None:
    """Print the time of each kind of operation, and that of the products alone."""
    steps = options.steps - options.warmup
    step = seconds / steps
    alone = seconds_alone(products, precision) / steps
    rate = matrix_rates()[precision]
    arithmetic = sum(shape.operations * n for shape, n in products.items()) / rate / steps
    print(f"{describe()}; {time.strftime('%Y-%m-%d')}")
    print(f"{options.model}; {options.corpus}; {steps} steps of {options.batch_size}; {precision}")
    print(f"\n| a step of {1000 * step:.0f} ms | ms | share |\n| --- | --- | --- |")
    for kind, of_kind in sorted(by_kind.items(), key=lambda pair: -pair[1]):
        print(f"| {kind} | {1000 * of_kind / steps:.1f} | {of_kind / seconds:.0%} |")
    print(f"| the same matrix products alone | {1000 * alone:.1f} | {alone / step:.0%} |")
    print(
        f"| their arithmetic at the rate of a large product, {rate / 1e9:.0f} GFLOP/s "
        f"| {1000 * arithmetic:.1f} | {arithmetic / step:.0%} |"
    )


if __name__ == "__main__":
    main()
