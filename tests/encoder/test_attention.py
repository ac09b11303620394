"""Attention without padding against torch's own, window by window, and against padded batches."""

import copy
import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from transformers import AutoModelForTokenClassification, AutoTokenizer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from common import IGNORED, token_loss
from encoder.architecture import batch_independent
from encoder.attention import PREFIX, attend, let_run_unpadded
from encoder.collate import JoinWindows, PadBatch
from encoder.cpu import dropout as cpu_dropout
from encoder.cpu.dropout import use_cpu_dropout
from encoder.positions import first_position
from encoder.traits import observe_traits
from encoder.unpadded import make_layout
from tests.helpers.architectures import ARCHITECTURES, WINDOW, build, set_dropout

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = [11, 10, 6, 6, 5, 2, 1]
HEADS, WIDTH = 4, 8
TIGHT = {"rtol": 0, "atol": 1e-5}
ATTENTION = {"sdpa": sdpa_attention_forward, "cpu_dropout": cpu_dropout.attention}


def visible(kind: str, length: int) -> torch.Tensor | None:
    """Return which sub-words of a window see each other, (length, length), or None for all."""
    if kind == "bidirectional":
        return None
    distance = torch.arange(length)[:, None] - torch.arange(length)
    return (distance >= 0 if kind == "causal" else True) & (distance.abs() < 4)


# --- One call of attention --------------------------------------------------------------------


def operands(heads: int = HEADS) -> list[torch.Tensor]:
    """Return random queries, keys and values of the windows in one row."""
    torch.manual_seed(0)
    row = len(make_layout(LENGTHS).from_blocks)
    return [
        torch.randn(1, count, row, WIDTH, requires_grad=True) for count in (HEADS, heads, heads)
    ]


