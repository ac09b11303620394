"""Rounds of `fuzz_tagging.py`: each in a process of its own, with limits; their failures."""

import json
import os
import random
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

SLOW = 5  # seconds of computing
HANG = 300  # seconds until a round is killed; at idle priority it may have to wait
MEMORY = 6 << 30  # bytes of address space that a round may take in addition


class Failure(Exception):
    """A round that failed; the first argument is its kind, in capitals."""


def check_span(text: str, start: int, end: int, word: str | None) -> None:
    """Raise Failure for a span that is outside its text, or is not `word` there."""
    # A word that came with the text may be empty.
    inside = 0 <= start <= end <= len(text) and (start < end or word == "")
    if not inside or (word is not None and text[start:end] != word):
        raise Failure("OFFSETS", f"{text[:200]!r} [{start}:{end}] is not {word!r}")


def one_round(seed: int, folder: Path, play: Callable[[random.Random, Path], str]) -> list[str]:
    """Return the outcome of a round, and its detail; the round runs in a process of its own."""
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        outcome = _play(seed, folder, play)
        with open(writer, "w") as pipe:
            json.dump(outcome, pipe)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        if select.select([pipe], [], [], HANG)[0]:
            answer = pipe.read()
        else:
            os.kill(process, signal.SIGKILL)
            answer = b'["HANG", ""]'
    _, status = os.waitpid(process, 0)
    return json.loads(answer) if answer else ["DIED", f"status {status}"]


def _play(seed: int, folder: Path, play: Callable[[random.Random, Path], str]) -> list[str]:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    started = time.process_time()
    try:
        outcome = [play(random.Random(seed), folder), ""]
    except Failure as failure:
        outcome = [failure.args[0], str(failure.args[1])]
    except BaseException:  # any is a failure, and is reported
        outcome = ["TRACEBACK", traceback.format_exc()]
    took = time.process_time() - started
    return ["SLOW", f"{took:.1f} s: {outcome}"] if took > SLOW else outcome
