"""Saved weights are loaded back exactly, whatever names transformers stores them under."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, AutoTokenizer, T5Config

from encoder.cpu.embeddings import train_occurring_rows
from support.errors import UserError
from training.weights import STATE_FILE, load_weights, save_model, save_state_dict

LEGACY = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


def legacy_names(encoder: Path, folder: Path) -> Path:
    """Copy an encoder into `folder`, its weights under the names of BERT's first checkpoints."""
    folder.mkdir()
    for file in encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    renamed = {}
    for name, weight in weights.items():
        for new, old in LEGACY.items():
            name = name.replace(new, old)
        renamed[name] = weight
    assert renamed.keys() != weights.keys()
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def model_of(encoder: Path):
    return AutoModelForTokenClassification.from_pretrained(encoder, num_labels=5, dtype="float32")


def scrambled(model):
    """Return the model with random weights."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_()
    return model


def t5(encoder: Path):
    """Return a tiny model that uses one weight under two names."""
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    config = T5Config(vocab_size=64, num_labels=5, **sizes)
    return AutoModelForTokenClassification.from_config(config)


def some_rows(encoder: Path):
    model = model_of(encoder)
    train_occurring_rows(model, [5, 6, 7])
    return model


@pytest.fixture(scope="module")
def legacy_encoder(tiny_encoder, tmp_path_factory) -> Path:
    return legacy_names(tiny_encoder, tmp_path_factory.mktemp("legacy") / "bert")


@pytest.mark.parametrize(
    "make,encoder,needs_second_file",
    [
        (model_of, "tiny_encoder", False),
        (some_rows, "tiny_encoder", False),
        (model_of, "legacy_encoder", True),
        (some_rows, "legacy_encoder", True),
        (t5, "tiny_encoder", False),
    ],
)
def test_resuming_and_from_pretrained_read_the_same_model(
    make, encoder, needs_second_file, request, tmp_path
):
    encoder = request.getfixturevalue(encoder)
    tokenizer, accelerator = AutoTokenizer.from_pretrained(encoder), Accelerator(cpu=True)
    model = scrambled(make(encoder)).eval()
    save_model(accelerator, model, tokenizer, tmp_path, 1)
    save_state_dict(accelerator, model, tmp_path)
    assert (tmp_path / STATE_FILE).exists() == needs_second_file
    resumed = scrambled(make(encoder)).eval()
    load_weights(resumed, tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    for name, weight in model.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weight), name
        assert torch.equal(loaded.state_dict()[name], weight), name
    ids = torch.arange(20).reshape(2, 10)
    assert torch.equal(resumed(ids).logits, model(ids).logits)


def test_a_load_that_would_skip_a_name_fails(tiny_encoder, tmp_path):
    model, accelerator = model_of(tiny_encoder), Accelerator(cpu=True)
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    save_model(accelerator, model, tokenizer, tmp_path, 1)
    weights = load_file(tmp_path / "model.safetensors")
    weights["another.weight"] = weights.pop("classifier.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=r"missing \['classifier.weight'\].*another.weight"):
        load_weights(model, tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_model_is_not_saved(value, tiny_encoder, tmp_path):
    model = model_of(tiny_encoder)
    with torch.no_grad():
        model.classifier.bias[1] = value
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    with pytest.raises(UserError, match=r"diverged: classifier.bias is not finite after step 7"):
        save_model(Accelerator(cpu=True), model, tokenizer, tmp_path, 7)
    assert not list(tmp_path.iterdir())
