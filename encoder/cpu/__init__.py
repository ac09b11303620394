"""Speed-ups on a CPU, each called by name where it is used, and the switch that turns them off.

The environment variable TOKEN_CLASSIFIER_CPU_SPEEDUPS rules speed-ups out without editing code:
`all` (the default), `none`, or a comma-separated list of those to keep: `dropout`, `clipping`,
`embeddings`. A speed-up that is switched off is replaced by torch's and transformers' own code.
"""

import os

from support.errors import UserError
from support.text import did_you_mean

VARIABLE = "TOKEN_CLASSIFIER_CPU_SPEEDUPS"
SPEEDUPS = ("dropout", "clipping", "embeddings")


def enabled(name: str) -> bool:
    """Return whether the speed-up `name`, one of `SPEEDUPS`, may be used.

    Raises UserError if the environment variable names something else.
    """
    requested = os.environ.get(VARIABLE, "").lower().replace(",", " ").split()
    if requested in ([], ["all"]):
        return True
    if requested == ["none"]:
        return False
    for word in requested:
        if word not in SPEEDUPS:
            raise UserError(
                f"{VARIABLE}={os.environ[VARIABLE]}: unknown speed-up: got {word}, expected all, "
                f"none, or a comma-separated list of {', '.join(SPEEDUPS)}"
                f"{did_you_mean(word, SPEEDUPS)}"
            )
    return name in requested
