"""Every architecture for token classification: both scripts train it, exactly, or refuse it.

The models are tiny and random, see tests/helpers/architectures.py. Six run by default, all of them
with -m exhaustive.
"""

import math
import re
import signal
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from scoring.word_predictions import WordPredictions
from tests.helpers.architectures import (
    ARCHITECTURES,
    REFUSED,
    UNPADDED,
    WINDOW,
    WITHOUT_BF16,
    WITHOUT_GRADIENT_CHECKPOINTING,
    Architecture,
    build,
    sample_split,
    save_configuration,
    set_dropout,
    write_sample_corpus,
)
from tests.helpers.checkpoints import history
from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    ROOT,
    SEED_STEP,
    TRAINER,
    Run,
    error_message,
    facts,
    interrupt,
    shows_all_words_scored,
    trains_without_padding,
    weights,
)

DEFAULT = (
    "bert-legacy", "roberta-full", "deberta-v2", "modernbert", "mpnet", "gpt2-left",
    "luke",  # refused
)  # fmt: skip
TIGHT = 1e-5  # difference between weights of about 0.1, which change by about 0.01
KILLED_STEP = 8  # in the middle of the second epoch
# A large weight decay shows which parameters decay. The slow start gives the first epoch the
# largest loss, which is the one to keep, and a head that still predicts many tags.
FLAGS = [
    *("--num_train_epochs", 3, "--learning_rate", 2e-3, "--warmup_steps", 16),
    *("--per_device_train_batch_size", 8, "--per_device_eval_batch_size", 6),
    *("--weight_decay", 0.5, "--mixed_precision", "no", "--logging_steps", 1),
    *("--output_dir", "out"),
]
KEEPS_FIRST = [
    *("--load_best_model_at_end", "--metric_for_best_model", "loss"),
    *("--greater_is_better", "true", "--save_total_limit", 9),
]


class Runs:
    """The runs of an architecture with both scripts, each made when it is first needed."""

    def __init__(self, architecture: Architecture, folder: Path):
        """Write the corpus; the model is in `folder`/model."""
        self.architecture, self.folder = architecture, folder
        corpus = write_sample_corpus(folder / "corpus")
        self.flags = [*corpus, "--model_name_or_path", folder / "model", *FLAGS]
        if architecture.window is not None:
            self.flags += ["--max_seq_length", architecture.window]

    def run(self, name: str, *flags, before=None) -> tuple[dict[str, int], dict[str, str]]:
        """Run both scripts in `name`, at the same time; return status and output by script."""
        started = {
            script: Run(script, [*self.flags, *flags], self.folder / name / script, before=before)
            for script in BOTH
        }
        statuses = {script: run.wait()[0] for script, run in started.items()}
        return statuses, {script: run.output for script, run in started.items()}

    def out(self, name: str, script: str) -> Path:
        """Return the output folder of a script's run."""
        return self.folder / name / script / "out"

    @cached_property
    def _straight(self):
        return self.run("straight", *KEEPS_FIRST)

    @cached_property
    def _resumed(self):
        before = partial(interrupt, SEED_STEP, KILLED_STEP, signal.SIGTERM)
        killed = self.run("resumed", *KEEPS_FIRST, before=before)
        if set(killed[0].values()) != {128 + signal.SIGTERM}:
            return killed
        return self.run("resumed", *KEEPS_FIRST, "--resume_from_checkpoint")

    def straight(self, script: str) -> tuple[Path, str]:
        """Train to the end and keep the best epoch; return output folder and output."""
        return self.finished("straight", script, *self._straight)

    def resumed(self, script: str) -> tuple[Path, str]:
        """The same, but ended by SIGTERM after a step in mid-epoch, and resumed."""
        return self.finished("resumed", script, *self._resumed)

    def finished(
        self, name: str, script: str, statuses: dict[str, int], outputs: dict[str, str]
    ) -> tuple[Path, str]:
        """Return output folder and output of a script; assert that it has finished."""
        assert statuses[script] == 0, f"status {statuses[script]}\n{outputs[script][-2500:]}"
        return self.out(name, script), outputs[script]

    def works_or_is_refused(self, name: str, *flags) -> dict[str, Path] | None:
        """Run both scripts; return their output folders, or None if they refuse.

        Refusing is one message that names the architecture, exit status 2, no file.
        """
        statuses, outputs = self.run(name, *flags)
        if set(statuses.values()) != {2}:
            return {script: self.finished(name, script, statuses, outputs)[0] for script in BOTH}
        for output in outputs.values():
            print(f"{self.architecture}: {error_message(output)}")
            assert names(error_message(output), self.architecture)
        assert not any(self.out(name, script).exists() for script in BOTH)
        return None


