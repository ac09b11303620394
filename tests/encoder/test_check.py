"""`--check`: who prints the report, and the error if training would not start."""

import pytest

from encoder.check import check_only
from settings.defaults import make_settings
from settings.flags import SharedFlags
from settings.run_settings import Settings
from support.errors import UserError


def settings_of(file, hub_ready: bool = True, **flags) -> Settings:
    return make_settings(SharedFlags(train_file=[str(file)], do_train=True, **flags), "", hub_ready)


@pytest.mark.parametrize("tag", ["B-LOC", "LOC-B-"])
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("model", ["tiny", "no/such-model"])
def test_the_report_is_printed_once_and_an_error_needs_no_message(
    tag, rank, model, tiny_encoder, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "train.conll"
    file.write_text(f"in O\nBrooklyn {tag}\n\nin O\nLondon B-LOC\n")
    monkeypatch.setenv("RANK", str(rank))
    settings = settings_of(file, model_name_or_path=str(tiny_encoder) if model == "tiny" else model)
    if tag == "B-LOC":
        check_only(settings)
    else:
        with pytest.raises(UserError) as error:
            check_only(settings)
        assert error.value.is_shown
    output = capsys.readouterr().out
    assert bool(output) == (rank == 0)


def test_the_model_that_counts_the_sub_words_is_named_if_it_stands_in(tmp_path, capsys):
    file = tmp_path / "train.conll"
    file.write_text("in O\nBrooklyn B-LOC\n")
    check_only(settings_of(file, hub_ready=False, cache_dir=str(tmp_path)))
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("The Hub cannot be reached: ") and "bert-base-cased" in first
    assert second.startswith("Corpus: ")
