"""Files are written whole or not at all."""

import json

import pytest

from support.errors import UserError
from support.files import disk_errors_reported, write_json, written_whole


def test_json_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "all_results.json"
    write_json(file, {"f1": 0.5, "name": "Łódź"})
    assert json.loads(file.read_text("utf-8")) == {"f1": 0.5, "name": "Łódź"}
    assert "Łódź" in file.read_text("utf-8")
    write_json(file, {"name": "n\udce9.txt"})
    assert json.loads(file.read_text("utf-8")) == {"name": "n\udce9.txt"}
    before = file.read_bytes()
    with pytest.raises(TypeError):
        write_json(file, {"f1": object()})

    def full_disk(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="disk full"):
        write_json(file, {"f1": 1.0})
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_an_interrupted_file_keeps_its_old_content(mode, tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_whole(file, mode) as partial:
        partial.write("new" if mode == "w" else b"new")
        partial.flush()
        assert file.read_text() == "old"
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_errors_of_the_disk_become_user_errors(tmp_path):
    with pytest.raises(UserError, match="No space left"), disk_errors_reported(tmp_path / "x"):
        raise RuntimeError("PytorchStreamWriter failed: No space left on device")
    with pytest.raises(ZeroDivisionError), disk_errors_reported(tmp_path / "x"):
        raise ZeroDivisionError
