"""Both training scripts from flags to output folder: equal numbers, equal files, clear errors."""

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from support.manifests import checkpoint_folders
from tests.helpers.messages import stable
from tests.helpers.models import save_tiny_tagger
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    ROOT,
    TRAINER,
    WRITE_JSON,
    Run,
    error_message,
    interrupt,
    losses,
    record_batches,
    results,
    run,
    shows_all_words_scored,
    trains_without_padding,
    wait_for_file,
    weights,
    with_report,
    without_dropout,
    write_corpus,
)

TOKEN = "hf_" + "s3cret" * 6
SETTINGS = ["--mixed_precision", "no", "--max_seq_length", 24, "--learning_rate", 1e-2]
SETTINGS += ["--num_train_epochs", 2, "--logging_steps", 1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list:
    """Flags of a corpus with sentences of several windows, in uneven numbers."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def encoder(tiny_encoder, tmp_path_factory) -> Path:
    return without_dropout(tiny_encoder, tmp_path_factory.mktemp("encoder") / "tiny")


def folder_state(folder: Path) -> dict:
    """Return the content and time of every file, to show that nothing was changed."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
        if path.suffix != ".log"
    }


# --- The same numbers -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def four_runs(corpus, encoder, tmp_path_factory) -> dict[tuple, Path]:
    """Output folders by script and grid: batch 8, and batch 2 accumulated 4 times."""
    folders = {}
    for script in BOTH:
        for batch, accumulated in ((8, 1), (2, 4)):
            folder = tmp_path_factory.mktemp("parity")
            grid = ["--per_device_train_batch_size", batch]
            grid += ["--gradient_accumulation_steps", accumulated]
            flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, *grid]
            run(script, [*flags, "--output_dir", "out"], folder)
            folders[script, batch] = folder / "out"
    return folders


@pytest.mark.parametrize(
    "expected,actual",
    [
        ((LOOP, 8), (TRAINER, 8)),
        ((LOOP, 2), (TRAINER, 2)),
        ((LOOP, 8), (LOOP, 2)),
        ((TRAINER, 8), (TRAINER, 2)),
    ],
)
def test_training_is_the_same_by_either_script_and_on_any_grid(four_runs, expected, actual):
    expected, actual = four_runs[expected], four_runs[actual]
    np.testing.assert_allclose(losses(actual), losses(expected), rtol=1e-5)
    assert len(losses(actual)) > 15
    assert losses(actual)[-1, 0] < losses(actual)[0, 0] / 3  # the run learned something
    config, expected_config = (
        json.loads((folder / "config.json").read_text()) for folder in (actual, expected)
    )
    for name in ("id2label", "label2id", "window_length", "word_splitter", "task_name"):
        assert config[name] == expected_config[name], name
    predictions = (actual / "predictions.txt").read_bytes()
    assert predictions == (expected / "predictions.txt").read_bytes()
    scores, expected_scores = results(actual), results(expected)
    assert scores.keys() == expected_scores.keys()
    for name in scores.keys() - {n for n in scores if n.startswith("train_")}:
        if name.endswith(("_loss", "_calibration_error")):
            assert scores[name] == pytest.approx(expected_scores[name], rel=1e-4, abs=1e-5)
        else:
            assert scores[name] == expected_scores[name], name
    assert scores["train_loss"] == pytest.approx(expected_scores["train_loss"], rel=1e-5)


@pytest.mark.parametrize("batch", [8, 2])
def test_both_scripts_end_with_the_same_weights_to_the_bit(four_runs, batch):
    assert weights(four_runs[LOOP, batch]) == weights(four_runs[TRAINER, batch])


def test_mean_loss_of_a_run_is_the_mean_over_its_steps(four_runs):
    for folder in four_runs.values():
        assert results(folder)["train_loss"] == pytest.approx(losses(folder)[:, 0].mean())


