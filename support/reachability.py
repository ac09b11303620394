"""Reachability of the Hugging Face Hub: decided once, within seconds."""

import os
import sys
import threading
import urllib.error
import urllib.request

from support.end_of_run import at_end_of_run

HUB_TIMEOUT_S = 3.0


def hub_reachable() -> bool:
    """Return whether the Hub answers within `HUB_TIMEOUT_S`; any HTTP answer counts."""
    from huggingface_hub import constants

    answers = []

    def ask() -> None:
        try:
            urllib.request.urlopen(
                urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=HUB_TIMEOUT_S
            )
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)
        except (OSError, ValueError):
            answers.append(False)

    if constants.HF_HUB_OFFLINE:
        return False
    # In a thread, because a name look-up has no time-out.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT_S)
    return answers == [True]


def go_offline() -> None:
    """Make the libraries use their caches immediately instead of waiting out their retries.

    This lasts until the run ends: the next one may reach the Hub. The variables are for processes
    that the run starts, and are restored with all others.
    """
    from huggingface_hub import constants

    if not constants.HF_HUB_OFFLINE:
        at_end_of_run(_set_offline, False)
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    _set_offline(True)


def _set_offline(offline: bool) -> None:
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = offline
    if "datasets" in sys.modules:
        sys.modules["datasets"].config.HF_HUB_OFFLINE = offline
