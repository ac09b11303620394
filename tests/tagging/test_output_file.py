"""Tests of tagging/output_file.py: a signal does not cut a piece."""

import os
import signal
import time

import pytest

from support.errors import UserError
from tagging.output_file import OutputFile


def test_a_signal_waits_for_the_end_of_the_piece(tmp_path):
    written = []

    class Interrupted:
        def write(self, piece):
            written.append(piece[:3])
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)  # the handler runs during this sleep
            written.append(piece[3:])

        def flush(self):
            pass

        close = flush

    with pytest.raises(KeyboardInterrupt), OutputFile(str(tmp_path / "out")) as output:
        output.file.close()
        output.file = Interrupted()
        output.write_all(["abcdef\n", "never\n"])
    assert written == ["abc", "def\n"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_two_jobs_do_not_write_one_file(tmp_path):
    """Also not through a link; afterwards, and for another file, there is no lock."""
    path, link = tmp_path / "out.jsonl", tmp_path / "link"
    path.write_text("before")
    link.symlink_to(path)
    with OutputFile(str(path), whole=True) as first:
        first.write_all(["first\n"])
        for second in (path, link):
            with pytest.raises(UserError, match="another job is writing it"):
                OutputFile(str(second), whole=True).__enter__()
        with OutputFile(str(tmp_path / "other.jsonl"), whole=True) as other:
            other.write_all(["other\n"])
    assert path.read_text() == "first\n"
    with OutputFile(str(path), whole=True) as second:
        second.write_all(["second\n"])
    assert path.read_text() == "second\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "other.jsonl", "out.jsonl"]


def test_a_job_that_fails_releases_its_lock(tmp_path):
    path = str(tmp_path / "out.jsonl")
    with pytest.raises(KeyboardInterrupt), OutputFile(path, whole=True):
        raise KeyboardInterrupt
    (tmp_path / ".out.jsonl.lock").touch()  # of a job that was killed
    with OutputFile(path, whole=True) as output:
        output.write_all(["x\n"])
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
