"""Architectures judged by configuration: those refused, and the abilities of the rest."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
import transformers
from transformers import AutoModelForTokenClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

from encoder.architecture import (
    NEEDS_MORE_THAN_TEXT,
    NO_AUTOCAST,
    NO_HALF_WEIGHTS,
    batch_independent,
    check_architecture,
    load_base_config,
)
from settings.run_settings import ModelSettings
from support.errors import UserError
from tests.helpers.architectures import ARCHITECTURES, build
from tests.helpers.messages import stable
from tests.helpers.models import tiny_config


def configured(folder: Path, model_type: str, **changes) -> ModelSettings:
    """Save a configuration without weights, and return the settings that name it."""
    if model_type in CONFIG_MAPPING:
        CONFIG_MAPPING[model_type](**changes).save_pretrained(folder)
    else:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type, **changes}))
    return ModelSettings(str(folder))


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        *((name, {}) for name in ("bros", "layoutlmv2", "layoutlmv3", "luke", "markuplm", "mra")),
        *((name, {}) for name in ("bart", "whisper", "vit", "mamba", "reformer")),
        ("xmod", {"languages": ["en_XX", "de_DE"]}),
        ("nystromformer", {"segment_means_seq_len": 1024}),
        ("no-such-type", {}),
        ("bert", {"hidden_size": "large"}),
    ],
)
@pytest.mark.parametrize("caller", ["training", "infer.py"])
def test_an_architecture_that_cannot_tag_words_is_refused(
    model_type, changes, caller, tmp_path, snapshot
):
    from tagging.tagger import Tagger

    if isinstance(changes.get("hidden_size"), str):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type, **changes}))
        model = ModelSettings(str(tmp_path))
    else:
        model = configured(tmp_path, model_type, **changes)
    with pytest.raises(UserError) as error:
        if caller == "training":
            check_architecture(model, gradient_checkpointing=False)
        else:
            Tagger(tmp_path)
    first_line = stable(error.value, tmp_path).splitlines()[0]  # the second may be the library's
    assert re.match("<folder>(/config.json)?: ", first_line)
    assert first_line.replace(transformers.__version__, "<version>") == snapshot


@pytest.mark.parametrize("model_type", ["canine"])
def test_an_architecture_with_a_slow_tokenizer_is_refused(model_type, tmp_path):
    model = configured(tmp_path, model_type)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    with pytest.raises(UserError, match="slow tokenizer: got CanineTokenizer"):
        check_architecture(model, gradient_checkpointing=False)


@pytest.mark.parametrize("name", ["no/such-model", "/no/such/folder"])
def test_an_unknown_model_is_named(name):
    with pytest.raises(UserError, match=rf"^{name}: the configuration cannot be loaded"):
        check_architecture(ModelSettings(name), gradient_checkpointing=False)


# --- Abilities ------------------------------------------------------------------------------

WITHOUT_GRADIENT_CHECKPOINTING = {
    *("albert", "flaubert", "funnel", "ibert", "mpnet", "squeezebert", "xlm", "xlnet"),
}


@pytest.mark.parametrize("model_type", ["mpnet", "xlnet", "bert", "roberta", "gpt2"])
def test_gradient_checkpointing_is_refused_where_a_model_has_none(model_type, tmp_path, snapshot):
    model = configured(tmp_path, model_type)
    architecture = check_architecture(model, gradient_checkpointing=False)
    assert architecture.model_type == model_type
    if model_type not in WITHOUT_GRADIENT_CHECKPOINTING:
        assert check_architecture(model, gradient_checkpointing=True) == architecture
        return
    with pytest.raises(UserError) as error:
        check_architecture(model, gradient_checkpointing=True)
    assert "--gradient_checkpointing" in str(error.value)
    assert f"got {model_type}," in str(error.value)
    assert stable(error.value, tmp_path) == snapshot


@pytest.mark.parametrize("model_type", ["bert", "deberta", "deberta-v2", "xmod"])
def test_half_precision(model_type, tmp_path):
    changes = {"default_language": "en_XX"} if model_type == "xmod" else {}
    model = configured(tmp_path, model_type, **changes)
    architecture = check_architecture(model, gradient_checkpointing=False)
    assert architecture.half_precision == (model_type not in ("deberta", "xmod"))


OWN_CODE = """
from transformers import BertConfig, BertForTokenClassification

