"""Dropout on a CPU against its definition and torch's own."""

import copy
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForTokenClassification
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from encoder.cpu.dropout import CpuDropout, attention, use_cpu_dropout
from encoder.model import load_config, load_model
from settings.run_settings import ModelSettings
from tests.helpers.architectures import ARCHITECTURES, build
from tests.helpers.models import ENTITY_LABELS

CPU = torch.device("cpu")


def test_dropout_on_a_cpu():
    """The share of zeros and the scale are those of the definition, forward and backward."""
    torch.manual_seed(0)
    for probability in (0.1, 0.5, 1e-6, 1.0):
        layer, values = CpuDropout(probability), torch.ones(999, 1001, requires_grad=True)
        result = layer(values)
        kept = result != 0
        deviation = (probability * (1 - probability) / values.numel()) ** 0.5
        assert abs(1 - kept.float().mean().item() - probability) <= 5 * deviation + 2**-17
        if probability < 1:
            assert torch.allclose(result[kept], torch.tensor(1 / (1 - probability)), rtol=2**-15)
        result.sum().backward()
        assert torch.equal(values.grad, result.detach())
        assert layer.eval()(values) is values
    # No position is like its neighbours: four come of one drawn number.
    kept = (CpuDropout(0.5)(torch.ones(100_000, 4)) != 0).float()
    assert (torch.corrcoef(kept.T) - torch.eye(4)).abs().max() < 0.02
    for odd in (torch.ones(0), torch.ones(7, dtype=torch.bfloat16), torch.ones(3, 5).T):
        result = CpuDropout(0.5)(odd)
        assert result.shape == odd.shape
        assert result.dtype == odd.dtype
        assert set(result.flatten().tolist()) <= {0.0, 2.0}


def test_dropout_is_chosen_by_the_device(tiny_encoder):
    """On a GPU torch's own is faster; the probability stays the model's."""
    settings = ModelSettings(str(tiny_encoder))
    config = load_config(settings, ENTITY_LABELS, do_train=True)
    config.hidden_dropout_prob = 0.25
    for device, kind in ((CPU, CpuDropout), (torch.device("cuda"), torch.nn.Dropout)):
        model = load_model(settings, config, device, do_train=True)
        layers = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
        assert {type(layer) for layer in layers} == {kind}
        assert {layer.p for layer in layers} == {0.25, config.attention_probs_dropout_prob}
        on_cpu = kind is CpuDropout
        assert model.config._attn_implementation == ("cpu_dropout" if on_cpu else "sdpa")
        assert "attn" not in model.config.to_json_string()


def heads(batch: int, number: int, tokens: int) -> torch.Tensor:
    return torch.randn(batch, number, tokens, 8, requires_grad=True)


@pytest.mark.parametrize("masked", ["by bool", "by numbers", "not"])
@pytest.mark.parametrize("scaling", [None, 0.1])
def test_attention_that_drops_nothing_equals_sdpa(masked, scaling):
    """A probability that rounds to 0 runs the code of dropout and computes what `sdpa` computes."""
    torch.manual_seed(0)
    parts = [heads(2, 3, 7) for _ in range(3)]
    seen = torch.ones(2, 1, 1, 7, dtype=torch.bool)
    seen[1, ..., 4:] = False
    mask = {"by bool": seen, "by numbers": torch.zeros(2, 1, 1, 7).masked_fill(~seen, -1e9)}
    module = SimpleNamespace(is_causal=False)
    results = []
    for probability in (1e-9, 0.0):
        result, _ = attention(module, *parts, mask.get(masked), probability, scaling)
        results.append((result, *torch.autograd.grad(result.square().sum(), parts)))
    assert results[0][0].shape == (2, 7, 3, 8)
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("by", ["bool", "numbers"])
@pytest.mark.parametrize("shape", [(2, 1, 7, 7), (2, 3, 7, 7), (1, 1, 7, 7)])
@pytest.mark.parametrize("some_see_nothing", [True, False])
def test_tokens_that_see_no_key_are_those_of_sdpa(by, shape, some_see_nothing):
    """Padding on the left with causal attention, and padding beyond a local window, see no key."""
    torch.manual_seed(0)
    parts = [heads(2, 3, 7) for _ in range(3)]
    seen = torch.ones(shape, dtype=torch.bool).tril()
    if some_see_nothing:
        seen[-1, ..., :3] = False  # the first three keys; the first three tokens see no other
        assert (~seen.any(-1)).any()
    mask = seen if by == "bool" else torch.zeros(shape).masked_fill(~seen, -torch.inf)
    module = SimpleNamespace(is_causal=False)
    results = []
    for probability in (1e-9, 0.0):
        result, _ = attention(module, *parts, mask, probability)
        results.append((result, *torch.autograd.grad(result.square().sum(), parts)))
    for ours, theirs in zip(*results, strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, theirs)
    if some_see_nothing:
        assert results[0][0][-1, :3].eq(0).all()


def test_attention_drops_weights_at_its_rate():
    """With equal weights, the sum of those kept is the share kept, on average."""
    torch.manual_seed(0)
    zeros, ones = torch.zeros(8, 4, 50, 16), torch.ones(8, 4, 50, 16)
    result, _ = attention(SimpleNamespace(is_causal=False), zeros, zeros, ones, None, 0.25)
    kept = result[..., 0] * 50 * 0.75  # of 50 weights
    torch.testing.assert_close(kept, kept.round(), rtol=0, atol=1e-3)
    assert abs(kept.mean() / 50 - 0.75) < 5 * (0.75 * 0.25 / (8 * 4 * 50 * 50)) ** 0.5
    assert torch.equal(result, result[..., :1].expand_as(result))


@pytest.mark.parametrize("kind", ["causal", "grouped heads"])
def test_attention_of_decoders_is_left_to_torch(kind):
    torch.manual_seed(0)
    query, key, value = heads(2, 4, 7), *(heads(2, 2, 7) for _ in range(2))
    module = SimpleNamespace(is_causal=kind == "causal", num_key_value_groups=2)
    if kind == "causal":
        key, value, module.num_key_value_groups = heads(2, 4, 7), heads(2, 4, 7), 1
    outputs = []
    for function in (attention, sdpa_attention_forward):
        torch.manual_seed(1)
        outputs.append(function(module, query, key, value, None, dropout=0.5)[0])
    assert torch.equal(*outputs)


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_all_architectures_compute_the_same_apart_from_dropout(architecture, tmp_path, monkeypatch):
    """A network in training whose dropout drops nothing, and a network of torch in evaluation."""
    plain = AutoModelForTokenClassification.from_pretrained(build(architecture, tmp_path)).eval()
    fast = copy.deepcopy(plain).train()
    use_cpu_dropout(fast)
    ids = torch.randint(5, 100, (2, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0
    sdpa = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr("encoder.cpu.dropout.drop", lambda values, probability: values)
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda values, *_, **__: values)
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, dropout_p=0.0, **options: sdpa(*args, **options),
    )
    results = []
    for network in (plain, fast):
        logits = network(input_ids=ids, attention_mask=mask).logits[mask.bool()]
        logits.logsumexp(-1).sum().backward()
        gradients = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
        results.append((logits.detach(), gradients))
    (logits, gradients), (fast_logits, fast_gradients) = results
    torch.testing.assert_close(fast_logits, logits, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == fast_gradients.keys()
    largest = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        difference = (gradient - fast_gradients[name]).abs().max()
        assert difference <= 1e-5 * largest, name