@pytest.mark.parametrize("script", BOTH)
def test_loss_of_a_step_is_the_mean_over_its_tokens(script, corpus, encoder, tmp_path):
    """The mean of the steps' losses, weighted by their words, is the loss in evaluation."""
    flags = ["--model_name_or_path", encoder, *corpus[:2], "--validation_file", corpus[1]]
    flags += [*SETTINGS, "--learning_rate", 1e-12, "--num_train_epochs", 1]
    run(script, [*flags, "--output_dir", "out"], tmp_path, before=partial(record_batches, tmp_path))
    step_losses = losses(tmp_path / "out")[:, 0]
    lines = (tmp_path / "batches_0.txt").read_text().splitlines()
    words = [sum(map(int, line.split())) for line in lines]
    assert max(words) > 2 * min(words)  # steps with many words and with few
    mean = np.average(step_losses, weights=words)
    assert mean == pytest.approx(results(tmp_path / "out")["eval_loss"], rel=1e-5)


def test_losses_are_those_of_a_loop_written_by_hand(tmp_path):
    """Padded batches, cross entropy, AdamW and clipping of torch, and none of the suite's code.

    Only the order of the sentences is taken from the run: each has its own number of words.
    """
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    labels = ["O", "B-PER", "I-PER"]
    sentences = {n: ["Anna", *["the"] * (n - 1)] for n in range(2, 30)}
    rows = (["Anna B-PER", *["the O"] * (n - 1)] for n in sentences)
    (tmp_path / "a.conll").write_text("\n".join(line for row in rows for line in [*row, ""]))
    tagger = without_dropout(save_tiny_tagger(tmp_path / "drops", labels), tmp_path / "tagger")
    flags = ["--train_file", "a.conll", "--validation_file", "a.conll", "--num_train_epochs", 2]
    flags += ["--model_name_or_path", tagger, "--per_device_train_batch_size", 4, "--seed", 3]
    flags += ["--learning_rate", 1e-2, "--mixed_precision", "no", "--logging_steps", 1]
    before = partial(record_batches, tmp_path)
    run(LOOP, [*flags, "--output_dir", "out"], tmp_path, before=before)
    lines = (tmp_path / "batches_0.txt").read_text().splitlines()
    batches = [[int(count) for count in line.split()] for line in lines]
    assert sorted(n for batch in batches for n in batch) == sorted([*sentences, *sentences])

    model = AutoModelForTokenClassification.from_pretrained(tagger).train()
    tokenizer = AutoTokenizer.from_pretrained(tagger)
    parameters = dict(model.named_parameters())
    plain = {name for name in parameters if name.endswith("bias") or "LayerNorm" in name}
    groups = [([parameters[n] for n in parameters.keys() - plain], 0.01)]
    groups += [([parameters[n] for n in plain], 0.0)]
    optimizer = torch.optim.AdamW([{"params": p, "weight_decay": decay} for p, decay in groups])
    expected = []
    for step, batch in enumerate(batches):
        words = [sentences[n] for n in batch]
        inputs = tokenizer(words, is_split_into_words=True, padding=True, return_tensors="pt")
        targets = torch.full(inputs["input_ids"].shape, -100)
        for row, n in enumerate(batch):
            targets[row, 1 : n + 1] = torch.tensor([1, *[0] * (n - 1)])
        loss = model(**inputs, labels=targets).loss
        expected.append(loss.item())
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / len(batches))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    np.testing.assert_allclose(losses(tmp_path / "out")[:, 0], expected, rtol=1e-3)


