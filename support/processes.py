"""The launcher's environment: the place of this process in the run, and the launcher's requests.

It can be read before torch or accelerate, which have the same information, are imported.
"""

import os


def rank() -> int:
    """Return the number of this process among all processes of the run, from 0."""
    return int(os.environ.get("RANK", 0))


def local_rank() -> int:
    """Return the number of this process among those of its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0))


def world_size() -> int:
    """Return the number of processes of the run."""
    return int(os.environ.get("WORLD_SIZE", 1))


def local_world_size() -> int:
    """Return the number of processes that the launcher started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def on_several_machines() -> bool:
    """Return whether the launcher started processes of this run on other machines too."""
    return "LOCAL_WORLD_SIZE" in os.environ and local_world_size() < world_size()


def is_launched() -> bool:
    """Return whether a launcher such as torchrun started this process, alone or among others."""
    return "WORLD_SIZE" in os.environ


def launcher_requests(feature: str) -> bool:
    """Return whether `accelerate launch` requests a feature: CPU, FSDP, DEEPSPEED, MEGATRON_LM."""
    return os.environ.get(f"ACCELERATE_USE_{feature}", "").lower() in ("1", "true", "yes")


def is_main_process() -> bool:
    """Return whether this is the process that prints and writes."""
    return rank() == 0


def is_first_on_machine() -> bool:
    """Return whether this is the process that reports errors on its machine's terminal."""
    return local_rank() == 0
