"""LoRA: the network with its adapter, the merged one, and peft's own compute the same."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForTokenClassification

from encoder.layers import freeze_layers
from encoder.lora import (
    add_adapter,
    check_lora,
    has_adapter,
    load_adapter,
    merge_adapter,
    merged_weights,
    save_adapter,
)
from support.errors import UserError
from tests.helpers.architectures import (
    ARCHITECTURES,
    build,
    each_architecture,
    save_configuration,
    set_dropout,
)
from tests.helpers.messages import stable

pytest.importorskip("peft", reason="optional: pip install peft")
# Their layers have no linear layers: SqueezeBERT's are convolutions, I-BERT's quantized.
WITHOUT_LINEAR_LAYERS = {"squeezebert", "ibert"}
# Mixtures of experts whose linear layers peft mistakes for those of older versions.
REFUSED_BY_PEFT = {"beam", "deepseek_v3", "qwen3_next"}
TOKEN_IDS = torch.arange(5, 17)[None]


def network_of(folder):
    torch.manual_seed(0)
    return AutoModelForTokenClassification.from_pretrained(
        folder, num_labels=5, dtype="float32"
    ).eval()


def scrambled(network):
    """Return the network with random matrices and a random head."""
    with torch.no_grad():
        for weight in network.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.1)
    return network


def scrambled_adapter(folder):
    """Return a network with an adapter of rank 4 and random weights, as if it were trained."""
    network = network_of(folder)
    add_adapter(network, 4, None)
    return scrambled(network)


def logits(network) -> torch.Tensor:
    with torch.no_grad():
        return network(input_ids=TOKEN_IDS, attention_mask=torch.ones_like(TOKEN_IDS)).logits


def test_at_first_nothing_changes(tiny_encoder):
    network = network_of(tiny_encoder)
    before = logits(network)
    add_adapter(network, 4, None)
    assert torch.equal(logits(network), before)


def test_all_linear_layers_of_the_layers_and_the_head_are_trained(tiny_encoder):
    network = network_of(tiny_encoder)
    add_adapter(network, 4, None)
    linear = ["attention.self.query", "attention.self.key", "attention.self.value"]
    linear += ["attention.output.dense", "intermediate.dense", "output.dense"]
    expected = {
        f"bert.encoder.layer.{i}.{path}.lora_{side}.default.weight"
        for i in (0, 1)
        for path in linear
        for side in "AB"
    }
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert trained == expected | {"classifier.weight", "classifier.bias"}


def test_frozen_layers_get_no_matrices(tiny_encoder, snapshot):
    network = network_of(tiny_encoder)
    freeze_layers(network, 1, [5])
    add_adapter(network, 4, 1)
    adapted = {name.split(".")[3] for name, _ in network.named_parameters() if "lora_" in name}
    assert adapted == {"1"}
    with pytest.raises(UserError) as caught:
        check_lora(AutoConfig.from_pretrained(tiny_encoder), 4, 2)
    assert stable(caught.value, tiny_encoder) == snapshot


@pytest.mark.usefixtures("one_thread")
@each_architecture("bert-legacy", "gpt2-left", "modernvbert", "qwen3", "squeezebert")
def test_adapter_merged_weights_and_peft_agree(architecture, tmp_path):
    from peft import PeftModel

    build(architecture, tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    if config.model_type in WITHOUT_LINEAR_LAYERS | REFUSED_BY_PEFT:
        with pytest.raises(UserError):
            check_lora(config, 4, None)
        return
    random_state = torch.get_rng_state()
    check_lora(config, 4, None)
    assert torch.equal(torch.get_rng_state(), random_state)
    network = network_of(tmp_path)
    plain = {name: weight.clone() for name, weight in network.state_dict().items()}
    without = logits(network)
    add_adapter(network, 4, None)
    expected = logits(scrambled(network))
    assert (expected - without).abs().max() > 0.01
    tolerance = {"rtol": 1e-4, "atol": 1e-4 * float(expected.abs().max())}

    save_adapter(network, tmp_path / "adapter")
    by_peft = PeftModel.from_pretrained(network_of(tmp_path), tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(by_peft), expected, **tolerance)

    restored = network_of(tmp_path)
    add_adapter(restored, 4, None)
    load_adapter(restored, tmp_path / "adapter")
    assert torch.equal(logits(restored), expected)

    merged = dict(merged_weights(network, network.state_dict()))
    assert merged.keys() == plain.keys()
    merge_adapter(network)
    assert not has_adapter(network)
    assert network.state_dict().keys() == plain.keys()
    assert all(torch.equal(merged[name], value) for name, value in network.state_dict().items())
    torch.testing.assert_close(logits(network), expected, **tolerance)


def test_layers_that_peft_takes_for_others_are_refused(tmp_path, snapshot):
    (beam,) = (a for a in ARCHITECTURES if a.model_type == "beam")
    save_configuration(beam, tmp_path)
    with pytest.raises(UserError) as caught:
        check_lora(AutoConfig.from_pretrained(tmp_path), 4, None)
    assert stable(caught.value, tmp_path) == snapshot


def test_recomputed_activations_give_the_same_gradients(tiny_encoder):
    """Below the matrices nothing is trained, so the input of the layers has no gradient."""
    gradients = []
    for recompute in (False, True):
        network = scrambled_adapter(tiny_encoder)
        set_dropout(network, 0.0)
        if recompute:
            network.activation_checkpointing_enable()
        network.train()(input_ids=TOKEN_IDS).logits.logsumexp(-1).sum().backward()
        gradients.append({n: w.grad for n, w in network.named_parameters() if w.requires_grad})
    expected, ours = gradients
    assert ours.keys() == expected.keys() and any("lora_A" in name for name in ours)
    for name, gradient in ours.items():
        assert gradient.abs().sum() > 0, name
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_weights_that_changed_beside_the_adapter_are_refused(tiny_encoder, tmp_path, snapshot):
    network = scrambled_adapter(tiny_encoder)
    save_adapter(network, tmp_path)
    with torch.no_grad():
        network.bert.embeddings.word_embeddings.weight[7, 0] += 1e-3
    with pytest.raises(UserError) as caught:
        load_adapter(network, tmp_path)
    assert stable(caught.value, tmp_path, tiny_encoder) == snapshot


def test_an_adapter_of_another_rank_is_refused(tiny_encoder, tmp_path):
    network, other = network_of(tiny_encoder), network_of(tiny_encoder)
    add_adapter(network, 4, None)
    add_adapter(other, 2, None)
    save_adapter(network, tmp_path)
    with pytest.raises(RuntimeError):
        load_adapter(other, tmp_path)