def test_learning_rate_falls_linearly_to_zero(four_runs):
    for folder in four_runs.values():
        rates = losses(folder)[:, 1]
        expected = 1e-2 * (1 - np.arange(len(rates)) / len(rates))
        np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_scores_are_those_of_the_written_predictions(four_runs):
    from seqeval.metrics import f1_score

    folder = four_runs[TRAINER, 8]
    sentences = (folder / "predictions.txt").read_text(encoding="utf-8").strip().split("\n\n")
    columns = [[line.split(" ") for line in sentence.split("\n")] for sentence in sentences]
    gold = [[row[1] for row in sentence] for sentence in columns]
    predicted = [[row[2] for row in sentence] for sentence in columns]
    assert results(folder)["predict_f1"] == pytest.approx(f1_score(gold, predicted))
    assert results(folder)["predict_words"] == sum(map(len, gold))


# --- The files of a run ---------------------------------------------------------------------

WRITTEN = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "README.md",
    "args.yaml",
    "run.json",
    "report.html",
    "confusion_matrix.png",
    "training_curves.png",
    "train_results.json",
    "eval_results.json",
    "predict_results.json",
    "all_results.json",
    "predictions.txt",
    "predictions.jsonl",
    "eval_predictions.txt",
    "eval_predictions.jsonl",
}
SECRET_NAMES = {"optimizer.bin", "optimizer.pt", "training_args.bin", "scheduler.pt"}


@pytest.fixture(scope="module", params=BOTH)
def finished(request, corpus, encoder, tmp_path_factory) -> Path:
    """Output folder of a run with a token and with its report."""
    folder = tmp_path_factory.mktemp("finished")
    flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--output_dir", "out"]
    run(request.param, [*flags, "--hub_token", TOKEN], folder, before=with_report)
    return folder / "out"


def test_exact_set_of_files(finished):
    assert {path.name for path in finished.iterdir() if path.is_file()} == WRITTEN
    checkpoints = {path.name for path in finished.iterdir() if path.is_dir()}
    steps = len(losses(finished))
    by_trainer = {f"checkpoint-{steps // 2}", f"checkpoint-{steps}"}
    assert checkpoints in ({"epoch_0", "epoch_1"}, by_trainer)


