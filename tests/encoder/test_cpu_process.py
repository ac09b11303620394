"""The threads of a process."""

import pytest

from encoder.cpu.process import use_all_cores


@pytest.mark.parametrize(
    ("words", "environment", "processes", "expected"),
    [
        (["python", "/bin/accelerate", "launch", "x.py"], {}, "1", 3),
        (["python", "/bin/accelerate", "launch", "x.py"], {"OMP_NUM_THREADS": "1"}, "1", 1),
        (["accelerate", "launch", "--num_cpu_threads_per_process=1", "x.py"], {}, "1", 1),
        (["python", "/bin/accelerate", "launch", "x.py"], {}, "2", 1),
        (["bash", "-c", "x"], {}, "1", 1),
    ],
)
def test_all_cores_are_used_unless_a_number_of_threads_was_given(
    words, environment, processes, expected, monkeypatch
):
    import psutil
    import torch

    class Launcher:
        parent = cmdline = environ = None

    launcher = Launcher()
    launcher.parent, launcher.cmdline = lambda: launcher, lambda: words
    launcher.environ = lambda: environment
    monkeypatch.setattr(psutil, "Process", lambda: launcher)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("WORLD_SIZE", processes)
    threads = [1]
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    use_all_cores()
    assert threads[-1] == expected
