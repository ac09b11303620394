"""The results of a run: scores for the history, and facts that all of its files agree on."""

import json
from types import SimpleNamespace

import pytest
import torch

from results.run_results import RunResults
from scoring.intervals import SCORES
from settings.defaults import make_settings
from settings.flags import SharedFlags
from tests.helpers.models import ROOT
from tests.helpers.sub_words import corpus_of
from training.progress import BestScore

LABELS = ["O", "B-LOC", "I-LOC", "B-MISC", "I-MISC", "B-PER", "I-PER"]
WORDS = [["Anna", "besuchte", "gestern", "das", "Museum", "in", "Hamburg"], ["Anna", "lacht"]]
GOLD = [[5, 0, 0, 0, 0, 0, 1], [5, 0]]
STATE = SimpleNamespace(
    is_main_process=True, num_processes=1, device="cpu", wait_for_everyone=lambda: None
)


def results_of(folder, best: str = "f1", repo_id: str | None = None, **changes) -> RunResults:
    """Return the results of a run that has scored its validation split."""
    values = {"model_name_or_path": "bert-base-cased", "bf16": True, **changes}
    flags = SharedFlags(output_dir=str(folder / "out"), train_file=["x"], **values)
    settings = make_settings(flags, "", hub_ready=True)
    num_words = sum(map(len, WORDS))
    corpus = corpus_of(LABELS, validation=list(zip(WORDS, GOLD, strict=True)))
    window = SimpleNamespace(
        num_words=num_words, words_with_subwords=num_words, lengths_alone=[7, 2], sentences_cut=0
    )
    pusher = SimpleNamespace(repo_id=repo_id, plan="a plan") if repo_id else None
    windows = {"validation": window}
    config = SimpleNamespace(window_length=64, decode="viterbi", context=0)
    results = RunResults(settings, corpus, windows, config, BestScore(best, True), STATE, pusher)
    results.precision = "bf16"
    return results


def score(results: RunResults) -> dict[str, float]:
    predictions = results.no_predictions("validation")
    tag_ids = torch.tensor([[5, 0, 0, 0, 0, 0, 1, 0, 0]])
    log_probabilities = torch.eye(len(LABELS))[tag_ids].log()
    predictions.add(log_probabilities, torch.zeros(1), torch.arange(9)[None])
    return results.score("validation", predictions)


def test_the_score_of_a_type_is_there_if_it_decides(tmp_path):
    overall = {"precision", "recall", "f1", "accuracy", "loss", "words"}
    assert set(score(results_of(tmp_path))) == overall
    scores = score(results_of(tmp_path, best="LOC_f1"))
    assert set(scores) == overall | {"LOC_f1"}
    assert scores["LOC_f1"] == 1.0
    # No word of the split is of this type, neither in the corpus nor as predicted.
    assert score(results_of(tmp_path, best="MISC_f1"))["MISC_f1"] == 0.0


def test_the_scores_of_all_types_are_there_if_asked_for(tmp_path):
    scores = score(results_of(tmp_path, return_entity_level_metrics=True))
    for name in ("LOC", "MISC", "PER"):
        assert {f"{name}_{key}" for key in ("precision", "recall", "f1", "number")} <= set(scores)
    assert (scores["MISC_f1"], scores["MISC_number"], scores["PER_recall"]) == (0.0, 0, 0.5)


def test_evidence_is_added_at_the_end_alone(tmp_path, capsys):
    """Scores during training, their history and the best one are as before."""
    results = results_of(tmp_path)
    results.corpus.splits["train"] = corpus_of(LABELS, train=[(["Anna"], [5])]).splits["train"]
    flat = score(results)
    assert not [name for name in flat if "interval" in name]
    results.write()
    out = tmp_path / "out"
    written = json.loads((out / "eval_results.json").read_text())
    assert {name: written[f"eval_{name}"] for name in flat} == flat
    low, high = written["eval_f1_interval"]
    assert low < written["eval_f1"] < high
    assert written["eval_intervals"] == {"level": 0.95, "unit": "sentence", "units": 2}
    assert written["eval_by_surface"]["in training"]["number"] == 2
    assert written["eval_by_surface"]["new"]["recall"] == 1
    assert set(written["eval_by_length"]) == {"1"}
    assert written["eval_partial_matching"]["strict"]["correct"] == 2
    scores = json.loads((out / "run.json").read_text())["scores"]["validation"]
    assert scores["per_type"]["PER"]["recall_interval"][0] < 0.5
    shown = f"{low:.3f}-{high:.3f}"
    printed = capsys.readouterr().out
    card, report = (
        (out / name).read_text(encoding="utf-8") for name in ("README.md", "report.html")
    )
    for text in (printed, card, report):
        assert shown in text
        assert "Only 3 entities: treat as rough." in text
    assert "seen in training (2) 0.5000" in printed


def test_a_run_ends_with_score_folder_command_and_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = results_of(tmp_path)
    score(results)
    results.write()
    out = tmp_path / "out"
    measured, folder, tag, page = capsys.readouterr().out.splitlines()[-4:]
    assert measured.startswith("F1 0.800 (95 % interval 0.")
    assert measured.endswith(" on the validation split: 9 words with 3 entities.")
    assert folder == f"Everything is in {out}."
    assert tag == f'Tag a text: python {ROOT / "infer.py"} --model {out} "The text to tag."'
    assert page == f"Open: {out / 'report.html'}"