def selected(architectures: list[Architecture]) -> list:
    """Return the architectures as parameters; all but the default ones are exhaustive."""
    return [
        pytest.param(a, id=str(a), marks=[] if str(a) in DEFAULT else [pytest.mark.exhaustive])
        for a in architectures
    ]


@pytest.fixture(scope="module", params=selected(ARCHITECTURES))
def runs(request, one_thread, tmp_path_factory) -> Runs:
    """Return the runs of an architecture."""
    folder = tmp_path_factory.mktemp("runs")
    build(request.param, folder / "model")
    return Runs(request.param, folder)


def names(message: str, architecture: Architecture) -> bool:
    """Return whether a message names the architecture, by its type or its class."""
    plain = re.sub(r"[-_]", "", message).lower()
    return re.sub(r"[-_]", "", architecture.model_type) in plain


def checkpoint_at(folder: Path, script: str, row: dict) -> Path:
    """Return the checkpoint of an epoch, given by its row of the history."""
    name = f"checkpoint-{row['step']}" if script == TRAINER else f"epoch_{row['epoch']}"
    return folder / name


def predictions(folder: Path) -> list[list[list[str]]]:
    """Return the rows of predictions.txt by sentence: word, gold tag, predicted tag."""
    text = (folder / "predictions.txt").read_text(encoding="utf-8")
    return [[line.split() for line in part.split("\n")] for part in text.strip().split("\n\n")]


def difference(first: Path, second: Path) -> float:
    """Return the greatest difference between the parameters of two saved models."""
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[name] - theirs[name]).max(initial=0)) for name in ours)


# --- Training ---------------------------------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_all_words_are_scored(script, runs):
    out, output = runs.straight(script)
    for split in ("validation", "test"):
        assert shows_all_words_scored(output, sum(map(len, sample_split(split))))
    words_and_gold = [[row[:2] for row in sentence] for sentence in predictions(out)]
    assert words_and_gold == [[list(row) for row in sentence] for sentence in sample_split("test")]


def test_both_scripts_give_the_same(runs):
    outs = {script: runs.straight(script)[0] for script in BOTH}
    loop, trainer = outs.values()
    row = facts(loop)["history"][-1]
    last = [checkpoint_at(out, script, row) for script, out in outs.items()]
    assert difference(loop, trainer) < TIGHT
    assert difference(*last) < TIGHT
    assert difference(loop, last[0]) > TIGHT, "the weights never changed"
    assert history(loop) == pytest.approx(history(trainer), rel=1e-4)
    assert predictions(loop) == predictions(trainer)
    assert len({row[2] for sentence in predictions(loop) for row in sentence}) > 1


@pytest.mark.parametrize("script", BOTH)
def test_killed_and_resumed_equals_straight(script, runs):
    (straight, _), (resumed, _) = runs.straight(script), runs.resumed(script)
    rows = facts(straight)["history"]
    assert (KILLED_STEP + 1) % rows[0]["step"], "not in mid-epoch"
    assert weights(straight) == weights(resumed)
    for row in rows[1:]:
        epoch = [checkpoint_at(folder, script, row) for folder in (straight, resumed)]
        assert weights(epoch[0]) == weights(epoch[1])
    assert predictions(straight) == predictions(resumed)
    assert history(resumed) == pytest.approx(history(straight), rel=1e-6)


@pytest.mark.parametrize("script", BOTH)
@pytest.mark.parametrize("session", ["straight", "resumed"])
def test_exactly_the_best_epoch_is_kept(session, script, runs):
    out, _ = getattr(runs, session)(script)
    rows = facts(out)["history"]
    best = max(rows, key=lambda row: row["eval_loss"])
    assert len(rows) == 3 and best is not rows[-1], "the best epoch must not be the last"
    assert weights(out) == weights(checkpoint_at(out, script, best))
    assert facts(out)["scores"]["validation"]["loss"] == pytest.approx(best["eval_loss"])


