"""The scripts without the functions that Windows lacks; none of these may end a script.

Simulated on Linux: no C library by default, folders that cannot be opened, no `select` on pipes,
streams in code page 1252.
"""

import json
import os
from functools import partial

import pytest

from tests.helpers.script_runs import BOTH, run, write_corpus


def as_on_windows(standard_input: bytes = b"") -> None:
    """Make this process fail where Windows does; `standard_input` is what it reads."""
    import ctypes
    import select
    import sys

    library, open_file = ctypes.CDLL, os.open

    def named_library(name, *args, **kwargs):
        if name is None:
            raise TypeError("LoadLibrary() argument 1 must be str, not None")
        return library(name, *args, **kwargs)

    def open_file_only(path, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *args, **kwargs)

    def sockets_only(*args):
        raise OSError(10038, "an operation was attempted on something that is not a socket")

    ctypes.CDLL, os.open, select.select = named_library, open_file_only, sockets_only
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="cp1252", errors="strict")
    read_end, write_end = os.pipe()
    os.write(write_end, standard_input)
    os.close(write_end)
    os.dup2(read_end, 0)
    sys.stdin = os.fdopen(0, "rb")


@pytest.mark.parametrize("script", BOTH)
def test_training_and_tagging(script, tiny_encoder, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    for path in (tmp_path / "corpus").iterdir():
        # A label that code page 1252 cannot encode.
        text = path.read_text(encoding="utf-8").replace("-LOC", "-МЕСТО")
        path.write_text(text, encoding="utf-8")
    flags = ["--model_name_or_path", tiny_encoder, *corpus, "--mixed_precision", "no"]
    flags += ["--output_dir", "out", "--num_train_epochs", 2]
    output = run(script, flags, tmp_path, before=as_on_windows)
    assert r"\u041c\u0415\u0421\u0422\u041e" in output
    lines = "Sylvain went to Paris .\nhe said Москва .\n".encode()
    output = run("infer.py", ["--model", "out"], tmp_path, before=partial(as_on_windows, lines))
    texts = [json.loads(line)["text"] for line in output.splitlines() if line.startswith("{")]
    assert texts == lines.decode().splitlines()
