"""Pushes of a run to a `HubServer`: files saved, files pushed, and messages to the user."""

import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers.hub_server import HubServer
from tests.helpers.messages import stable

REPO = "tester/model"
WEIGHTS = "PUT /lfs/"
COMMIT = "POST .*/commit/main"
# Messages of other libraries, which change with their versions.
CAUSE = re.compile(r"\b(?!FileNotFound)\w*(?:Error|Timeout): .*?(?=\)\. |\)\.$)", re.MULTILINE)


def save(folder: Path, epoch: int) -> dict[str, bytes]:
    """Save files as the scripts do: weights get a new inode, JSON is rewritten in place."""
    weights = folder / "model.safetensors"
    new = folder / ".new"
    new.write_bytes(f"weights {epoch}".encode() * 5000)
    new.replace(weights)
    (folder / "config.json").write_text(f'{{"epoch": {epoch}}}')
    (folder / "training_curves.png").write_bytes(f"picture {epoch}".encode())
    (folder / "vocab.txt").write_text("always the same")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each file in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def pushed(server: HubServer) -> dict[str, dict[str, bytes]]:
    """Return the files of each commit by its message, in order, without `.gitattributes`."""
    result = {}
    for commit in server.commits(REPO):
        assert commit.message not in result, "the same push twice"
        result[commit.message] = {
            path: data for path, data in commit.files.items() if path != ".gitattributes"
        }
    return result


def run_epochs(pusher, folder: Path, epochs: int = 2, between=lambda epoch: None) -> dict:
    """Save and push as a training script does; return the files due in each commit, by message."""
    saved = {}
    for epoch in range(epochs):
        message = f"Training in progress epoch {epoch}"
        saved[message] = save(folder, epoch)
        pusher.push(folder, message)
        between(epoch)
    saved["Training complete"] = save(folder, epochs)
    return saved


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for a condition; fail if it does not hold within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition never held"
        time.sleep(0.01)


def events(lines: list[str]) -> list[str]:
    """Return the lines for the user without those on progress, which depend on timing."""
    return [line for line in lines if not line.startswith("Pushing to http")]


def stable_message(text: object, server: HubServer, folder: Path) -> str:
    """Return a message without the parts that differ by run, machine or library version."""
    return CAUSE.sub("<cause>", stable(text, folder).replace(server.url, "<hub>"))