class OwnConfig(BertConfig):
    model_type = "bros"  # a name that the suite would refuse

class OwnModel(BertForTokenClassification):
    config_class = OwnConfig
    supports_gradient_checkpointing = {supports}
"""


@pytest.mark.parametrize("supports", [True, False])
def test_a_model_with_its_own_code_is_judged_by_its_code(supports, tmp_path):
    (tmp_path / f"own_{supports}.py").write_text(OWN_CODE.format(supports=supports))
    config = tiny_config(num_labels=3).to_dict() | {"model_type": "bros"}
    own = {"AutoConfig": f"own_{supports}.OwnConfig"}
    model = ModelSettings(str(tmp_path), trust_remote_code=True)

    def save(auto_map: dict) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": auto_map}))

    save(own | {"AutoModelForTokenClassification": f"own_{supports}.OwnModel"})
    assert check_architecture(model, gradient_checkpointing=False).model_type == "bros"
    if supports:
        assert check_architecture(model, gradient_checkpointing=True).half_precision
    else:
        with pytest.raises(UserError, match="--gradient_checkpointing"):
            check_architecture(model, gradient_checkpointing=True)
    save(own)
    with pytest.raises(UserError, match="or in the model's own code"):
        check_architecture(model, gradient_checkpointing=False)


# --- Choices that depend on the batches -----------------------------------------------------


def test_big_bird_is_settled_before_training(tmp_path):
    """Unsettled, its first forward pass draws random numbers and changes the network."""
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1}
    model = configured(tmp_path, "big_bird", vocab_size=50, intermediate_size=64, **sizes)
    config = load_base_config(model)
    network = AutoModelForTokenClassification.from_config(config).eval()
    for part in (config, network.config, network.bert, network.bert.encoder):
        assert part.attention_type == "original_full"
    before = torch.get_rng_state()
    with torch.no_grad():
        first, second = (network(torch.arange(9)[None]).logits for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, second)
    network.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["attention_type"] == "original_full"


def test_fnet_takes_windows_of_any_length(tmp_path):
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 64, "vocab_size": 50}
    config = CONFIG_MAPPING["fnet"](
        **sizes, use_tpu_fourier_optimizations=True, tpu_short_seq_length=16
    )
    for_tpu = AutoModelForTokenClassification.from_config(config).eval()
    plain = AutoModelForTokenClassification.from_config(
        batch_independent(copy.deepcopy(config))
    ).eval()
    plain.load_state_dict(for_tpu.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(
            plain(torch.arange(16)[None]).logits, for_tpu(torch.arange(16)[None]).logits
        )
        assert plain(torch.arange(9)[None]).logits.shape == (1, 9, 2)


# --- All architectures ----------------------------------------------------------------------


@pytest.mark.exhaustive
def test_all_classes_that_have_gradient_checkpointing():
    """The classes that transformers has are those that the tests know."""
    without = {
        name
        for name, kind in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES.items()
        if name not in NEEDS_MORE_THAN_TEXT
        and not getattr(transformers, kind).supports_gradient_checkpointing
    }
    assert without == WITHOUT_GRADIENT_CHECKPOINTING


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_half_precision_works_or_is_refused(architecture, tmp_path):
    """Training under autocast in bf16 and fp16, and tagging with weights in bf16 and fp16."""
    network = AutoModelForTokenClassification.from_pretrained(build(architecture, tmp_path))
    ids = torch.randint(5, 100, (2, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0

    def runs(dtype: torch.dtype, autocast: bool) -> bool:
        model = copy.deepcopy(network).train(autocast).to(torch.float32 if autocast else dtype)
        try:
            with torch.autocast("cpu", dtype, enabled=autocast):
                logits = model(input_ids=ids, attention_mask=mask).logits[mask.bool()]
            if autocast:
                logits.float().logsumexp(-1).mean().backward()
        except RuntimeError:
            return False
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        return all(bool(values.isfinite().all()) for values in (logits, *gradients))

    for dtype in (torch.bfloat16, torch.float16):
        kind = architecture.model_type
        assert runs(dtype, autocast=True) == (kind not in NO_AUTOCAST)
        assert runs(dtype, autocast=False) == (kind not in NO_HALF_WEIGHTS)
