"""The machine of a benchmark: its description and its speed at multiplying large matrices."""

import os
import platform
import time
from pathlib import Path


def describe(device: str = "cpu") -> str:
    """Return the processor or GPU, its threads, and the version of torch, as a heading."""
    import torch

    if device != "cpu":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = lines[0].partition(":")[2].strip() if lines else name
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, " + (
        f"torch {torch.__version__}"
    )


def matrix_rate(dtype, device: str = "cpu") -> float:
    """Return the FLOP/s of a large matrix product, the best of eight."""
    import torch

    size = 2048 if device == "cpu" else 8192
    left = torch.randn(size, size, device=device).to(dtype)
    times = []
    for _ in range(8):
        began = time.perf_counter()
        (left @ left)[0, 0].item()  # waits for a GPU
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times)
