"""Loading a model: configuration, tokenizer and network; the default model.

A BERT that this suite trained is loaded by `tagging.fast_bert`, every other model by
transformers.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common import IGNORED
from settings.run_settings import ModelSettings
from support.errors import UserError
from support.manifests import checkpoint_folders
from tagging import fast_bert
from tagging.fast_bert import Window

if TYPE_CHECKING:
    import torch

COURSE_MODEL = "huggingface-course/bert-finetuned-ner"
EXPECTED_MODEL = (
    "Expected the output folder of a training script, or any model for token classification with "
    "its tokenizer."
)
# Windows to (logits, word indices): (words, labels) in fp32, and (words,).
Network = Callable[[Sequence[Window]], tuple["torch.Tensor", "torch.Tensor"]]


class LoadedModel(NamedTuple):
    """A model for token classification."""

    config: Any
    tokenizer: Any
    networks: list[Network]  # one for each precision that was asked for
    padding_leaks: bool  # a batch may hold only windows of one length


def load(
    name: str,
    revision: str,
    dtypes: "Sequence[torch.dtype]",
    device: "torch.device",
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Return a model from a folder or the Hub; raise UserError if it cannot tag words.

    `dtypes`: the precisions of its networks. `trust_remote_code`: whether code that comes with the
    model may run.
    """
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(_no_config(folder))
        fast = [fast_bert.load(folder, dtype, device) for dtype in dtypes]
        if found := [model for model in fast if model is not None]:
            networks: list[Network] = [model.network for model in found]
            return LoadedModel(found[0].config, found[0].tokenizer, networks, padding_leaks=False)
    else:
        _check_name(name, revision)
    # Imported here, because a BERT of this suite starts without transformers.
    import torch
    from transformers.utils import logging

    from encoder.architecture import NO_HALF_WEIGHTS, check_supported, load_base_config
    from encoder.attention import let_run_unpadded
    from encoder.collate import make_collator
    from encoder.tokenizer import load_run_tokenizer
    from encoder.traits import observe_traits

    logging.disable_progress_bar()

    # Passed even if it is False: otherwise transformers asks on standard input, where texts may be.
    source = ModelSettings(name, model_revision=revision, trust_remote_code=trust_remote_code)
    config = load_base_config(source)
    check_supported(config, name, trust_remote_code=trust_remote_code)
    half = [dtype for dtype in dtypes if dtype != torch.float32]
    if half and config.model_type in NO_HALF_WEIGHTS:
        precision = str(half[0]).removeprefix("torch.")
        raise UserError(
            f"{name}: half precision is not available for this model: got {precision} for "
            f"{config.model_type}, expected float32. Leave out --dtype."
        )
    architectures = config.architectures or []
    if not any("ForTokenClassification" in architecture for architecture in architectures):
        got = ", ".join(architectures) or "a model that names no architecture"
        raise UserError(
            f"{name}: the model does not tag words: got {got}, expected a model for token "
            f"classification. To train one: python train_trainer.py --model_name_or_path {name}"
        )
    tokenizer = load_run_tokenizer(source)
    exact = _load_network(source, config, torch.float32, device)
    # Not observed in half precision, whose rounding hides them.
    traits = observe_traits(exact, tokenizer, longest_window(tokenizer, config))
    collate = make_collator(tokenizer, traits, device)
    networks = []
    for dtype in dtypes:
        network = exact
        if dtype != torch.float32:
            network = _load_network(source, config, dtype, device)
            if traits.unpadded:
                let_run_unpadded(network)
        networks.append(TransformersNetwork(network, collate))
    return LoadedModel(exact.config, tokenizer, networks, traits.padding_leaks)


def _load_network(
    source: ModelSettings, config: Any, dtype: "torch.dtype", device: "torch.device"
) -> Any:
    """Return the network of a model; raise UserError if its weights cannot be loaded."""
    from transformers import AutoModelForTokenClassification

    from encoder.errors import not_loaded

    name = source.model_name_or_path
    try:
        network = AutoModelForTokenClassification.from_pretrained(
            name, config=copy.deepcopy(config), dtype=dtype, **source.hub_options
        )
    except (OSError, ValueError) as error:
        raise UserError(not_loaded("model", name, error)) from None
    return network.to(device).eval()


class TransformersNetwork:
    """A network of transformers and the collator of its batches, called like `fast_bert.Bert`."""

    def __init__(self, network: Any, collate: Any):
        """`collate`: see `encoder.collate.make_collator`."""
        self.network, self.collate = network, collate

    def __call__(self, windows: Sequence[Window]) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Return (logits, word indices): (words, labels) in fp32, and (words,)."""
        inputs = self.collate(windows)
        word_index = inputs.pop("word_index")
        device = self.network.device
        inputs = {name: values.to(device) for name, values in inputs.items()}
        first = word_index.ne(IGNORED)
        return self.network(**inputs).logits[first.to(device)].float(), word_index[first]


def longest_window(tokenizer: Any, config: Any) -> int:
    """Return the window length that the model was trained with, or else its own limit."""
    trained: int | None = getattr(config, "window_length", None)
    if trained:
        return trained
    from encoder.tokenizer import window_length

    return window_length(tokenizer, config, None)


# --- Errors -----------------------------------------------------------------------------------


def _no_config(folder: Path) -> str:
    """Return the message about a folder without a model; it names the newest checkpoint."""
    checkpoints = [
        path
        for path in checkpoint_folders(folder)
        if (path / "config.json").is_file() and any(path.glob("*.safetensors"))
    ]
    if not checkpoints:
        return f"{folder}: not a model: the folder has no config.json. {EXPECTED_MODEL}"
    return (
        f"{folder}: not a model, but the checkpoints of a training run that has not finished.\n"
        f"To tag with the newest checkpoint: --model {checkpoints[-1]}\n"
        "To finish training: the command that started it, with --resume_from_checkpoint"
    )


def _check_name(name: str, revision: str) -> None:
    """Raise UserError for a name that is not a folder and cannot be loaded from the Hub.

    The libraries would ask the Hub for each file, with retries, before they fail. If the Hub
    cannot be reached, the model is loaded from the cache.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    from support.reachability import go_offline, hub_reachable

    if Path(name).exists():
        raise UserError(f"{name}: a file, not the folder of a model. {EXPECTED_MODEL}")
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise UserError(f"{name}: no such folder. {EXPECTED_MODEL}") from None
    if hub_reachable():
        return
    go_offline()
    if not isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        raise UserError(
            f"{name}: no such folder. The Hugging Face Hub cannot be reached, and its cache on "
            f"this machine has no model of this name. {EXPECTED_MODEL}"
        )


# --- The default model ------------------------------------------------------------------------


def newest_model(folder: Path) -> Path | None:
    """Return the newest model that a training script saved in a default folder in `folder`."""
    runs = [
        run
        for run in folder.glob("*-finetuned-*/run.json")
        if (run.parent / "config.json").is_file()
    ]
    return max(runs, key=lambda run: run.stat().st_mtime_ns).parent if runs else None


def default_model(folder: Path) -> tuple[str, str]:
    """Return the default model and the reason for choosing it, as text.

    It is the newest model trained in `folder`, or else the course's. Raises UserError if there is
    neither.
    """
    newest = newest_model(folder)
    if newest is not None:
        return str(newest), "the newest model in this folder"
    from support.reachability import go_offline, hub_reachable

    if hub_reachable():
        return COURSE_MODEL, "the course's model, from the Hub: no model was trained in this folder"
    go_offline()
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(COURSE_MODEL, "config.json"), str):
        return COURSE_MODEL, "the course's model, cached: no model was trained in this folder"
    raise UserError(
        "no model: none was trained in this folder, and the Hugging Face Hub cannot be reached. "
        "Name a model with --model, or train one (a few minutes):\n"
        "  python train_trainer.py --sample"
    )