# --- Without padding --------------------------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_exactly_these_architectures_train_without_padding(script, runs):
    """Those that are compared with each other, and killed and resumed."""
    for session in (runs.straight, runs.resumed):
        unpadded = trains_without_padding(session(script)[1])
        assert unpadded == (runs.architecture.model_type in UNPADDED)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("architecture", selected(ARCHITECTURES))
def test_steps_without_padding_equal_padded_steps(architecture, tmp_path):
    """The same windows in the same order, without dropout, as both scripts compute them.

    By SGD: AdamW enlarges the rounding of gradients that are 0.
    """
    from encoder.collate import JoinWindows, make_collator
    from encoder.traits import observe_traits

    build(architecture, tmp_path)
    trained, evaluated = [], []
    for unpadded in (True, False):
        network, tokenizer, windows = load_for_training(tmp_path, architecture.window or 30)
        first = {name: value.clone() for name, value in network.state_dict().items()}
        traits = observe_traits(network, tokenizer, WINDOW, try_unpadded=unpadded)
        assert traits.unpadded == (unpadded and architecture.model_type in UNPADDED)
        collate = make_collator(tokenizer, traits, network.device)
        assert isinstance(collate, JoinWindows) == traits.unpadded
        if traits.unpadded:
            collate.padded_pairs = 500.0  # several blocks of these short windows
        train(network, [collate(windows[i : i + 8]) for i in range(0, len(windows), 8)])
        trained.append(network.state_dict())
        evaluated.append(probabilities(network, collate, windows))
    change = max(float((trained[0][name] - value).abs().max()) for name, value in first.items())
    assert change > 0.01
    for name, value in trained[0].items():
        np.testing.assert_allclose(value, trained[1][name], rtol=1e-4, atol=TIGHT, err_msg=name)
    np.testing.assert_allclose(*evaluated, rtol=0, atol=TIGHT)


def load_for_training(folder: Path, window: int) -> tuple:
    """Return a network as both scripts load it, without dropout; its tokenizer; its windows."""
    import torch

    from common import IGNORED, inside_labels, tokenize_and_align_labels
    from encoder.model import load_config, load_model
    from encoder.tokenizer import load_tokenizer
    from settings.run_settings import ModelSettings

    sentences = sample_split("train")
    labels = sorted({tag for sentence in sentences for _, tag in sentence})
    settings = ModelSettings(str(folder))
    tokenizer = load_tokenizer(str(folder))
    columns = tokenize_and_align_labels(
        {
            "tokens": [[word for word, _ in sentence] for sentence in sentences],
            "labels": [[labels.index(tag) for _, tag in sentence] for sentence in sentences],
        },
        tokenizer,
        window,
        inside_labels(labels),
        None,
    )
    names = [name for name in columns if name not in ("length", "words", "part")]
    windows = [
        dict(zip(names, values, strict=True))
        for values in zip(*(columns[name] for name in names), strict=True)
    ]
    for start, row in enumerate(windows):  # a word for each labelled sub-word
        row["word_index"] = [
            IGNORED if label == IGNORED else 1000 * start + i
            for i, label in enumerate(row["labels"])
        ]
    torch.manual_seed(0)
    network = load_model(
        settings,
        load_config(settings, labels, do_train=True),
        torch.device("cpu"),
        do_train=True,
        train_token_ids=np.unique([i for row in windows for i in row["input_ids"]]),
    )
    set_dropout(network, 0.0)
    return network, tokenizer, windows


def train(network, batches: list[dict]) -> None:
    """Train a step on each batch, with clipped gradients."""
    import torch

    from common import token_loss

    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    network.train()
    for batch in batches:
        inputs = {name: value for name, value in batch.items() if name != "word_index"}
        labels = inputs.pop("labels")
        token_loss(network(**inputs).logits, labels, 100).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def probabilities(network, collate, windows: list[dict]) -> np.ndarray:
    """Return the probability of the best tag of each labelled sub-word, in order."""
    from common import predict_batch

    network.eval()
    names = list(network.config.id2label.values())
    predictions = WordPredictions(1000 * len(windows), names, decode=False)
    for start in range(0, len(windows), 6):
        predictions.add(*predict_batch(network, collate(windows[start : start + 6])))
    return predictions.probabilities[predictions.tag_ids >= 0]


