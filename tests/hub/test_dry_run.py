"""`--dry_run --push_to_hub`: what would be pushed and where, and nothing is written to the Hub."""

import pytest
from huggingface_hub import constants

import train_accelerate
import train_trainer
from tests.helpers.script_runs import write_corpus

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("script", [train_trainer, train_accelerate], ids=lambda m: m.__name__)
def test_nothing_is_created(script, server, tiny_encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--model_name_or_path", tiny_encoder, *write_corpus(tmp_path / "corpus", 12, 6, 6)]
    flags += ["--max_seq_length", 24, "--use_cpu", "--output_dir", "out", "--dry_run"]
    flags += ["--push_to_hub", "--hub_model_id", "mine", "--hub_include", "predictions"]

    def push_row() -> str:
        script.main(flags)
        (row,) = (line for line in capsys.readouterr().out.splitlines() if line[:5] == "push ")
        return row

    row = push_row()
    assert "tester/mine (public, will be created)" in row and "predictions.jsonl" in row
    assert ("model", "tester/mine") not in server.repos
    server.create("tester/mine")
    assert "tester/mine (public)" in push_row()
    assert server.commits("tester/mine") == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    row = push_row()
    assert "mine (public; the Hub cannot be reached" in row and "predictions.jsonl" in row
    assert not (tmp_path / "out").exists()
