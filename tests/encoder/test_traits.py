"""Traits of a network, observed without changing what it computes."""

import random
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from encoder import collate
from encoder.attention import PREFIX
from encoder.cpu.dropout import use_cpu_dropout
from encoder.cpu.embeddings import train_occurring_rows
from encoder.positions import first_position
from encoder.tokenizer import load_tokenizer
from encoder.traits import Traits, observe_traits
from support.errors import UserError
from tests.helpers.architectures import ARCHITECTURES, UNPADDED, WINDOW, Architecture, build
from tests.helpers.messages import stable

pytestmark = pytest.mark.usefixtures("one_thread")

LEAKING = {"convbert", "fnet", "funnel", "nystromformer", "yoso"}
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
        *(("roberta", "roberta"), ("modernbert", "modernbert"), ("mistral", "llama")),
    ],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_traits(model_type, family, processes, tmp_path):
    traits, network = observed(Architecture(model_type, family), tmp_path, processes)
    check_traits(traits, network, processes > 1 and model_type in UNUSED)


def check_traits(traits: Traits, network, unused: bool) -> None:
    kind = network.config.model_type
    position = first_position(network)
    assert traits == Traits(kind in UNPADDED, position, kind in LEAKING, unused)
    named = str(network.config._attn_implementation).startswith(PREFIX)
    assert named == traits.unpadded
    assert (traits.note is None) == traits.unpadded


def test_the_note_says_what_cannot_hold(snapshot):
    def note(unpadded: bool, leaks: bool) -> str | None:
        return Traits(unpadded, 0, padding_leaks=leaks, unused_parameters=True).note

    assert note(unpadded=False, leaks=True) == snapshot
    assert note(unpadded=False, leaks=False) == snapshot
    assert note(unpadded=True, leaks=False) is None


@pytest.mark.parametrize("model_type", ["bert", "roberta", "convbert"])
def test_a_network_is_not_changed_unless_it_may_run_without_padding(model_type, tmp_path):
    """As for --pad_to_max_length."""
    family = "roberta" if model_type == "roberta" else "bert"
    build(Architecture(model_type, family), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path)
    before = network.config._attn_implementation
    traits = observe_traits(network, tokenizer, WINDOW, try_unpadded=False)
    assert not traits.unpadded
    assert traits.padding_leaks == (model_type in LEAKING)
    assert network.config._attn_implementation == before


def test_several_blocks_of_windows_are_tried(tmp_path, monkeypatch):
    """GPT-2 makes one row of the windows' mask: only the first block could be computed."""
    blocks = []
    make_layout = collate.make_layout

    def recording(*args):
        layout = make_layout(*args)
        blocks.append([block.padding is not None for block in layout.blocks])
        return layout

    monkeypatch.setattr(collate, "make_layout", recording)
    build(Architecture("gpt2", "gpt2"), tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tmp_path))
    for window_length in (24, 32, 48):
        assert not observe_traits(network, tokenizer, window_length).unpadded
        assert len(blocks[-1]) > 1
        assert any(blocks[-1][1:])


@pytest.mark.parametrize(("window_length", "longest"), [(512, 120), (100, 100), (16, 16)])
def test_windows_that_are_tried(window_length, longest, tmp_path, monkeypatch):
    """From a single word to twice what a layer with local attention sees: a mask may be wrong."""
    build(Architecture("modernbert", "modernbert", {"local_attention": 60}), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path)
    lengths = set()
    forward = network.forward

    def recording(**inputs):
        lengths.update(inputs["attention_mask"].sum(1).tolist())
        return forward(**inputs)

    monkeypatch.setattr(network, "forward", recording)
    assert observe_traits(network, tokenizer, window_length).unpadded
    assert (min(lengths), max(lengths)) == (3, longest)


@pytest.mark.parametrize(
    ("model_type", "family"), [("convbert", "bert"), ("roberta", "roberta"), ("mpnet", "mpnet")]
)
@pytest.mark.parametrize("training", [True, False])
def test_observing_leaves_no_trace(model_type, family, training, tmp_path):
    build(Architecture(model_type, family), tmp_path)
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


@pytest.mark.parametrize("model_type", ["convbert", "bert"])
def test_weights_in_pieces_are_gathered(model_type, tmp_path, monkeypatch):
    """As under DeepSpeed's ZeRO 3, where the parameters are empty before they are gathered."""
    build(Architecture(model_type, "bert"), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    network = AutoModelForTokenClassification.from_pretrained(tmp_path)
    whole = [parameter.data for parameter in network.parameters()]

    def scatter() -> None:
        for parameter in network.parameters():
            parameter.data = torch.empty(0)

    @contextmanager
    def gathered(parameters):
        for parameter, value in zip(parameters, whole, strict=True):
            parameter.data = value
        yield
        scatter()

    zero = SimpleNamespace(GatheredParameters=gathered)
    monkeypatch.setitem(sys.modules, "deepspeed", SimpleNamespace(zero=zero))
    scatter()
    traits = observe_traits(network, tokenizer, WINDOW, num_processes=2)
    check_traits(traits, network, unused=False)
    assert not any(parameter.numel() for parameter in network.parameters())


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
    traits, network = observed(architecture, tmp_path, 2)
    check_traits(traits, network, architecture.model_type in UNUSED)
