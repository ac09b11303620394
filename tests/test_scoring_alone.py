"""Runs without training: the scores of training again, and stages whose split is missing."""

from pathlib import Path

import pytest

from tests.helpers.script_runs import BOTH, LOOP, error_message, results, run, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def model(tiny_encoder, corpus, tmp_path_factory) -> Path:
    """A model trained with windows of 12, which cut most of the sentences."""
    folder = tmp_path_factory.mktemp("model")
    flags = ["--model_name_or_path", tiny_encoder, *corpus, "--mixed_precision", "no"]
    flags += ["--max_seq_length", 12, "--learning_rate", 1e-2, "--num_train_epochs", 3]
    run(LOOP, [*flags, "--output_dir", "out"], folder)
    return folder / "out"


def split_flags(corpus: list, split: str) -> list:
    start = corpus.index(f"--{split}_file")
    return corpus[start : start + 2]


@pytest.mark.parametrize("script", BOTH)
def test_windows_have_the_length_of_training(script, corpus, model, tmp_path):
    """As with `infer.py`; longer windows show more context."""
    flags = ["--model_name_or_path", model, *corpus, "--do_predict", "--output_dir"]
    run(script, [*flags, "again"], tmp_path)
    run(script, [*flags, "longer", "--max_seq_length", 64], tmp_path)
    again, longer = tmp_path / "again", tmp_path / "longer"
    assert (again / "predictions.txt").read_bytes() == (model / "predictions.txt").read_bytes()
    expected = {name: score for name, score in results(model).items() if "predict" in name}
    assert {name: results(again)[name] for name in expected} == expected
    assert results(longer)["predict_loss"] != expected["predict_loss"]


@pytest.mark.parametrize("script", BOTH)
def test_a_stage_without_its_split_is_refused(script, corpus, model, tmp_path):
    """The run would end with nothing done, and say that everything is in its folder."""
    flags = ["--model_name_or_path", model, "--output_dir", "out"]
    message = error_message(
        run(script, [*flags, *split_flags(corpus, "test"), "--do_eval"], tmp_path, status=2)
    )
    assert "--do_eval: test.conll has no validation split" in message
    message = error_message(
        run(script, [*flags, *split_flags(corpus, "train"), "--do_train", "--do_predict"],
            tmp_path, status=2)
    )  # fmt: skip
    assert "--do_predict: train.conll has no test split" in message
    assert not (tmp_path / "out").exists()
