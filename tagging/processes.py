"""Work shared among the processes that a launcher started."""

import contextlib
import itertools
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from support.errors import UserError
from support.processes import is_main_process, launcher_requests, local_rank, rank, world_size
from tagging.chunks import Chunk, TaggedItem

WAIT_DAYS = 7  # the longest that a process waits for the slowest one


def device_of_process() -> str | None:
    """Return the device of this process; None for the only process, which may use any device."""
    if world_size() == 1:
        return None
    import torch

    on_gpu = torch.cuda.is_available() and not launcher_requests("CPU")
    return f"cuda:{local_rank()}" if on_gpu else "cpu"


def own_chunks(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Yield the chunks of this process; chunks are dealt to the processes in turn."""
    return itertools.islice(chunks, rank(), None, world_size())


def all_gather(value: Any) -> list[Any]:
    """Return the values of all processes, on each process; wait for all of them."""
    import datetime

    from torch import distributed

    if not distributed.is_initialized():
        distributed.init_process_group("gloo", timeout=datetime.timedelta(days=WAIT_DAYS))
    values = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values


def leave_group() -> None:
    """Leave the process group while Python still runs: its threads may need Python's lock."""
    if world_size() > 1 and "torch.distributed" in sys.modules:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def share(
    chunks: Iterable[Chunk],
    tag: Callable[[Chunk], list[TaggedItem]],
    output: Path,
    write: Callable[[Iterator[TaggedItem]], None],
) -> None:
    """Tag chunks on all processes; the main process writes the results of all of them in order.

    Each process keeps its results in a file of its own next to `output`, and removes it at the
    end. If reading fails, the results before the error are written first. Raises UserError if the
    main process does not see the files of all.
    """
    parts = [output.with_name(f".{output.name}.part-{number}") for number in range(world_size())]
    own_part = parts[rank()]
    failure = None
    try:
        with open(own_part, "wb") as file:
            _check_shared_disk(parts)
            try:
                for chunk in own_chunks(chunks):
                    pickle.dump(tag(chunk), file, pickle.HIGHEST_PROTOCOL)
            except UserError as error:  # raised on all processes, after the chunks before it
                failure = error
        all_gather(None)
        if is_main_process():
            write(_merged(parts))
        all_gather(None)
    finally:
        own_part.unlink(missing_ok=True)
    if failure is not None:
        raise failure


def _check_shared_disk(parts: list[Path]) -> None:
    """Raise UserError, in every process, if the main process does not see the file of each."""
    all_gather(None)  # until then, they may not have created them
    unseen = all_gather([part.name for part in parts if not part.exists()])[0]
    if unseen:
        raise UserError(
            f"--output: the processes of this run do not share the disk of {parts[0].parent}: "
            f"{', '.join(unseen)} is not there. Name an output on a shared disk, or start a "
            "separate run on each machine, with its share of the input."
        )


def _merged(parts: list[Path]) -> Iterator[TaggedItem]:
    """Yield items in the order of the input: the first chunk of each part, then the second."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(part, "rb")) for part in parts]
        for file in itertools.cycle(files):
            try:
                items = pickle.load(file)
            except EOFError:
                return  # chunks were dealt in turn: where one part ends, all do
            yield from items
