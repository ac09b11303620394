"""The machine of a benchmark: its description, its speed at large matrix products, its limits."""

import argparse
import os
import platform
import time
from pathlib import Path
from typing import Any

# Each of the libraries that compute has its own limit: torch's operations, oneDNN (products in
# bf16), MKL (products in fp32; on a processor that is not Intel's, MKL has nothing beyond AVX2).
INSTRUCTION_SETS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }
}


def add_isa(parser: argparse.ArgumentParser) -> None:
    """Add the flag --isa to a parser."""
    parser.add_argument(
        "--isa", choices=INSTRUCTION_SETS, help="restrict a CPU to this instruction set, in fp32"
    )


def restrict(isa: str | None = None) -> None:
    """Restrict this process, and those that it starts, to one GPU and an instruction set.

    With several GPUs, plain Trainer would split each batch among them. Call it before torch is
    imported.
    """
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")
    os.environ.update(INSTRUCTION_SETS.get(isa or "", {}))


def describe(device: str = "cpu") -> str:
    """Return the processor or GPU, its threads, and the version of torch, as a heading."""
    import torch

    if device != "cpu":
        properties = torch.cuda.get_device_properties(device)
        memory = properties.total_memory / 2**30
        return f"{properties.name}, {memory:.0f} GiB, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = lines[0].partition(":")[2].strip() if lines else name
    heading = f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
    heading += f"torch {torch.__version__}"
    for isa, limits in INSTRUCTION_SETS.items():
        if limits.items() <= os.environ.items():
            capability = torch.backends.cpu.get_cpu_capability()
            assert capability == isa.upper(), f"torch was imported too early: it uses {capability}"
            settings = ", ".join(f"{name}={value}" for name, value in limits.items())
            heading += f", restricted to {isa.upper()} ({settings})"
    return heading


def matrix_rates(device: str = "cpu") -> dict[str, float]:
    """Return the FLOP/s of large matrix products by precision."""
    import torch

    return {
        name: matrix_rate(dtype, device)
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
    }


def matrix_rate(dtype: Any, device: str = "cpu") -> float:
    """Return the FLOP/s of a large matrix product, the best of eight.

    The product is smaller where a large one would take seconds, as in bf16 on a CPU without its
    instructions.
    """
    import torch

    rate = 0.0
    for size in (512, 2048) if device == "cpu" else (8192,):
        work = 2 * size**3
        if rate and work / rate > 1:
            break
        left = torch.randn(size, size, device=device).to(dtype)
        times = []
        for _ in range(8):
            synchronize(device)
            began = time.perf_counter()
            left @ left
            synchronize(device)
            times.append(time.perf_counter() - began)
        rate = work / min(times)
    return rate


def synchronize(device: str) -> None:
    """Wait until a GPU has done all work; a CPU has none left."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize(device)
