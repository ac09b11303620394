"""Tests of tagging/output_file.py: a signal does not cut a piece."""

import os
import signal
import time

import pytest

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