# --- What is saved ----------------------------------------------------------------------------


@pytest.mark.parametrize("script", BOTH)
def test_libraries_load_what_was_saved(script, runs):
    """`from_pretrained` finds every parameter, and `pipeline` tags with them."""
    from transformers import AutoModelForTokenClassification, pipeline

    out, _ = runs.straight(script)
    network, report = AutoModelForTokenClassification.from_pretrained(out, output_loading_info=True)
    assert not any(report.values()), report
    network.save_pretrained(runs.folder / "again" / script)
    assert weights(runs.folder / "again" / script) == weights(out)
    text = "Peter Blackburn went from Paris to New York."
    rows = pipeline("token-classification", model=str(out), ignore_labels=[])(text)
    assert {row["entity"] for row in rows} <= set(network.config.label2id)
    assert len(rows) >= len(text.split()) and all(0 < row["score"] <= 1 for row in rows)


@pytest.mark.parametrize("script", BOTH)
def test_tagging_equals_evaluation(script, runs):
    """Words get the tags that evaluation gave them, in batches and one window at a time."""
    from tagging.tagger import Tagger

    out, _ = runs.straight(script)
    evaluated = [[row[2] for row in sentence] for sentence in predictions(out)]
    words = [[word for word, _ in sentence] for sentence in sample_split("test")]
    batched = Tagger(out).tag_words(words)
    alone = Tagger(out, batch_tokens=1).tag_words(words)
    assert [tags for tags, _ in batched] == evaluated
    assert [tags for tags, _ in alone] == evaluated
    for (_, ours), (_, theirs) in zip(batched, alone, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


# --- Precision and memory ---------------------------------------------------------------------


def test_bf16_works_or_is_refused(runs):
    outs = runs.works_or_is_refused("bf16", "--mixed_precision", "bf16")
    assert (outs is None) == (runs.architecture.model_type in WITHOUT_BF16)
    for out in (outs or {}).values():
        saved = load_file(out / "model.safetensors")
        assert all(np.isfinite(values).all() for values in saved.values())
        assert all(values.dtype == np.float32 for values in saved.values())
        assert all(math.isfinite(row["loss"]) for row in facts(out)["step_losses"])
        assert len(predictions(out)) == len(sample_split("test"))


def test_gradient_checkpointing_works_or_is_refused(runs):
    """It changes how gradients are computed, but not the gradients."""
    outs = runs.works_or_is_refused("checkpointing", *KEEPS_FIRST, "--gradient_checkpointing")
    assert (outs is None) == (runs.architecture.model_type in WITHOUT_GRADIENT_CHECKPOINTING)
    for script, out in (outs or {}).items():
        straight, _ = runs.straight(script)
        row = facts(straight)["history"][-1]
        last = [checkpoint_at(folder, script, row) for folder in (straight, out)]
        # AdamW enlarges the rounding of gradients that are 0, such as those of the keys' bias.
        assert difference(*last) < 100 * TIGHT


# --- Refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", selected(REFUSED))
def test_unsupported_architecture_is_refused(architecture, tmp_path):
    """By name and reason, before the weights are loaded: there are none.

    The reasons are in the snapshots of tests/encoder.
    """
    save_configuration(architecture, tmp_path / "model")
    statuses, outputs = Runs(architecture, tmp_path).run("refused")
    assert statuses == dict.fromkeys(BOTH, 2), outputs
    messages = {stable(error_message(output), tmp_path) for output in outputs.values()}
    assert len(messages) == 1
    assert names(messages.pop(), architecture)
    assert not list(tmp_path.glob("refused/*/out"))


def test_the_page_of_encoders_lists_the_architectures_without_padding():
    text = (ROOT / "docs" / "encoders.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S+) \| (yes|no) \|", text, re.M))
    expected = {str(a): "yes" if a.model_type in UNPADDED else "no" for a in ARCHITECTURES}
    assert rows == expected


def test_every_architecture_has_its_row():
    """An architecture that transformers adds fails here until somebody has classified it."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as model_types,
    )

    rows = {a.model_type for a in (*ARCHITECTURES, *REFUSED)}
    assert rows == set(model_types)
