"""The score that selects the best model: checked against the labels, whatever the splits hold."""

import pytest

from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    error_message,
    facts,
    results,
    run,
    without_dropout,
    write_corpus,
)

SETTINGS = ["--mixed_precision", "no", "--max_seq_length", 24, "--num_train_epochs", 2]


@pytest.fixture
def flags(tiny_encoder, tmp_path) -> list:
    """Flags of a corpus with a type, MISC, that occurs in the training split only."""
    encoder = without_dropout(tiny_encoder, tmp_path / "encoder")
    corpus = write_corpus(tmp_path / "corpus", 12, 6, 6)
    with open(tmp_path / "corpus" / "train.conll", "a", encoding="utf-8") as file:
        file.write("the O\nOlympics B-MISC\nin O\nParis B-LOC\n\n")
    return ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--output_dir", "out"]


@pytest.mark.parametrize("script", BOTH)
def test_the_score_of_a_type_that_validation_lacks_is_0(script, flags, tmp_path):
    best = ["--metric_for_best_model", "eval_MISC_f1", "--load_best_model_at_end"]
    run(script, [*flags, *best], tmp_path)
    history = facts(tmp_path / "out")["history"]
    assert [row["eval_MISC_f1"] for row in history] == [0.0, 0.0]
    assert "eval_LOC_f1" not in history[0]  # nobody asked for it
    assert results(tmp_path / "out")["eval_MISC_f1"] == 0.0


@pytest.mark.parametrize("script", BOTH)
def test_a_score_that_cannot_exist_is_refused_before_training(script, flags, tmp_path, snapshot):
    output = run(script, [*flags, "--metric_for_best_model", "EVENT_f1"], tmp_path, status=2)
    assert stable(error_message(output), tmp_path) == snapshot
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("script", BOTH)
def test_no_evaluation_before_the_end_is_refused(script, flags, tmp_path, snapshot):
    flags += ["--eval_delay", 3, "--load_best_model_at_end", "--early_stopping_patience", 1]
    output = run(script, flags, tmp_path, status=2)
    assert stable(error_message(output), tmp_path) == snapshot
    assert not (tmp_path / "out").exists()