@pytest.mark.parametrize("padded_pairs", [0.0, 30.0, math.inf])
@pytest.mark.parametrize("kind", ["bidirectional", "causal", "local"])
@pytest.mark.parametrize("heads", [HEADS, 2])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention_and_its_gradient_are_those_of_each_window(name, heads, kind, padded_pairs):
    """Torch's own gradient of windows that are computed one by one, without a layout."""
    parts, layout = operands(heads), make_layout(LENGTHS, padded_pairs)
    mask = visible(kind, LENGTHS[0])
    if mask is not None:
        padding = torch.arange(LENGTHS[0]) < layout.lengths[:, None]
        mask = padding[:, None, None] & mask
    module = SimpleNamespace(is_causal=True, num_key_value_groups=HEADS // heads)
    result, weights = attend(ATTENTION[name], module, *parts, mask, windows=layout, dropout=0.0)
    assert weights is None
    assert result.shape == (1, parts[0].shape[2], HEADS, WIDTH)

    alone, start = [], 0
    for length in LENGTHS:
        window = [part[:, :, start : start + length] for part in parts]
        window[1:] = [part.repeat_interleave(HEADS // heads, 1) for part in window[1:]]
        own = torch.nn.functional.scaled_dot_product_attention(*window, visible(kind, length))
        alone.append(own.transpose(1, 2))
        start += length
    expected = torch.cat(alone, 1)
    torch.testing.assert_close(result[:, :start], expected, **TIGHT)
    weight = torch.randn_like(expected)
    gradients = torch.autograd.grad((result[:, :start] * weight).sum(), parts)
    theirs = torch.autograd.grad((expected * weight).sum(), parts)
    for gradient, by_torch in zip(gradients, theirs, strict=True):
        torch.testing.assert_close(gradient, by_torch, **TIGHT)
        assert gradient[:, :, start:].eq(0).all()  # of fillers
        assert gradient[:, :, :start].ne(0).any()


@pytest.mark.parametrize("heads", [HEADS, 2])
def test_a_kernel_for_windows_of_different_lengths_gets_the_windows(heads, monkeypatch):
    """In place of a GPU's, one that computes each window by itself."""

    def kernel(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale, enable_gqa):
        assert cu_seq_q is cu_seq_k and max_q == max_k == LENGTHS[0]
        parts = []
        for start, end in itertools.pairwise(cu_seq_q.tolist()):
            window = [values[start:end].transpose(0, 1) for values in (query, key, value)]
            own = torch.nn.functional.scaled_dot_product_attention(
                *window, scale=scale, enable_gqa=enable_gqa
            )
            parts.append(own.transpose(0, 1))
        return torch.cat(parts)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    parts, layout = operands(heads), make_layout(LENGTHS, 30.0)
    module = SimpleNamespace(is_causal=False, num_key_value_groups=HEADS // heads)
    results = []
    for on_gpu in (True, False):
        monkeypatch.setattr("encoder.attention.has_kernel", lambda *_, answer=on_gpu: answer)
        result, _ = attend(
            sdpa_attention_forward, module, *parts, None, windows=layout, scaling=0.2
        )
        own = result[:, : layout.num_tokens]
        gradients = torch.autograd.grad(own.square().sum(), parts)
        results.append((own, *gradients))
        assert result.shape == (1, parts[0].shape[2], HEADS, WIDTH)
    for by_kernel, in_blocks in zip(*results, strict=True):
        torch.testing.assert_close(by_kernel, in_blocks, **TIGHT)


@pytest.mark.parametrize("padded_pairs", [1500.0, math.inf])
def test_dropout_drops_inside_each_window(padded_pairs):
    """With equal weights, the sum of those kept is the share kept, on average, in each window."""
    torch.manual_seed(0)
    lengths = [60, 50, 30, 30]
    layout = make_layout(lengths, padded_pairs)
    row, heads = len(layout.from_blocks), 64
    zeros, ones = torch.zeros(1, heads, row, WIDTH), torch.ones(1, heads, row, WIDTH)
    module = SimpleNamespace(is_causal=False)

    def attended(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        own = attend(
            cpu_dropout.attention, module, zeros, zeros, ones, None, windows=layout, dropout=0.25
        )
        return own[0][0, : layout.num_tokens, :, 0]

    result = attended(1)
    assert torch.equal(result, attended(1))
    assert not torch.equal(result, attended(2))
    for length, window in zip(lengths, result.split(lengths), strict=True):
        kept = window * length * 0.75  # of the weights of a window
        torch.testing.assert_close(kept, kept.round(), rtol=0, atol=1e-3)
        deviation = (0.75 * 0.25 / (heads * length * length)) ** 0.5
        assert abs(kept.mean() / length - 0.75) < 5 * deviation
        assert kept.std() == pytest.approx((length * 0.75 * 0.25) ** 0.5, rel=0.1)
    assert not torch.equal(*result.split(lengths)[2:])  # two windows of one length


def test_a_position_bias_is_refused():
    """It is that of the row, not that of the windows; the network needs padded batches then."""
    bias = torch.zeros(1, HEADS, 40, 40)
    with pytest.raises(NotImplementedError):
        attend(
            sdpa_attention_forward,
            SimpleNamespace(is_causal=False),
            *operands(),
            None,
            windows=make_layout(LENGTHS),
            position_bias=bias,
        )


# --- Networks ---------------------------------------------------------------------------------

BY_NAME = {str(architecture): architecture for architecture in ARCHITECTURES}
NETWORKS = {  # by the sub-words that see each other
    "all": ["bert", "roberta", "distilbert"],
    "earlier": ["llama", "qwen2"],  # queries of several heads share keys
    "near": ["modernbert-long"],
    "near and earlier": ["mistral", "starcoder2"],
}
UNPADDED = [name for names in NETWORKS.values() for name in names]


def load(name: str, folder, fast: bool = True, **options):
    """Return a tiny network without dropout, and its tokenizer; `fast`: as in training on a CPU."""
    build(BY_NAME[name], folder)
    network = AutoModelForTokenClassification.from_pretrained(folder, **options)
    set_dropout(network, 0.0)
    batch_independent(network.config)
    if fast:
        use_cpu_dropout(network)
    return network, AutoTokenizer.from_pretrained(folder)


def windows_of(tokenizer, longest: int) -> list[dict]:
    """Return random windows with some labels, in no order of length."""
    draw = torch.Generator().manual_seed(0)
    windows = []
    for length in (5, longest, 3, longest - 1, 5, longest // 2, 1):
        ids = torch.randint(10, 200, (length,), generator=draw).tolist()
        labels = torch.randint(0, 2, (length,), generator=draw).tolist()
        labels[1:2] = [IGNORED] * len(labels[1:2])
        window = {"input_ids": ids, "labels": labels}
        if "token_type_ids" in tokenizer.model_input_names:
            window["token_type_ids"] = [0] * length
        windows.append(window)
    return windows


def loss_and_gradients(network, batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the loss of a batch, and the gradient of each parameter that has one."""
    network.zero_grad()
    labels = batch.pop("labels")
    loss = token_loss(network(**batch).logits, labels, 10)
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    return loss.detach(), gradients


@pytest.mark.parametrize("padded_pairs", [100.0, math.inf])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", UNPADDED)
def test_gradients_are_those_of_a_padded_batch(name, fast, padded_pairs, tmp_path):
    """Those of torch's own autograd, in training mode.

    Fillers have an id that no window has, so that its row of the embeddings would show a gradient.
    """
    network, tokenizer = load(name, tmp_path, fast)
    windows = windows_of(tokenizer, WINDOW)  # three times what local attention sees
    network.train()
    expected_loss, expected = loss_and_gradients(network, PadBatch(tokenizer)(windows))
    assert let_run_unpadded(network)
    join, filler = JoinWindows(tokenizer, first_position(network), padded_pairs), 201
    join.fill["input_ids"] = filler
    loss, gradients = loss_and_gradients(network, join(windows))
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=0)
    assert gradients.keys() == expected.keys()
    for parameter, gradient in gradients.items():
        largest = float(expected[parameter].abs().max())
        torch.testing.assert_close(
            gradient, expected[parameter], rtol=1e-4, atol=1e-5 * largest + 1e-8
        )
    table = network.get_input_embeddings().weight
    assert table.grad[filler].eq(0).all()
    assert table.grad.ne(0).any()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", UNPADDED)
def test_padded_batches_are_computed_as_before(name, training, tmp_path):
    """To the bit, with dropout in training."""
    network, tokenizer = load(name, tmp_path)
    set_dropout(network, 0.5)
    network.train(training)
    changed = copy.deepcopy(network)
    assert let_run_unpadded(changed)
    batch = PadBatch(tokenizer, multiple_of=8)(windows_of(tokenizer, WINDOW))
    results = []
    for either in (network, changed):
        torch.manual_seed(0)
        results.append(loss_and_gradients(either, dict(batch)))
    (loss, gradients), (loss_after, gradients_after) = results
    assert torch.equal(loss, loss_after)
    for name, gradient in gradients.items():
        assert torch.equal(gradient, gradients_after[name]), name


@pytest.mark.parametrize(
    ("name", "options"),
    [
        # No attention that could be replaced.
        *(("xlnet", {}), ("mpnet", {}), ("gemma2", {}), ("bert", {"attn_implementation": "eager"})),
        # It can be replaced, but the network does not compute windows then.
        *(("gpt2", {}), ("fnet", {}), ("t5", {})),
    ],
)
def test_a_network_that_needs_padding_keeps_its_attention(name, options, tmp_path):
    network, tokenizer = load(name, tmp_path, not options, **options)
    network.eval()
    before = copy.deepcopy(network)
    batch = PadBatch(tokenizer)(windows_of(tokenizer, WINDOW))
    batch.pop("labels")
    assert not observe_traits(network, tokenizer, WINDOW).unpadded
    kept = network.config._attn_implementation
    assert kept == before.config._attn_implementation
    assert not str(kept).startswith(PREFIX)
    with torch.no_grad():
        assert torch.equal(network(**batch).logits, before(**batch).logits)


def test_a_compiled_network_is_compiled_once(tmp_path):
    """For batches of any number and lengths of windows, with dynamic shapes.

    Except those of one window: torch specializes sizes of 1.
    """
    network, tokenizer = load("bert", tmp_path)
    assert observe_traits(network, tokenizer, WINDOW).unpadded
    torch.compiler.reset()
    counter = CompileCounter()
    compiled = torch.compile(network, backend=counter, dynamic=True)
    windows = windows_of(tokenizer, WINDOW)
    compilations = []
    for batch in (windows, windows[:3], [*windows, *windows[2:]], windows[3:], windows[1:3]):
        joined = JoinWindows(tokenizer, 0)(batch)
        expected, gradients = loss_and_gradients(network, dict(joined))
        loss, by_compiled = loss_and_gradients(compiled, dict(joined))
        torch.testing.assert_close(loss, expected)
        assert len(gradients) == len(by_compiled)
        compilations.append(counter.frame_count)
    assert compilations[0] > 0
    assert len(set(compilations)) == 1
    torch.compiler.reset()


def test_the_name_of_the_attention_is_not_saved(tmp_path):
    """A folder is loaded by other programs too, which have no attention of this name."""
    network, _ = load("bert", tmp_path / "model")
    assert let_run_unpadded(network)
    assert network.config._attn_implementation == f"{PREFIX}cpu_dropout"
    network.save_pretrained(tmp_path / "saved")
    assert PREFIX not in (tmp_path / "saved" / "config.json").read_text()
