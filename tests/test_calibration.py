"""Calibrated scores and operating points, from training to tagging, by both scripts."""

import json
import shutil
from pathlib import Path

import pytest

from scoring.word_predictions import NEUTRAL
from tagging.tagger import Tagger
from tests.helpers.models import save_tiny_tagger
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    error_message,
    results,
    run,
    weights,
    with_report,
    write_corpus,
)

SETTINGS = ["--mixed_precision", "no", "--learning_rate", 1e-2, "--num_train_epochs", 1]
CALIBRATION = ("score_temperature", "score_offset", "outside_bias", "min_entity_score")
PREDICTIONS = ("predictions.txt", "predictions.jsonl", "eval_predictions.jsonl")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module", params=BOTH)
def tuned(request, tiny_encoder, corpus, tmp_path_factory) -> tuple[str, Path]:
    """A script, and the output folder of its run with an operating point."""
    folder = tmp_path_factory.mktemp("tuned")
    flags = ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS, "--output_dir", "out"]
    run(request.param, [*flags, "--target_precision", 0.9], folder, before=with_report)
    return request.param, folder / "out"


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def written_predictions(folder: Path) -> list[dict]:
    lines = (folder / "predictions.jsonl").read_text("utf-8").removesuffix("\n").split("\n")
    return [json.loads(line) for line in lines]