def test_no_file_holds_the_token_and_no_model_file_the_optimizer(finished):
    files = [path for path in finished.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert not [path for path in files if path.name == "training_args.bin"]
    assert not SECRET_NAMES & {path.name for path in finished.iterdir()}


def test_pipeline_reads_the_folder_and_tags_the_entities(finished):
    from transformers import pipeline

    tagger = pipeline("token-classification", str(finished), aggregation_strategy="simple")
    text = "Peter Blackburn went to New York for Microsoft"
    entities = {(e["entity_group"], text[e["start"] : e["end"]]) for e in tagger(text)}
    assert entities == {("PER", "Peter Blackburn"), ("LOC", "New York"), ("ORG", "Microsoft")}


def test_checkpoints_are_models_too(finished):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    folders = [path for path in finished.iterdir() if path.is_dir()]
    newest = max(folders, key=lambda path: int(path.name.replace("-", "_").split("_")[1]))
    model = AutoModelForTokenClassification.from_pretrained(newest)
    assert AutoTokenizer.from_pretrained(newest).is_fast
    assert model.config.label2id["B-PER"] == 5
    # Without --load_best_model_at_end the last epoch is saved.
    assert weights(newest) == weights(finished)


def test_all_results_joins_the_result_files(finished):
    read = {p.name: json.loads(p.read_text()) for p in finished.glob("*_results.json")}
    everything = read.pop("all_results.json")
    joined = {name: value for part in read.values() for name, value in part.items()}
    assert everything == joined
    for name in ("eval_accuracy", "eval_f1", "eval_precision", "eval_recall", "eval_loss"):
        assert 0 <= everything[name] <= 1, name
    assert everything["train_steps"] == len(losses(finished))


# --- Running again --------------------------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_same_command_runs_again_and_gives_the_same_model(script, corpus, encoder, tmp_path):
    flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--max_steps", 4]
    run(script, flags, tmp_path)
    name = "tiny-finetuned-ner" + ("-accelerate" if script == LOOP else "")
    first = weights(tmp_path / name)
    run(script, flags, tmp_path)
    assert weights(tmp_path / name) == first
    # The old model stays until the new one is complete.
    # The first file written is that of the owner of the folder, the second is run.json.
    before = partial(interrupt, WRITE_JSON, 1, partial(wait_for_file, tmp_path / "go"))
    third = Run(script, [*flags, "--seed", 7], tmp_path, before=before)
    third.wait_for(lambda: "waiting for go" in third.output)
    assert (tmp_path / name / ".run" / "model" / "model.safetensors").exists()
    assert weights(tmp_path / name) == first
    (tmp_path / "go").touch()
    assert third.wait() == [0]
    assert weights(tmp_path / name) != first


def test_command_line_overrides_a_yaml_file_of_flags(corpus, encoder, tmp_path):
    values = dict(zip((f.removeprefix("--") for f in corpus[::2]), corpus[1::2], strict=True))
    values |= {"model_name_or_path": encoder, "output_dir": "from_yaml"}
    text = "".join(f"{name}: {value}\n" for name, value in values.items())
    text += "learning_rate: 2e-3\nmax_steps: 2\nmixed_precision: 'no'\nlabel_all_tokens: false\n"
    (tmp_path / "flags.yaml").write_text(text)
    run(LOOP, ["flags.yaml", "--max_steps", 3, "--logging_steps", 1], tmp_path)
    run(TRAINER, ["--config", "flags.yaml", "--max_steps", 3, "--logging_steps", 1,
                  "--output_dir", "by_trainer"], tmp_path)  # fmt: skip
    for name in ("from_yaml", "by_trainer"):
        assert losses(tmp_path / name).shape == (3, 2)  # 3 steps as on the command line, not 2
        assert losses(tmp_path / name)[0, 1] == 2e-3
        arguments = json.loads((tmp_path / name / "run.json").read_text())["arguments"]
        assert arguments["label_all_tokens"] is False


@pytest.mark.parametrize("script", BOTH)
def test_only_the_requested_tasks_run(script, corpus, encoder, tmp_path):
    flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--output_dir", "out"]
    run(script, [*flags, "--do_train", "--max_steps", 2], tmp_path)
    trained = weights(tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "train_results.json" in names
    assert not names & {"eval_results.json", "predict_results.json", "predictions.txt"}
    assert not any(name.endswith(".jsonl") for name in names)
    again = ["--model_name_or_path", "out", *corpus, *SETTINGS, "--output_dir", "scores"]
    run(script, [*again, "--do_predict"], tmp_path)
    names = {path.name for path in (tmp_path / "scores").iterdir()}
    predictions = {"predictions.txt", "predictions.jsonl"}
    assert names == {"predict_results.json", "all_results.json", *predictions}
    assert weights(tmp_path / "out") == trained


@pytest.mark.parametrize("script", BOTH)
def test_a_test_split_without_labels_is_tagged(script, encoder, corpus, snapshot, tmp_path):
    words = "Peter\nsaid\n\nthe\nEU\nwent\n\n"
    (tmp_path / "test.conll").write_text(words)
    flags = ["--model_name_or_path", encoder, *corpus[:4], *SETTINGS, "--output_dir", "out"]
    flags += ["--test_file", "test.conll", "--max_steps", 2]
    output = run(script, flags, tmp_path, before=with_report)
    (line,) = (line for line in output.splitlines() if "predictions.txt" in line)
    assert re.search(r"\b5\b", line)
    assert line == snapshot
    rows = (tmp_path / "out" / "predictions.txt").read_text()
    assert [line.partition(" ")[0] for line in rows.split("\n")] == words.split("\n")
    assert all(len(line.split(" ")) == 2 for line in rows.split("\n") if line)
    scores = results(tmp_path / "out")
    assert "eval_f1" in scores and not any(name.startswith("predict") for name in scores)
    assert (tmp_path / "out" / "report.html").exists() and "report.html" in output
    # With --do_predict alone the tags are all that is written.
    flags = ["--model_name_or_path", "out", "--test_file", "test.conll", "--do_predict"]
    output = run(script, [*flags, "--output_dir", "tags"], tmp_path)
    names = sorted(path.name for path in (tmp_path / "tags").iterdir())
    assert names == ["predictions.jsonl", "predictions.txt"]
    assert (tmp_path / "tags" / "predictions.txt").read_text() == rows
    assert "report.html" not in output


@pytest.mark.parametrize("script", BOTH)
def test_a_compiled_model_is_the_same_model(script, encoder, corpus, tmp_path):
    """Compiled as by `accelerate launch --dynamo_backend`; this back end only traces."""
    flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--output_dir", "out"]
    flags += ["--num_train_epochs", 2]
    run(script, flags, tmp_path / "plain")
    compiled = {"ACCELERATE_DYNAMO_BACKEND": "EAGER", "ACCELERATE_DYNAMO_USE_DYNAMIC": "true"}
    output = run(script, flags, tmp_path / "compiled", **compiled)
    assert trains_without_padding(output)
    plain, out = tmp_path / "plain" / "out", tmp_path / "compiled" / "out"
    assert weights(out) == weights(plain)
    assert (out / "predictions.txt").read_bytes() == (plain / "predictions.txt").read_bytes()
    shutil.rmtree(checkpoint_folders(out)[-1])
    run(script, [*flags, "--resume_from_checkpoint"], tmp_path / "compiled", **compiled)
    assert weights(out) == weights(plain)


@pytest.mark.parametrize("script", BOTH)
def test_all_files_have_the_same_mode(script, encoder, corpus, tmp_path):
    flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--output_dir", "out"]
    run(script, [*flags, "--max_steps", 2], tmp_path)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.glob("out/**/*") if path.is_file()}
    (tmp_path / "new").touch()
    assert modes == {(tmp_path / "new").stat().st_mode & 0o777}


@pytest.mark.parametrize("script", BOTH)
def test_plain_tags_get_accuracy_and_scores_by_tag(script, encoder, tmp_path):
    for split in ("train", "validation", "test"):
        rows = "Peter NOUN\nsaid VERB\n\nthe DET\nBank NOUN\nwent VERB\nto ADP\nParis NOUN\n\n"
        (tmp_path / f"{split}.conll").write_text(rows * 3)
    flags = [f for s in ("train", "validation", "test") for f in (f"--{s}_file", f"{s}.conll")]
    flags += ["--model_name_or_path", encoder, "--task_name", "pos", "--learning_rate", 1e-2]
    run(script, [*flags, "--num_train_epochs", 8, "--return_entity_level_metrics"], tmp_path)
    scores = results(next(tmp_path.glob("tiny-finetuned-pos*")))
    assert scores["predict_accuracy"] == scores["predict_macro_f1"] == 1.0
    assert scores["predict_NOUN_f1"] == 1.0 and scores["predict_NOUN_number"] == 9
    assert "predict_f1" not in scores


@pytest.mark.parametrize("script", BOTH)
def test_wnut_scores_every_word(script, encoder, tmp_path):
    """WNUT-17 has 1287 test sentences of 23394 words, by its authors' count."""
    corpora = os.environ.get("NER_CORPORA")
    if not corpora:
        pytest.skip("NER_CORPORA names no folder of real corpora")
    files = {kind: next(Path(corpora, "wnut17").glob(f"*{kind}*")) for kind in ("train", "test")}
    flags = ["--model_name_or_path", encoder, "--train_file", files["train"]]
    flags += ["--test_file", files["test"], "--max_train_samples", 40, "--max_eval_samples", 10]
    output = run(script, [*flags, "--max_steps", 2, "--output_dir", "out"], tmp_path)
    assert shows_all_words_scored(output, 23394)
    text = (tmp_path / "out" / "predictions.txt").read_text(encoding="utf-8")
    assert len(text.strip().split("\n\n")) == 1287
    assert sum(1 for line in text.split("\n") if line) == 23394


# --- User errors ----------------------------------------------------------------------------


@pytest.fixture
def bad(corpus, encoder, tmp_path):
    """Files of a good corpus and a good command, in a folder with broken inputs."""
    files = dict(zip(corpus[::2], corpus[1::2], strict=True))
    (tmp_path / "empty.conll").write_text("")
    (tmp_path / "stray.conll").write_text("Peter B-PER\nwent B-ANIMAL\n")
    (tmp_path / "rows.jsonl").write_text('{"tokens": ["a", "b"], "ner_tags": ["O"]}\n')
    (tmp_path / "numbers.jsonl").write_text('{"tokens": ["a"], "ner_tags": [[1]]}\n')
    (tmp_path / "file").write_text("not a folder")
    slow = tmp_path / "slow"
    shutil.copytree(encoder, slow)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (slow / name).unlink()
    (slow / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    taken = save_tiny_tagger(tmp_path / "taken", ["O", "B-GENE", "I-GENE"])
    identity = {"corpus": "genes", "model": "tiny", "task": "ner"}
    identity["label_names"] = ["O", "B-GENE", "I-GENE"]
    (taken / "run.json").write_text(json.dumps(identity))
    stranger = tmp_path / "stranger"
    shutil.copytree(encoder, stranger)
    return files, {"--model_name_or_path": encoder, "--output_dir": "out", **files}


BAD_INPUTS = {
    # name: (flags, names and numbers in the message)
    "no such file": ({"--train_file": "nowhere.conll"}, ["nowhere.conll"]),
    "empty file": ({"--train_file": "empty.conll"}, ["empty.conll"]),
    "no such column": ({"--label_column_name": "tagz"}, ["tagz", "train.conll"]),
    "different lengths": ({"--train_file": "rows.jsonl"}, ["rows.jsonl", "2", "1"]),
    "labels of another kind": ({"--train_file": "numbers.jsonl"}, ["numbers.jsonl"]),
    "label that training lacks": (
        {"--validation_file": "stray.conll"},
        ["stray.conll", "ANIMAL"],
    ),
    "unknown task": ({"--task_name": "parse"}, ["parse", "ner, pos, chunk"]),
    "no fast tokenizer": ({"--model_name_or_path": "slow"}, ["slow"]),
    "no such model": ({"--model_name_or_path": "no/model"}, ["no/model"]),
    "output is a file": ({"--output_dir": "file"}, ["file"]),
    "output of another run": (
        {"--output_dir": "taken"},
        ["taken", "genes", "I-GENE", "--overwrite_output_dir"],
    ),
    "output of strangers": ({"--output_dir": "stranger"}, ["stranger", "--overwrite_output_dir"]),
    "head of other labels": (
        {"--model_name_or_path": "taken"},
        ["B-GENE", "B-LOC", "--ignore_mismatched_sizes"],
    ),
    "window too long": ({"--max_seq_length": "65"}, ["--max_seq_length 65", "64"]),
    "window too short": ({"--max_seq_length": "2"}, ["--max_seq_length 2", "3"]),
    "no such score": (
        {"--metric_for_best_model": "f2", "--max_steps": "1", "--load_best_model_at_end": "true"},
        ["f2", "f1"],
    ),
    "unknown flag": ({"--learning_rat": "1"}, ["--learning_rat", "--learning_rate"]),
    "not a number": ({"--learning_rate": "fast"}, ["--learning_rate", "fast"]),
    "nothing to resume": ({"--resume_from_checkpoint": "latest"}, ["--resume_from_checkpoint"]),
    "no such checkpoint": ({"--resume_from_checkpoint": "gone"}, ["gone"]),
}


@pytest.mark.parametrize("script", BOTH)
@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_gets_one_message_and_changes_nothing(
    script, name, bad, encoder, snapshot, tmp_path
):
    files, good = bad
    changes, named = BAD_INPUTS[name]
    before = folder_state(tmp_path)
    flags = [word for pair in (good | changes).items() for word in pair]
    output = run(script, flags, tmp_path, status=2)
    message = error_message(output)
    for text in named:
        assert text in message, output
    corpus_folder = Path(files["--train_file"]).parent
    assert stable(message, tmp_path, corpus_folder, encoder.parent) == snapshot
    assert folder_state(tmp_path) == before


@pytest.mark.parametrize("script", BOTH)
def test_overwrite_output_dir_replaces_another_run(script, bad, tmp_path):
    _, good = bad
    flags = [word for pair in (good | {"--output_dir": "taken"}).items() for word in pair]
    run(script, [*flags, "--overwrite_output_dir", "--max_steps", 1], tmp_path)
    assert "genes" not in (tmp_path / "taken" / "run.json").read_text()
    assert "B-PER" in (tmp_path / "taken" / "config.json").read_text()


@pytest.mark.parametrize("script", BOTH)
def test_ignore_mismatched_sizes_replaces_the_head(script, bad, tmp_path):
    _, good = bad
    flags = [w for pair in (good | {"--model_name_or_path": "taken"}).items() for w in pair]
    run(script, [*flags, "--ignore_mismatched_sizes", "--max_steps", 1], tmp_path)
    assert "B-PER" in (tmp_path / "out" / "config.json").read_text()


@pytest.mark.parametrize("script", BOTH)
def test_help_lists_the_flags(script, tmp_path):
    output = run(script, ["--help"], tmp_path)
    for flag in ("--train_file", "--label_all_tokens", "--resume_from_checkpoint"):
        assert re.search(rf"{flag}\b", output)


# --- Trackers -------------------------------------------------------------------------------


def test_trackers_get_the_same_names_and_values(encoder, tmp_path):
    """Trainer reports everything that the loop reports, at the same step."""
    # Long enough: Trainer names its second file of events, for the test split, by the second.
    flags = [
        *write_corpus(tmp_path / "corpus", train=400),
        "--model_name_or_path",
        encoder,
        *SETTINGS,
        "--report_to",
        "tensorboard",
    ]
    flags += ["--output_dir", "out", "--save_strategy", "no"]
    reported = {}
    for script in BOTH:
        folder = tmp_path / script
        folder.mkdir()
        # A real interpreter: the writer of the events flushes when it exits.
        command = [sys.executable, ROOT / script, *flags]
        if script == LOOP:
            command[-2:] = ["--checkpointing_steps", "no"]
        subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
            timeout=300,
        )
        reported[script] = events(folder)
    by_loop = {name: v for name, v in reported[LOOP].items() if not name.startswith("_hparams_")}
    expected = {"train/loss", "train/learning_rate"}
    expected |= {
        f"{split}/{name}"
        for split in ("eval", "test")
        for name in ("loss", "precision", "recall", "f1", "accuracy", "words")
    }
    assert by_loop.keys() == expected
    for name, values in by_loop.items():
        assert np.array(values) == pytest.approx(np.array(reported[TRAINER][name]), rel=1e-6), name
    steps = [step for step, _ in by_loop["train/loss"]]
    assert steps == list(range(1, steps[-1] + 1))
    assert [step for step, _ in by_loop["eval/f1"]] == [steps[-1] // 2, steps[-1]]
    assert [step for step, _ in by_loop["test/f1"]] == [steps[-1]]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return (step, value) of each scalar in TensorBoard's files.

    A file is a sequence of records: length, CRC, data, CRC.
    """
    from tensorboardX.proto.event_pb2 import Event

    scalars = {}
    for file in sorted(folder.rglob("events.out*")):
        data, at = file.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars
