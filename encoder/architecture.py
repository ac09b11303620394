"""The abilities of a model's architecture, judged by its configuration alone.

transformers is imported by the functions that need it, so that `--help` of the scripts need not
wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from encoder.config_check import check_config
from encoder.errors import loading
from encoder.layers import check_layers
from encoder.model_folder import CONFIG, files_of, read_config
from encoder.tokenizer import load_run_tokenizer
from settings.run_settings import ModelSettings
from support.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

# Model types that cannot run on text alone, and what they need.
NEEDS_MORE_THAN_TEXT = {
    "bros": "the position of each word on the page",
    "layoutlmv2": "the position of each word on the page, and an image of the page",
    "layoutlmv3": "the position of each word on the page",
    "luke": "the entities of a text in addition to its words",
    "markuplm": "the XPath of each word in a web page",
    "mra": "a CUDA kernel from the Hub, without which it skips all attention",
}
# Model types that fail in bf16 and fp16. All others were tried, see tests/encoder.
NO_AUTOCAST = {
    "deberta",  # its mask overflows
    "xmod",  # its language adapters mix fp32 and half precision
}
NO_HALF_WEIGHTS = {"fnet"}  # no Fourier transform in half precision


@dataclass(frozen=True)
class Architecture:
    """The abilities of an architecture."""

    model_type: str
    half_precision: bool  # False: cannot be trained in bf16 or fp16


def check_architecture(
    model: ModelSettings, *, gradient_checkpointing: bool, layerwise_lr_decay: float = 1.0
) -> Architecture:
    """Return the architecture of a model, before its weights are loaded.

    Raises UserError if the configuration cannot be loaded, if the architecture cannot classify
    the words of a text, or if it lacks what is requested: gradient checkpointing, or layers whose
    learning rates differ.
    """
    config = load_base_config(model)
    name = model.model_name_or_path
    check_supported(config, name, trust_remote_code=model.trust_remote_code)
    if _has_slow_tokenizer(config.model_type):
        load_run_tokenizer(model)  # refuses it, unless the model comes with a fast one
    if gradient_checkpointing:
        network = _class_of(config, name, model.hub_options)
        if not network.supports_gradient_checkpointing:
            raise UserError(
                f"{name}: --gradient_checkpointing: not available: got {config.model_type}, "
                "expected an architecture that supports it. Leave out the flag, and reduce "
                "--per_device_train_batch_size if the memory is too small."
            )
    if layerwise_lr_decay != 1:
        check_layers(config, f"--layerwise_lr_decay {layerwise_lr_decay:g}")
    return Architecture(config.model_type, config.model_type not in NO_AUTOCAST)


def load_base_config(model: ModelSettings) -> PretrainedConfig:
    """Return the configuration that the model comes with; raise UserError if there is none."""
    from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

    name = model.config_name or model.model_name_or_path
    options: dict[str, Any] = {
        "labels_needed": not model.ignore_mismatched_sizes,
        "trust_remote_code": model.trust_remote_code,
    }
    with loading("configuration", name), files_of(name, [CONFIG], model.hub_options) as folder:
        if (folder / CONFIG).is_file():
            values = read_config(folder, **options)
        else:
            values, _ = PretrainedConfig.get_config_dict(name, **model.hub_options)
            values = check_config(values, f"{name}/{CONFIG}", **options)
    own_code_only = "auto_map" in values and values.get("model_type") not in CONFIG_MAPPING
    if own_code_only and not model.trust_remote_code:
        raise UserError(
            f"{name}: the model needs its own code, which is not in transformers: got no "
            "--trust_remote_code. If you trust its authors, add the flag."
        )
    with loading("configuration", name):
        return batch_independent(AutoConfig.from_pretrained(name, **model.hub_options))


def batch_independent(config: PretrainedConfig) -> PretrainedConfig:
    """Return the configuration with those choices fixed that would depend on the batches.

    BigBird switches to full attention for good at the first batch of short windows, and draws
    random numbers before it does. FNet's variant for TPUs, which computes the same, accepts one
    length only. Changes `config`.
    """
    config.return_dict = True  # outputs are read by name, whatever the saved value
    if config.model_type == "big_bird":
        config.attention_type = "original_full"
    if config.model_type == "fnet":
        config.use_tpu_fourier_optimizations = False
    return config


def check_supported(config: PretrainedConfig, name: str, *, trust_remote_code: bool) -> None:
    """Raise UserError if the architecture cannot classify the words of a text.

    `name`: the model's. With `trust_remote_code`, a model's own code is judged by the classes it
    offers.
    """
    import transformers

    if trust_remote_code and _own_class(config):
        return
    kind = config.model_type
    if type(config) not in transformers.AutoModelForTokenClassification._model_mapping:
        own = " or in the model's own code" if trust_remote_code and _auto_map(config) else ""
        raise UserError(
            f"{name}: unsupported architecture: got {kind}, for which there is no "
            f"token classification in transformers {transformers.__version__}{own}. Choose an "
            "encoder such as BERT, RoBERTa, DeBERTa or ModernBERT."
        )
    if kind in NEEDS_MORE_THAN_TEXT:
        raise UserError(
            f"{name}: unsupported architecture: got {kind}, which needs "
            f"{NEEDS_MORE_THAN_TEXT[kind]}; expected a text encoder. Choose another model."
        )
    if kind == "xmod" and config.default_language is None:
        raise UserError(
            f"{name}: X-MOD without a language: got no default_language in config.json, expected "
            f"one of {', '.join(config.languages)}. Add it to the config.json of a local copy."
        )
    if kind == "nystromformer" and config.num_landmarks != config.segment_means_seq_len:
        raise UserError(
            f"{name}: unsupported architecture: got a Nyströmformer that takes inputs of exactly "
            f"{config.segment_means_seq_len} sub-words; expected one whose num_landmarks equals "
            "its segment_means_seq_len. Choose another model."
        )


def _auto_map(config: PretrainedConfig) -> dict[str, Any]:
    """Return the classes of the model's own code, by the name of the auto class."""
    return getattr(config, "auto_map", None) or {}


def _own_class(config: PretrainedConfig) -> str | None:
    """Return the class for token classification of the model's own code, if it has one."""
    name: str | None = _auto_map(config).get("AutoModelForTokenClassification")
    return name


def _class_of(
    config: PretrainedConfig, name: str, hub_options: dict[str, Any]
) -> type[PreTrainedModel]:
    """Return the class of the network that transformers would load."""
    from transformers import AutoModelForTokenClassification
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    own_class = _own_class(config)
    if own_class and hub_options["trust_remote_code"]:
        options = {key: hub_options[key] for key in ("revision", "cache_dir", "token")}
        network: type[PreTrainedModel] = get_class_from_dynamic_module(own_class, name, **options)
        return network
    network = AutoModelForTokenClassification._model_mapping[type(config)]
    return network


def _has_slow_tokenizer(model_type: str) -> bool:
    """Return whether transformers has only a slow tokenizer for an architecture."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    tokenizer = getattr(transformers, TOKENIZER_MAPPING_NAMES.get(model_type) or "", None)
    return tokenizer is not None and not issubclass(tokenizer, transformers.PreTrainedTokenizerFast)
