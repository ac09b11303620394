"""Each speed-up on a CPU can be switched off: then torch's own code computes."""

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from encoder import cpu
from encoder.cpu.clipping import clip_gradients
from encoder.cpu.dropout import CpuDropout
from encoder.cpu.embeddings import OccurringEmbedding
from encoder.model import load_config, load_model
from settings.run_settings import ModelSettings
from support.errors import UserError
from tests.helpers.models import ENTITY_LABELS

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, {"dropout", "clipping", "embeddings"}),
        ("", {"dropout", "clipping", "embeddings"}),
        ("all", {"dropout", "clipping", "embeddings"}),
        ("none", set()),
        ("clipping", {"clipping"}),
        ("Dropout, embeddings", {"dropout", "embeddings"}),
    ],
)
def test_speedups_are_those_of_the_environment(value, expected, monkeypatch):
    monkeypatch.delenv(cpu.VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(cpu.VARIABLE, value)
    assert {name for name in cpu.SPEEDUPS if cpu.enabled(name)} == expected


@pytest.mark.parametrize("value", ["dropuot", "dropout,threads", "none,dropout"])
def test_unknown_speedup_is_refused(value, monkeypatch, snapshot):
    monkeypatch.setenv(cpu.VARIABLE, value)
    with pytest.raises(UserError) as error:
        cpu.enabled("dropout")
    assert value in str(error.value)
    assert str(error.value) == snapshot


@pytest.mark.parametrize(
    ("environment", "keywords", "dropout", "embeddings"),
    [
        ("all", {}, True, True),
        ("none", {}, False, False),
        ("dropout", {}, True, False),
        ("embeddings", {}, False, True),
        ("all", {"cpu_dropout": False}, False, True),
        ("all", {"occurring_rows_only": False}, True, False),
    ],
)
def test_dropout_and_embeddings_of_a_loaded_model(
    environment, keywords, dropout, embeddings, tiny_encoder, monkeypatch
):
    monkeypatch.setenv(cpu.VARIABLE, environment)
    settings = ModelSettings(str(tiny_encoder))
    config = load_config(settings, ENTITY_LABELS, do_train=True)
    model = load_model(settings, config, CPU, do_train=True, train_token_ids=[5, 6], **keywords)
    layers = {type(m) for m in model.modules() if isinstance(m, nn.Dropout)}
    assert layers == {CpuDropout if dropout else nn.Dropout}
    assert model.config._attn_implementation == ("cpu_dropout" if dropout else "sdpa")
    table = model.get_input_embeddings()
    assert type(table) is (OccurringEmbedding if embeddings else nn.Embedding)


@pytest.mark.parametrize(
    ("environment", "keywords", "ours"),
    [
        ("all", {}, True),
        ("none", {}, False),
        ("dropout,embeddings", {}, False),
        ("clipping", {}, True),
        ("all", {"cpu_clipping": False}, False),
    ],
)
def test_clipping(environment, keywords, ours, monkeypatch):
    monkeypatch.setenv(cpu.VARIABLE, environment)
    accelerator = Accelerator(cpu=True)
    calls = []
    clip = accelerator.clip_grad_norm_
    monkeypatch.setattr(accelerator, "clip_grad_norm_", lambda *a: calls.append(a) or clip(*a))
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.full((2, 2), 3.0)
    norm = clip_gradients(accelerator, [parameter], 1.0, **keywords)
    assert len(calls) == (0 if ours else 1)
    assert norm.item() == pytest.approx(6.0)
    torch.testing.assert_close(parameter.grad, torch.full((2, 2), 0.5))
