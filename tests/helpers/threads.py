"""The processes of a run as threads of this process, which exchange objects."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

NUM_PROCESSES = 4  # two on each machine


class Processes:
    """Threads that exchange objects as accelerate's processes do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.barrier = threading.Barrier(NUM_PROCESSES, timeout=20)
        self.own = threading.local()
        self.slots: list[Any] = [None] * NUM_PROCESSES
        monkeypatch.setattr("accelerate.utils.broadcast_object_list", self.broadcast)
        monkeypatch.setattr("accelerate.utils.gather_object", self.gather)

    def gather(self, objects: list[Any]) -> list[Any]:
        self.slots[self.own.rank] = list(objects)
        self.barrier.wait()
        gathered = [item for slot in self.slots for item in slot]
        self.barrier.wait()
        return gathered

    def broadcast(self, objects: list[Any]) -> list[Any]:
        if self.own.rank == 0:
            self.slots[0] = list(objects)
        self.barrier.wait()
        objects[:] = self.slots[0]
        self.barrier.wait()
        return objects

    def run(self, action: Callable[[Any], Any]) -> list[Any]:
        """Return the results of `action`, called with the state of each process."""
        results: list[Any] = [None] * NUM_PROCESSES

        def process(rank: int) -> None:
            self.own.rank = rank
            state = SimpleNamespace(
                is_main_process=rank == 0,
                is_local_main_process=rank % 2 == 0,
                process_index=rank,
                local_process_index=rank % 2,
                num_processes=NUM_PROCESSES,
                wait_for_everyone=self.barrier.wait,
            )
            try:
                results[rank] = action(state)
            except BaseException as error:
                results[rank] = error

        threads = [threading.Thread(target=process, args=(n,)) for n in range(NUM_PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results
