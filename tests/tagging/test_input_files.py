"""Tests of tagging/input_files.py: extensions, and the files in folders and matched by globs."""

import pytest

from support.errors import UserError
from tagging.input_files import extension_of, find_files, shortened
from tests.helpers.tagging import write_file


@pytest.mark.parametrize(
    ("path", "extension"),
    [
        ("notes.TXT", ".txt"),
        ("a/b.c/app.log.1.gz", ".log"),
        ("corpus.conll.gz", ".conll"),
        ("README", ""),
        ("archive.gz", ""),
        ("v 1.5", ""),
        ("-", ""),
    ],
)
def test_the_extension_ignores_gz_and_the_numbers_of_logs(path, extension):
    assert extension_of(path) == extension


def test_a_file_named_itself_is_not_among_those_passed_over(tmp_path):
    text = str(write_file(tmp_path, "in/a.txt", "Peter"))
    page = str(write_file(tmp_path, "in/b.html", "Peter"))
    picture = str(write_file(tmp_path, "in/c.png", "Peter"))
    write_file(tmp_path, "in/.hidden/d.txt", "Peter")
    assert find_files([str(tmp_path / "in"), page, text]) == ([text, page], [picture])
    assert find_files(["-", "-"]) == (["-"], [])


def test_all_missing_files_are_reported_together(tmp_path):
    with pytest.raises(UserError) as error:
        find_files([str(tmp_path / "a.txt"), str(tmp_path), str(tmp_path / "*.conll")])
    message = str(error.value)
    assert message.count("\n") == 2
    assert all(name in message for name in ("a.txt", "*.conll", f"--input {tmp_path}:"))


def test_a_long_list_of_files_is_shortened():
    assert shortened(["a", "b"]) == "a, b"
    assert shortened([str(n) for n in range(2000)], 3) == "0, 1, 2 and 1,997 more"
