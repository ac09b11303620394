"""Threads, memory and number formats of a process that computes on a CPU.

`prepare_process` runs before torch is imported, so nothing here imports it at the top.
"""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

from support.end_of_run import at_end_of_run
from support.processes import world_size


def prepare_process() -> None:
    """Set up the memory and threads of a script; call it before torch is imported."""
    keep_freed_memory()
    use_all_cores()


def use_all_cores() -> None:
    """Undo the limit of one thread that `accelerate launch` sets for one process without a GPU.

    A number that the user set, by `--num_cpu_threads_per_process` or OMP_NUM_THREADS, stays.
    """
    if os.environ.get("OMP_NUM_THREADS") != "1" or world_size() > 1:
        return
    import psutil

    launcher = psutil.Process().parent()
    if launcher is None:
        return
    with suppress(psutil.Error):  # not permitted
        words = launcher.cmdline()
        names = {Path(word).name for word in words}
        given = any(word.startswith("--num_cpu_threads_per_process") for word in words)
        given |= "OMP_NUM_THREADS" in launcher.environ()
        if not given and names & {"accelerate", "accelerate-launch"}:
            del os.environ["OMP_NUM_THREADS"]  # torch reads it when it is imported
            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(psutil.cpu_count(logical=False) or 1)


def keep_freed_memory() -> None:
    """Keep freed memory in the process, in large pages.

    The gradients and the larger activations of every step are as large as those of the last.
    glibc would return them to the system and map them again page by page, which takes a third of
    a step on a CPU.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch: large pages for large tensors
    with suppress(OSError, AttributeError, TypeError):  # glibc's mallopt, absent elsewhere
        mallopt = ctypes.CDLL(None).mallopt
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**30)


def flush_denormals() -> None:
    """Round denormal numbers to zero until the run ends.

    AdamW's means of rare words become denormal, and a CPU is slow with them.
    """
    import torch

    denormal = torch.tensor(2.0**-127, dtype=torch.float32)
    if (denormal * 1).item() > 0:  # torch does not say whether it flushes them
        at_end_of_run(torch.set_flush_denormal, False)
    torch.set_flush_denormal(True)
