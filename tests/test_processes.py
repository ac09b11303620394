"""The same numbers on any number of processes (here on a CPU, through gloo)."""

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.architectures import ARCHITECTURES, build
from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    ROOT,
    TRAINER,
    error_message,
    losses,
    need_padding,
    record_batches,
    run,
    shows_all_words_scored,
    without_dropout,
    write_corpus,
)

SETTINGS = ["--mixed_precision", "no", "--learning_rate", 1e-2, "--logging_steps", 1]
RESULTS = ("eval_results.json", "predict_results.json")


@pytest.fixture(scope="module")
def encoder(tiny_encoder, tmp_path_factory) -> Path:
    return without_dropout(tiny_encoder, tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list:
    """45, 23 and 29 sentences of 1 to 60 words."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def words_of(corpus: list, split: str) -> int:
    """Return the number of words of a split, counted in its file."""
    path = corpus[corpus.index(f"--{split}_file") + 1]
    return sum(1 for line in path.read_text().splitlines() if line)


# --- Evaluation -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tagger(encoder, corpus, tmp_path_factory) -> Path:
    """A model after one epoch, so that scores are neither 0 nor 1."""
    folder = tmp_path_factory.mktemp("tagger")
    flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--num_train_epochs", 1]
    run(LOOP, [*flags, "--do_train", "--output_dir", "out"], folder)
    return folder / "out"


def evaluate(script, tagger, corpus, folder: Path, processes: int, *settings) -> dict:
    """Run only the evaluation; return each file that it writes by name, result files parsed."""
    flags = ["--model_name_or_path", tagger, *corpus, "--do_eval", "--do_predict", *settings]
    flags += ["--return_entity_level_metrics", "--output_dir", "out"]
    output = run(script, flags, folder, processes)
    files = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    for name in RESULTS:
        files[name] = json.loads(files[name])
    for split, prefix in (("validation", "eval"), ("test", "predict")):
        words = files[f"{prefix}_results.json"][f"{prefix}_words"]
        assert words == words_of(corpus, split)
        assert shows_all_words_scored(output, words)
    return files


@pytest.fixture(scope="module")
def single(tagger, corpus, tmp_path_factory) -> Callable[..., dict]:
    """Function of settings: the files of the loop in one process, evaluated once per settings."""
    files_by_settings = {}

    def evaluate_once(*settings):
        if settings not in files_by_settings:
            folder = tmp_path_factory.mktemp("single")
            flags = (*settings, "--mixed_precision", "no")
            files_by_settings[settings] = evaluate(LOOP, tagger, corpus, folder, 1, *flags)
        return files_by_settings[settings]

    return evaluate_once


@pytest.mark.parametrize("script,processes", [(TRAINER, 1), (LOOP, 2), (TRAINER, 2)])
def test_evaluation_is_the_same(script, processes, tagger, corpus, single, tmp_path):
    settings = ("--max_seq_length", 24, "--per_device_eval_batch_size", 5)
    files = evaluate(script, tagger, corpus, tmp_path, processes, *settings)
    expected = single(*settings)
    for name in RESULTS:
        assert files[name] == expected[name]  # to the last digit, the mean loss too
    assert files == expected  # byte for byte
    assert {*RESULTS, "predictions.txt"} < files.keys()
    scores = files["predict_results.json"]
    assert 0 < scores["predict_f1"] < 1
    assert scores["predict_words"] == files["predictions.txt"].count(b"\n") - 29


@pytest.mark.parametrize("script", BOTH)
def test_scores_are_fp32_in_any_precision_of_training(script, tagger, corpus, single, tmp_path):
    settings = ("--max_seq_length", 24, "--per_device_eval_batch_size", 5)
    precision = ("--mixed_precision", "bf16")
    files = evaluate(script, tagger, corpus, tmp_path, 1, *settings, *precision)
    assert files == single(*settings)


@pytest.mark.exhaustive
@pytest.mark.parametrize("length", [9, 24, 64])
@pytest.mark.parametrize("batch", [1, 4, 7])
@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("script", BOTH)
def test_evaluation_matrix(script, processes, batch, length, tagger, corpus, single, tmp_path):
    settings = ("--max_seq_length", length, "--per_device_eval_batch_size", batch)
    files = evaluate(script, tagger, corpus, tmp_path, processes, *settings)
    assert files == single(*settings)


@pytest.mark.exhaustive
@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("script", BOTH)
def test_fewer_sentences_than_processes(script, processes, tagger, tmp_path):
    """One and two windows on up to four processes."""
    corpus = write_corpus(tmp_path / "corpus", train=3, validation=1, test=2)
    files = evaluate(script, tagger, corpus, tmp_path / "run", processes)
    assert files == evaluate(LOOP, tagger, corpus, tmp_path / "single", 1)


# --- Training -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def train(encoder, corpus, tmp_path_factory) -> Callable[..., np.ndarray]:
    """Function of script and grid: losses and rates of 2 epochs, trained once per arguments."""
    losses_by_run = {}

    def losses_of(
        script: str, processes: int, batch: int, accumulated: int, padded: bool = False
    ) -> np.ndarray:
        key = (script, processes, batch, accumulated, padded)
        if key not in losses_by_run:
            folder = tmp_path_factory.mktemp("training")
            flags = ["--model_name_or_path", encoder, *corpus, *SETTINGS, "--output_dir", "out"]
            flags += ["--do_train", "--num_train_epochs", 2, "--learning_rate", 1e-3]
            flags += ["--per_device_train_batch_size", batch, "--max_seq_length", 24]
            flags += ["--gradient_accumulation_steps", accumulated]
            flags += ["--warmup_steps", 4, "--checkpointing_steps", "no"]
            run(script, flags, folder, processes, before=need_padding if padded else None)
            losses_by_run[key] = losses(folder / "out")
        return losses_by_run[key]

    return losses_of


def assert_same_training(expected: np.ndarray, actual: np.ndarray) -> None:
    """Compare losses and learning rates; either would show a factor of the number of processes."""
    assert len(actual) == len(expected) > 10
    np.testing.assert_allclose(actual[:, 0], expected[:, 0], rtol=1e-4)
    np.testing.assert_array_equal(actual[:, 1], expected[:, 1])
    assert expected[0, 1] == pytest.approx(0) and expected[4, 1] == 1e-3  # the warm-up


@pytest.mark.parametrize("grid", [(2, 4, 1), (2, 2, 2)])
@pytest.mark.parametrize("script", BOTH)
def test_training_is_the_same_at_equal_global_batch(script, grid, train):
    assert_same_training(train(LOOP, 1, 8, 1), train(script, *grid))


def test_padded_training_is_the_same_at_equal_global_batch(train):
    """Its order of the data is another one than that of batches without padding."""
    padded = train(TRAINER, 1, 8, 1, padded=True)
    assert_same_training(padded, train(LOOP, 2, 2, 2, padded=True))
    assert np.abs(padded - train(LOOP, 1, 8, 1)).max() > 0.01


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "grid", [(1, 12, 1), (1, 1, 12), (2, 3, 2), (3, 4, 1), (3, 2, 2), (4, 1, 3)]
)
@pytest.mark.parametrize("script", BOTH)
def test_training_matrix(script, grid, train):
    assert_same_training(train(LOOP, 1, 4, 3), train(script, *grid))


SENTENCES = 31


def every_sentence_once(
    script, encoder, folder: Path, grid: tuple[int, int, int], *settings, padded: bool = False
) -> list[list[int]]:
    """Train 3 epochs, assert that each covers the corpus once; return the order of each.

    Sentence n has n words of one sub-word, so that its number of labels identifies it. `grid`:
    processes, batch, batches accumulated.
    """
    processes, batch, accumulated = grid
    folder.mkdir(exist_ok=True)
    rows = "".join("the O\n" * n + "\n" for n in range(1, SENTENCES + 1)) + "Paris B-LOC\n" * 40
    for split in ("train", "validation"):
        (folder / f"{split}.conll").write_text(rows)
    flags = ["--train_file", "train.conll", "--validation_file", "validation.conll", "--do_train"]
    flags += ["--model_name_or_path", encoder, *SETTINGS, "--num_train_epochs", 3, *settings]
    flags += ["--per_device_train_batch_size", batch, "--gradient_accumulation_steps", accumulated]
    run(script, flags, folder, processes, before=partial(record_run, folder, padded))
    batches = [
        [list(map(int, line.split())) for line in path.read_text().splitlines()]
        for path in sorted(folder.glob("batches_*.txt"))
    ]
    assert len(batches) == processes
    assert len({len(process_batches) for process_batches in batches}) == 1
    expected = Counter([*range(1, SENTENCES + 1), 40])
    step_size = processes * batch * accumulated
    epoch_length = -(-len(expected) // step_size) * accumulated
    assert len(batches[0]) == 3 * epoch_length
    orders = []
    for epoch in range(3):
        part = slice(epoch * epoch_length, (epoch + 1) * epoch_length)
        seen = [n for process_batches in batches for batch in process_batches[part] for n in batch]
        assert Counter(seen) == expected
        assert max(len(windows) for of_process in batches for windows in of_process[part]) == batch
        orders.append(seen)
    return orders


def record_run(folder: Path, padded: bool) -> None:
    record_batches(folder)
    if padded:
        need_padding()


@pytest.mark.parametrize("script", BOTH)
def test_every_sentence_counts_once_per_epoch(script, encoder, tmp_path):
    orders = every_sentence_once(script, encoder, tmp_path, (2, 3, 2))
    assert orders[0] != orders[1] != orders[2]  # shuffled in each epoch


@pytest.mark.parametrize("script", BOTH)
def test_only_networks_that_need_padding_train_on_pools_of_like_lengths(script, encoder, tmp_path):
    """The 32 sentences in steps of 4 are one pool: each step has sentences of similar length."""
    random = every_sentence_once(script, encoder, tmp_path / "random", (1, 4, 1))
    pools = every_sentence_once(script, encoder, tmp_path / "pools", (1, 4, 1), padded=True)
    spread = [np.array(orders).reshape(-1, 4).std(axis=1).mean() for orders in (random, pools)]
    assert spread[1] < 0.75 * spread[0]


@pytest.mark.exhaustive
@pytest.mark.parametrize("grouping", [[], ["--group_by_length"]], ids=["random", "grouped"])
@pytest.mark.parametrize(
    "processes,batch,accumulated", [(1, 5, 1), (2, 5, 3), (3, 2, 2), (4, 3, 1)]
)
@pytest.mark.parametrize("script", BOTH)
def test_every_sentence_matrix(script, processes, batch, accumulated, grouping, encoder, tmp_path):
    grid = (processes, batch, accumulated)
    every_sentence_once(script, encoder, tmp_path, grid, *grouping)


# --- Processes without a process group ------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_lone_processes_are_refused(script, encoder, corpus, snapshot, tmp_path):
    """Plain torchrun without a GPU starts two jobs that both think they are rank 0."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("with GPUs the processes form a group")
    flags = ["--model_name_or_path", encoder, *corpus, "--output_dir", "out"]
    output = run(script, flags, tmp_path, processes=2, status=2, ACCELERATE_USE_CPU="false")
    message = error_message(output)
    assert re.search(rf"ACCELERATE_USE_CPU=true torchrun --nproc_per_node 2 .*{script}", message)
    assert stable(message, tmp_path, ROOT) == snapshot
    assert not (tmp_path / "out").exists()


# --- Architectures --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def xlnet(tmp_path_factory) -> Path:
    """A tiny XLNet, in which a step leaves some parameters without a gradient."""
    (architecture,) = (item for item in ARCHITECTURES if str(item) == "xlnet")
    return build(architecture, tmp_path_factory.mktemp("xlnet"))


def test_a_model_with_unused_parameters_trains_on_two_processes(corpus, xlnet, tmp_path):
    flags = ["--model_name_or_path", xlnet, *corpus, *SETTINGS, "--max_seq_length", 32]
    flags += ["--max_steps", 4, "--per_device_train_batch_size", 4, "--output_dir", "out"]
    for script in BOTH:
        run(script, flags, tmp_path / script, processes=2)
        assert len(losses(tmp_path / script / "out")) == 4
    by_loop, by_trainer = (losses(tmp_path / script / "out") for script in BOTH)
    np.testing.assert_allclose(by_loop, by_trainer, rtol=1e-4)
