"""Freezing: every architecture's embeddings and first layers, or a message."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from encoder.layers import (
    check_freezing,
    check_layers,
    freeze_layers,
    layer_lists,
    weights_by_depth,
)
from settings.defaults import EMBEDDED_MODEL, embedded_encoder
from support.errors import UserError
from tests.helpers.architectures import ARCHITECTURES, build, each_architecture
from tests.helpers.messages import stable

# ALBERT's layers share their weights, Funnel's are in blocks, T5Gemma has a decoder too, and
# SqueezeBERT does not call its layers as modules.
WITHOUT_LAYERS = {"albert", "funnel", "t5gemma", "t5gemma2", "squeezebert"}


def network_of(folder):
    return AutoModelForTokenClassification.from_pretrained(folder, num_labels=5, dtype="float32")


ABOVE_LAYERS = {  # modules
    "bert": {"classifier"},
    "xlm-roberta": {"classifier"},
    "modernbert": {"model.final_norm", "head.dense", "head.norm", "classifier"},
    "xlm": {"classifier"},
    "t5": {"transformer.encoder.final_layer_norm", "classifier"},
    "qwen3": {"model.norm", "score"},
}


def names_of_trained(network) -> set[str]:
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def outputs_and_gradients(network, modules) -> list[bool]:
    """Run a step in training; return whether the output of each module needs a gradient."""
    needed = []
    hooks = [
        module.register_forward_hook(
            lambda module, args, output: needed.append(
                (output[0] if isinstance(output, tuple) else output).requires_grad
            )
        )
        for module in modules
    ]
    logits = network.train()(input_ids=torch.arange(5, 17)[None]).logits
    logits.logsumexp(-1).sum().backward()
    for hook in hooks:
        hook.remove()
    return needed


@pytest.mark.parametrize("num_frozen", [0, 1, 2])
def test_embeddings_and_first_layers_are_frozen(num_frozen, tiny_encoder):
    network = network_of(tiny_encoder)
    random_state, mode = torch.get_rng_state(), network.training
    freeze_layers(network, num_frozen, [5, 6, 7])
    assert torch.equal(torch.get_rng_state(), random_state) and network.training == mode
    frozen = ["bert.embeddings.", *(f"bert.encoder.layer.{i}." for i in range(num_frozen))]
    every = {name for name, _ in network.named_parameters()}
    expected = {name for name in every if not name.startswith(tuple(frozen))}
    assert names_of_trained(network) == expected
    layers = network.bert.encoder.layer
    needed = outputs_and_gradients(network, [network.bert.embeddings, *layers])
    assert needed == [False] * (num_frozen + 1) + [True] * (2 - num_frozen)
    assert {n for n, w in network.named_parameters() if w.grad is not None} == expected


@pytest.mark.usefixtures("one_thread")
@each_architecture("deberta-v2", "xlm", "modernvbert")
def test_each_architecture_freezes_or_is_refused(architecture, tmp_path):
    """The first of its two layers and all below; the second one and the head are trained."""
    build(architecture, tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    if config.model_type in WITHOUT_LAYERS:
        with pytest.raises(UserError):
            check_freezing(config, 1)
            freeze_layers(network_of(tmp_path), 1, [5])
        return
    check_freezing(config, 1)
    network = network_of(tmp_path)
    table = network.get_input_embeddings().weight if config.model_type != "canine" else None
    freeze_layers(network, 1, list(range(5, 17)))
    trained = {name: w.clone() for name, w in network.named_parameters() if w.requires_grad}
    frozen = {n: w.clone() for n, w in network.named_parameters() if not w.requires_grad}
    assert trained and frozen
    assert table is None or not table.requires_grad
    optimizer = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], 0.1)
    network.train()(input_ids=torch.arange(5, 17)[None]).logits.logsumexp(-1).sum().backward()
    optimizer.step()
    after = dict(network.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in frozen.items())
    changed = {name for name, weight in trained.items() if not torch.equal(after[name], weight)}
    assert any(name.split(".")[0] == network.base_model_prefix for name in changed)
    assert any(name.split(".")[0] != network.base_model_prefix for name in changed)


def test_encoders_of_images_have_no_layers_of_text(tmp_path):
    """ModernVBERT's two encoders have two layers each; text passes through one of them."""
    (modernvbert,) = (a for a in ARCHITECTURES if a.model_type == "modernvbert")
    build(modernvbert, tmp_path)
    network = network_of(tmp_path)
    assert [path for path, _ in layer_lists(network)] == ["model.text_model.layers"]
    freeze_layers(network, 1, [5])
    frozen = {name for name, w in network.named_parameters() if not w.requires_grad}
    assert frozen and all(
        name.startswith(("model.text_model.embeddings.", "model.text_model.layers.0."))
        for name in frozen
    )


def test_more_layers_than_there_are(tiny_encoder, snapshot):
    config = AutoConfig.from_pretrained(tiny_encoder)
    check_freezing(config, 2)
    with pytest.raises(UserError) as caught:
        check_freezing(config, 3)
    assert stable(caught.value, tiny_encoder) == snapshot


def test_the_embedded_encoder_is_named_as_elsewhere():
    config = AutoConfig.from_pretrained(embedded_encoder())
    with pytest.raises(UserError, match=rf"^{EMBEDDED_MODEL}: --freeze_layers 9: got 9 layers"):
        check_freezing(config, 9)


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "modernbert", "xlm", "t5", "qwen3"])
def test_weights_by_depth(model_type):
    """XLM-R registers its head first; XLM has a list for each part of a layer."""
    with torch.device("meta"):
        network = AutoModelForTokenClassification.from_config(AutoConfig.for_model(model_type))
    names = {weight: name for name, weight in network.named_parameters()}
    embeddings, *layers = weights_by_depth(network, "--layerwise_lr_decay 0.8")
    assert len(layers) == network.config.num_hidden_layers and all(layers)
    assert any("emb" in names[weight] or "shared" in names[weight] for weight in embeddings)
    above = names.keys() - {weight for weights in [embeddings, *layers] for weight in weights}
    assert {names[weight].rpartition(".")[0] for weight in above} == ABOVE_LAYERS[model_type]


def test_layers_that_cannot_be_located(snapshot):
    config = AutoConfig.for_model("funnel")
    with pytest.raises(UserError) as caught:
        check_layers(config, "--layerwise_lr_decay 0.8")
    assert str(caught.value) == snapshot


def test_layers_that_share_weights(tmp_path, snapshot):
    (albert,) = (a for a in ARCHITECTURES if a.model_type == "albert")
    build(albert, tmp_path)
    with pytest.raises(UserError) as caught:
        check_freezing(AutoConfig.from_pretrained(tmp_path), 1)
    assert stable(caught.value, tmp_path) == snapshot