def test_each_evaluation_has_the_intervals_of_its_scores(tmp_path):
    results = results_of(tmp_path, return_entity_level_metrics=True)
    flat = score(results)
    (row,) = results.progress.score_intervals
    low, high = row.pop("eval_f1_interval")
    assert low < flat["f1"] < high and row.pop("step") == 0
    types = {f"{name}_{key}" for name in ("LOC", "MISC", "PER") for key in SCORES}
    assert row.keys() == {f"eval_{n}_interval" for n in (types | {"accuracy", *SCORES}) - {"f1"}}
    # Weights that are restored at the end are scored again; that is no evaluation of the history.
    results.train_metrics = {"train_loss": 1.0}
    score(results)
    assert len(results.progress.score_intervals) == 1
    # A split that is only scored has no history.
    scored = results_of(tmp_path, do_eval=True)
    score(scored)
    assert scored.progress.score_intervals == []


def test_the_last_evaluation_has_the_intervals_of_the_final_scores(tmp_path):
    """They are resampled alike, though the sentences differ in lengths and known names alone."""
    results = results_of(tmp_path)
    sentences = [(["Anna"], [5]), (["Anna", "Li"], [5, 6]), (["Bo"], [5])]
    results.corpus = corpus_of(LABELS, train=sentences[:1], validation=sentences)
    window = SimpleNamespace(
        num_words=4, words_with_subwords=4, lengths_alone=[1, 2], sentences_cut=0
    )
    results.windows = {"train": window, "validation": window}
    predictions = results.no_predictions("validation")
    log_probabilities = torch.eye(len(LABELS))[torch.tensor([[5, 5, 6, 5]])].log()
    predictions.add(log_probabilities, torch.zeros(1), torch.arange(4)[None])
    results.score("validation", predictions)
    results.write()
    (row,) = results.progress.score_intervals
    overall = results.scores["validation"]["overall"]
    for name in ("accuracy", *SCORES):
        assert row[f"eval_{name}_interval"] == overall[f"{name}_interval"], name


def test_without_a_training_split_nothing_is_known_about_surfaces(tmp_path):
    results = results_of(tmp_path)
    score(results)
    results.write()
    assert "eval_by_surface" not in json.loads((tmp_path / "out" / "eval_results.json").read_text())


@pytest.mark.parametrize("include", [None, ["report"], ["predictions"]])
def test_files_hold_a_sentence_of_the_corpus_only_if_texts_are_pushed(include, tmp_path):
    results = results_of(tmp_path, hub_include=include)
    score(results)
    results.write()
    sentence = "Anna besuchte gestern das Museum in Hamburg"
    shown = {
        path.name
        for path in (tmp_path / "out").glob("*.*")
        if path.suffix in (".json", ".md") and sentence in path.read_text(encoding="utf-8")
    }
    assert shown == ({"README.md", "run.json"} if include else set())


def test_predictions_of_a_split_name_the_origin_of_each_sentence(tmp_path):
    results = results_of(tmp_path)
    score(results)
    results.write()
    out = tmp_path / "out"
    lines = (out / "eval_predictions.jsonl").read_text(encoding="utf-8").splitlines()
    first, second = map(json.loads, lines)
    assert (first["file"], first["line"], first["record_id"]) == ("validation.jsonl", 1, "r1")
    assert (second["line"], second["record_id"], second["words"]) == (2, "r2", WORDS[1])
    assert second["gold_tags"] == ["B-PER", "O"]
    assert second["predicted_tags"] == ["O", "O"]
    assert [entity["words"] for entity in first["entities"]] == [["Anna"], ["Hamburg"]]
    assert (out / "eval_predictions.txt").read_text().startswith("Anna B-PER B-PER\n")
    assert not (out / "predictions.jsonl").exists()  # there is no test split
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "validation.jsonl:2" in report and "record r2" in report


def test_card_report_and_run_json_agree_on_the_arguments(tiny_encoder, tmp_path):
    results = results_of(tmp_path, model_name_or_path=str(tiny_encoder))
    score(results)
    results.write()
    out = tmp_path / "out"
    run = json.loads((out / "run.json").read_text())
    assert run["run_id"] == results.progress.run_id
    arguments = run["arguments"]
    assert arguments["mixed_precision"] == "bf16"
    assert arguments["model_name_or_path"] == tiny_encoder.name
    assert "bf16" not in arguments
    given = {name: value for name, value in arguments.items() if value is not None}
    card, report = ((out / name).read_text() for name in ("README.md", "report.html"))
    for name, value in given.items():
        assert f"\n{name}: {value}\n" in card, name
        assert f'<th scope="row">{name}</th>' in report, name
    assert f"Arguments ({len(given)})" in report
    for text in (card, report):
        assert str(tiny_encoder) not in text


def test_what_a_push_sends_shows_no_folder(tmp_path):
    """Report and args.yaml, which stay, repeat the command as it was given."""
    data = tmp_path / "customer" / "data.conll"
    arguments = ["--train_file", str(data), "--hub_token=a$b", f"--output_dir={tmp_path / 'out'}"]
    results = results_of(tmp_path, test_file=[str(data)])
    results.script, results.arguments = "train_trainer.py", arguments
    score(results)
    results.write()
    out = tmp_path / "out"
    run, card, report = (
        (out / name).read_text() for name in ("run.json", "README.md", "report.html")
    )
    for text in (run, card):
        assert str(tmp_path) not in text
        assert "train_trainer.py --train_file data.conll" in text and "output_dir=out" in text
    assert str(data) in report
    assert "a$b" not in run + card + report


def test_what_is_pushed_is_said_before_a_push_without_training(tmp_path, capsys):
    results = results_of(tmp_path, repo_id="tester/model", do_eval=True)
    score(results)
    results.write()
    assert "Pushes to a plan." in capsys.readouterr().out
