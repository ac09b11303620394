"""Traits of a network, observed without changing it."""

import random

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from encoder.cpu.dropout import use_cpu_dropout
from encoder.cpu.embeddings import train_occurring_rows
from encoder.traits import LEAKING_TYPES, Traits, observe_traits
from support.errors import UserError
from tests.helpers.architectures import ARCHITECTURES, WINDOW, Architecture, build
from tests.helpers.messages import stable

UNUSED = {
    *("axk2", "big_bird", "esm", "fnet", "layoutlm", "lilt", "longformer", "modernvbert"),
    *("qwen3_5", "qwen3_asr", "squeezebert", "t5gemma2", "ultravbert", "xlnet"),
}


def observed(architecture: Architecture, folder, num_processes: int) -> tuple[Traits, object]:
    """Return the traits of a tiny network, and the network, made as for training on a CPU."""
    from encoder.architecture import batch_independent

    build(architecture, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForTokenClassification.from_pretrained(folder).train()
    batch_independent(network.config)
    use_cpu_dropout(network)
    train_occurring_rows(network, list(range(5, 20)))
    return observe_traits(network, tokenizer, WINDOW, num_processes=num_processes), network


@pytest.mark.parametrize(
    ("model_type", "family"),
    [
        *(("bert", "bert"), ("xlnet", "xlnet"), ("gpt2", "gpt2-left")),
        *(("fnet", "fnet"), ("convbert", "bert"), ("funnel", "funnel")),
        *(("nystromformer", "albert"), ("yoso", "albert")),
    ],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_traits(model_type, family, processes, tmp_path):
    traits, network = observed(Architecture(model_type, family), tmp_path, processes)
    leaks = model_type in LEAKING_TYPES
    assert traits == Traits(leaks, processes > 1 and model_type in UNUSED)
    assert network.config.padding_leaks == leaks
    assert (traits.note is not None) == leaks


def test_the_note_says_what_cannot_hold(snapshot):
    assert Traits(padding_leaks=True, unused_parameters=False).note == snapshot
    assert Traits(padding_leaks=False, unused_parameters=True).note is None


@pytest.mark.parametrize("training", [True, False])
def test_observing_leaves_no_trace(training, tmp_path):
    build(Architecture("convbert", "bert"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path).train(training)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    gradient = torch.ones_like(network.classifier.bias)
    network.classifier.bias.grad = gradient
    states = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()
    observe_traits(network, tokenizer, WINDOW, num_processes=2)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (repr(np.random.get_state()), random.getstate())
    assert network.training == training
    assert network.classifier.bias.grad is gradient
    assert gradient.eq(1).all()
    assert sum(parameter.grad is not None for parameter in network.parameters()) == 1
    for name, value in network.state_dict().items():
        assert torch.equal(value, weights[name])


def test_a_dropped_layer_leaves_parameters_unused(tmp_path):
    always = Architecture("biogpt", "bert", {"layerdrop": 0.0})
    sometimes = Architecture("biogpt", "bert", {"layerdrop": 0.5})
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert not observed(always, tmp_path / "a", 2)[0].unused_parameters
    assert observed(sometimes, tmp_path / "b", 2)[0].unused_parameters


def test_padding_leaks_through_the_weights(tmp_path):
    """MobileBERT looks at the neighbouring sub-words, and at the row of the padding after them."""
    build(Architecture("mobilebert", "mobilebert"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path)
    table = network.get_input_embeddings().weight
    for value, leaks in ((0.0, False), (1.0, True)):
        torch.nn.init.constant_(table.data[tokenizer.pad_token_id], value)
        assert observe_traits(network, tokenizer, WINDOW).padding_leaks == leaks


def test_weights_in_pieces_are_judged_by_their_type(tmp_path):
    """As under DeepSpeed ZeRO 3, where parameters are empty before they are gathered."""
    build(Architecture("convbert", "bert"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path)
    for parameter in network.parameters():
        parameter.data = torch.empty(0)
    assert observe_traits(network, tokenizer, WINDOW, num_processes=2).padding_leaks


def test_a_network_that_needs_more_than_text_is_a_message(tmp_path, snapshot):
    """A model with its own code may be such a network; no list of types names it."""
    build(Architecture("bros", "bert"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path).train()
    with pytest.raises(UserError) as error:
        observe_traits(network, tokenizer, WINDOW)
    assert stable(error.value, tmp_path) == snapshot
    assert network.training


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_traits_of_all_architectures(architecture, tmp_path):
    traits, _ = observed(architecture, tmp_path, 2)
    kind = architecture.model_type
    assert traits == Traits(kind in LEAKING_TYPES, kind in UNUSED)
