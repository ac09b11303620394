"""`--check`: who prints the report, and the error if training would not start."""

import pytest

from encoder.check import check_only
from settings.run_settings import CorpusSettings, ModelSettings
from support.errors import UserError


@pytest.mark.parametrize("tag", ["B-LOC", "LOC-B-"])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("model", ["tiny", "no/such-model"])
def test_the_report_is_printed_once_and_an_error_needs_no_message(
    tag, rank, model, tiny_encoder, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "train.conll"
    file.write_text(f"in O\nBrooklyn {tag}\n\nin O\nLondon B-LOC\n")
    monkeypatch.setenv("RANK", str(rank))
    corpus = CorpusSettings(train_file=(str(file),), hold_out=False)
    settings = ModelSettings(str(tiny_encoder) if model == "tiny" else model)
    if tag == "B-LOC":
        check_only(corpus, settings, None)
    else:
        with pytest.raises(UserError) as error:
            check_only(corpus, settings, None)
        assert error.value.is_shown
    output = capsys.readouterr().out
    assert bool(output) == (rank == 0)
