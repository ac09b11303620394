"""DeepSpeed and FSDP, which a flag or the launcher requests, and problems with them."""

import os
from importlib.util import find_spec
from typing import Any

from support.processes import is_launched, launcher_requests


def sharding_library(flags: Any) -> str | None:
    """Return "FSDP" or "DeepSpeed", if a flag or the launcher requests that it shards, or None."""
    for name, title in (("fsdp", "FSDP"), ("deepspeed", "DeepSpeed")):
        if launcher_requests(name.upper()) or getattr(flags, name, None):
            return title
    return None


def uses_deepspeed(flags: Any) -> bool:
    """Return whether a flag or the launcher requests DeepSpeed."""
    return bool(getattr(flags, "deepspeed", None)) or launcher_requests("DEEPSPEED")


def deepspeed_file_of_launcher(flags: Any) -> str | None:
    """Return the name of the JSON file that the launcher hands to DeepSpeed; None: no such file."""
    path = os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    return path if path.lower() not in ("", "none") and uses_deepspeed(flags) else None


def launch_problems(flags: Any) -> list[str]:
    """Return a line for each library or launcher that the run needs and does not have."""
    problems = []
    if uses_deepspeed(flags) and not find_spec("deepspeed"):
        problems.append("DeepSpeed is not installed. Run `pip install deepspeed`")
    if (getattr(flags, "fsdp", None) or launcher_requests("FSDP")) and not is_launched():
        problems.append(
            "FSDP shards a model across the processes of a launcher, and this run has none. Start "
            "it with `accelerate launch` or torchrun, or leave FSDP out"
        )
    return problems