def test_all_files_state_the_temperature_and_the_operating_point(tuned):
    _, folder = tuned
    config, facts = read_json(folder / "config.json"), read_json(folder / "run.json")
    calibration = facts["calibration"]
    assert config["score_temperature"] == calibration["temperature"] != 1
    assert config["score_offset"] == calibration["offset"] != 0
    point = calibration["operating_point"]
    assert config["outside_bias"] == point["outside_bias"]
    assert config["min_entity_score"] == point["min_score"] > 0
    assert calibration["fitted_to_entities"] > 10
    assert point["precision"] == results(folder)["eval_precision"] >= 0.9
    assert point["f1"] == pytest.approx(results(folder)["eval_f1"])
    for name in ("README.md", "report.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "--target_precision 0.9: bias" in text and "offset" in text, name
    for split, prefix in (("validation", "eval"), ("test", "predict")):
        error = results(folder)[f"{prefix}_expected_calibration_error"]
        reliability = facts["scores"][split]["reliability"]
        assert 0 < error < 1 and reliability["expected_calibration_error"] == error
        assert sum(of_bin["entities"] for of_bin in reliability["bins"]) > 10


def test_tagging_gives_the_tags_and_scores_of_evaluation(tuned, tmp_path):
    _, folder = tuned
    tagger = Tagger(folder)
    assert tagger.operating_point != NEUTRAL and tagger.calibration
    predictions = written_predictions(folder)
    sentences = tagger.predict([prediction["words"] for prediction in predictions])
    for prediction, sentence in zip(predictions, sentences, strict=True):
        assert sentence.predicted == prediction["predicted_tags"]
        for entity in prediction["entities"]:
            score = sentence.entity_scores[entity["start_word"]]
            assert score == pytest.approx(entity["score"], abs=1e-4)
    path = tmp_path / "gold.conll"
    rows = (
        "".join(f"{w}\t{t}\n" for w, t in zip(p["words"], p["gold_tags"], strict=True))
        for p in predictions
    )
    path.write_text("\n".join(rows), encoding="utf-8")
    output = run("infer.py", ["--model", folder, "--input", path, "--score"], tmp_path)
    f1 = results(folder)["predict_f1"]
    assert f"{f1:.4f}" in next(line for line in output.splitlines() if "overall" in line)


def test_a_saved_model_is_evaluated_as_at_the_end_of_training(tuned, corpus, tmp_path):
    script, folder = tuned
    config = (folder / "config.json").read_bytes()
    flags = ["--model_name_or_path", folder, *corpus, "--do_eval", "--do_predict"]
    run(script, [*flags, "--output_dir", "scored"], tmp_path)
    for name in PREDICTIONS:
        assert (tmp_path / "scored" / name).read_bytes() == (folder / name).read_bytes(), name
    assert (folder / "config.json").read_bytes() == config


def test_the_most_probable_tag_of_each_word_is_as_before(tuned, tmp_path):
    """Neither operating point nor temperature, as in a model that has none."""
    _, folder = tuned
    older = shutil.copytree(folder, tmp_path / "older")
    config = read_json(folder / "config.json")
    without = {name: value for name, value in config.items() if name not in CALIBRATION}
    (older / "config.json").write_text(json.dumps(without))
    sentences = [prediction["words"] for prediction in written_predictions(folder)]
    argmax = Tagger(folder, decode="argmax").predict(sentences)
    assert argmax == Tagger(older, decode="argmax").predict(sentences)
    for sentence in [*argmax, *Tagger(older).predict(sentences)]:
        assert sentence.entity_scores == sentence.probabilities
    assert Tagger(older).predict(sentences) != Tagger(folder).predict(sentences)


def test_an_operating_point_can_be_chosen_for_a_saved_model(tuned, corpus, tmp_path):
    script, folder = tuned
    copied = shutil.copytree(folder, tmp_path / "out")
    flags = ["--model_name_or_path", "out", *corpus, "--do_eval", "--do_predict"]
    output = run(script, [*flags, "--output_dir", "out", "--tune_for", "recall"], tmp_path)
    before, after = (read_json(path / "config.json") for path in (folder, copied))
    assert after != before
    changed = {"outside_bias": 0, "min_entity_score": 0}
    assert after | changed == before | changed
    assert weights(copied) == weights(folder)
    facts = read_json(copied / "run.json")
    assert facts["calibration"]["requested"] == "--tune_for recall"
    assert facts["history"] == read_json(folder / "run.json")["history"]
    assert "Operating point: --tune_for recall" in output
    assert "The report, model card and run.json keep the scores from training." in output
    for name in ("report.html", "README.md"):
        assert (copied / name).read_bytes() == (folder / name).read_bytes()
    elsewhere = run(script, [*flags, "--output_dir", "b", "--tune_for", "f1"], tmp_path, status=2)
    assert "--tune_for f1" in error_message(elsewhere)
    assert not (tmp_path / "b").exists()


def test_training_starts_without_the_calibration_of_its_first_weights(tuned, corpus, tmp_path):
    script, folder = tuned
    flags = ["--model_name_or_path", folder, *corpus, *SETTINGS, "--max_steps", 2]
    output = run(script, [*flags, "--do_train", "--output_dir", "again"], tmp_path)
    config = read_json(tmp_path / "again" / "config.json")
    assert [config[name] for name in CALIBRATION] == [1.0, 0.0, 0.0, 0.0]
    assert "not calibrated" in output
    (checkpoint,) = (path for path in (tmp_path / "again").iterdir() if path.is_dir())
    assert not {*CALIBRATION} & read_json(checkpoint / "config.json").keys()


@pytest.mark.parametrize("processes", [pytest.param(2, marks=pytest.mark.exhaustive), 3])
def test_any_number_of_processes_calibrates_alike(processes, tuned, corpus, tmp_path):
    script, folder = tuned
    copies = [shutil.copytree(folder, tmp_path / str(n) / "out") for n in (1, processes)]
    flags = ["--model_name_or_path", "out", *corpus, "--do_eval", "--do_predict"]
    flags += ["--output_dir", "out", "--tune_for", "f1"]
    for copied, number in zip(copies, (1, processes), strict=True):
        run(script, flags, copied.parent, number)
    for name in (*PREDICTIONS, "config.json"):
        first, second = (copied / name for copied in copies)
        assert first.read_bytes() == second.read_bytes(), name


@pytest.mark.parametrize("labels", [["O"], ["O", "B-X", "I-X"]])
def test_a_model_without_entities_is_calibrated_too(labels, tiny_encoder, tmp_path):
    (tmp_path / "a.conll").write_text("Peter O\nsaid O\n\nit O\n" * 5)
    tagger = save_tiny_tagger(tmp_path / "tagger", labels)
    files = ("--train_file", "a.conll", "--validation_file", "a.conll", "--test_file", "a.conll")
    flags = ["--model_name_or_path", tagger, *files, *SETTINGS, "--num_train_epochs", 20]
    flags += ["--output_dir", "out", "--target_precision", 0.5]
    output = run(LOOP, flags, tmp_path, before=with_report)
    config = read_json(tmp_path / "out" / "config.json")
    assert [config[name] for name in CALIBRATION] == [1.0, 0.0, 0.0, 0.0]
    assert "reached on the validation split" in output
    assert not any("calibration" in name for name in results(tmp_path / "out"))
