"""The state of the process that a run changes: saved when it begins, restored when it ends.

So a run from Python depends on its flags only, like one from the command line, and does not change
the state of the program that calls it.
"""

import os
import random
from typing import Any

import numpy as np

from support.end_of_run import at_end_of_run


def keep_process_state() -> None:
    """Restore random numbers, the environment, torch's switches and accelerate's state at the end.

    accelerate keeps its state for the whole process; the run begins without any.
    """
    import torch
    from accelerate.state import AcceleratorState, GradientState, PartialState

    at_end_of_run(_restore_environment, dict(os.environ))
    at_end_of_run(random.setstate, random.getstate())
    at_end_of_run(np.random.set_state, np.random.get_state())
    at_end_of_run(torch.set_rng_state, torch.get_rng_state())
    if torch.cuda.is_initialized():
        at_end_of_run(torch.cuda.set_rng_state, torch.cuda.get_rng_state())
    # Trainer sets these for --full_determinism and --tf32.
    at_end_of_run(torch.set_deterministic_debug_mode, torch.get_deterministic_debug_mode())
    switches: dict[Any, tuple[str, ...]] = {
        torch.backends: ("fp32_precision",),
        torch.backends.cudnn: ("deterministic", "benchmark"),
    }
    for owner, names in switches.items():
        for name in names:
            if hasattr(owner, name):
                at_end_of_run(setattr, owner, name, getattr(owner, name))
    for kind in (PartialState, AcceleratorState, GradientState):
        shared: dict[str, Any] = kind._shared_state
        at_end_of_run(shared.update, dict(shared))
        at_end_of_run(shared.clear)  # before the update: the last one is called first
        shared.clear()


def _restore_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
