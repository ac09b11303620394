"""`--check`: exit status, and who prints."""

import pytest

from encoder.check import check_and_exit
from settings.run_settings import CorpusSettings, ModelSettings


@pytest.mark.parametrize(("tag", "status"), [("B-LOC", 0), ("LOC-B-", 2)])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("model", ["tiny", "no/such-model"])
def test_check_prints_once_and_exits(
    tag, status, rank, model, tiny_encoder, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "train.conll"
    file.write_text(f"in O\nBrooklyn {tag}\n\nin O\nLondon B-LOC\n")
    monkeypatch.setenv("RANK", str(rank))
    corpus = CorpusSettings(train_file=(str(file),), hold_out=False)
    settings = ModelSettings(str(tiny_encoder) if model == "tiny" else model)
    with pytest.raises(SystemExit) as ended:
        check_and_exit(corpus, settings, None)
    assert ended.value.code == status
    output = capsys.readouterr().out
    assert bool(output) == (rank == 0)
