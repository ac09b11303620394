"""Loading a model: configuration, tokenizer and network; the default model.

A BERT that this suite trained is loaded by `tagging.fast_bert`, every other model by
transformers.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import common
from common import IGNORED
from encoder.errors import loading
from encoder.model_folder import CONFIG, check_tokenizer_files, check_weights, read_config
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
PROBE = ["A", "word", "\u2603"]  # the last is unknown to most vocabularies
# Windows to (logits, word indices): (words, labels) in fp32, and (words,).
Network = Callable[[Sequence[Window]], tuple["torch.Tensor", "torch.Tensor"]]


class LoadedModel(NamedTuple):
    """A model for token classification."""

    config: Any
    tokenizer: Any
    networks: list[Network]  # one for each precision that was asked for
    padded: bool  # a batch is padded to its longest window
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
        if not (folder / CONFIG).exists():
            raise UserError(_no_config(folder))
        config = read_config(folder, trust_remote_code=trust_remote_code)
        _check_parts(folder, config)
        check_weights(folder)
        check_tokenizer_files(folder)
        with loading("model", name):
            fast = [fast_bert.load(folder, dtype, device) for dtype in dtypes]
        if found := [model for model in fast if model is not None]:
            networks: list[Network] = [model.network for model in found]
            loaded = LoadedModel(found[0].config, found[0].tokenizer, networks, False, False)
            _check_runs(loaded, name)
            return loaded
    else:
        _check_name(name, revision)
    with _quiet_transformers():
        loaded = _load_with_transformers(name, revision, dtypes, device, trust_remote_code)
    _check_runs(loaded, name)
    return loaded


def _load_with_transformers(
    name: str,
    revision: str,
    dtypes: "Sequence[torch.dtype]",
    device: "torch.device",
    trust_remote_code: bool,
) -> LoadedModel:
    """Return a model that transformers loads; see `load`."""
    # Imported here, because a BERT of this suite starts without transformers.
    import torch

    from encoder.architecture import NO_HALF_WEIGHTS, check_supported, load_base_config
    from encoder.attention import let_run_unpadded
    from encoder.collate import make_collator
    from encoder.positions import usable_positions
    from encoder.tokenizer import load_run_tokenizer
    from encoder.traits import observe_traits

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
    trained, positions = getattr(config, "window_length", None), usable_positions(config)
    if trained and positions and trained > positions:
        raise UserError(
            f"{name}/{CONFIG}: window_length: got {trained}, expected at most {positions}, the "
            "positions of the model."
        )
    exact = _load_network(source, config, torch.float32, device)
    _check_vocabulary(exact, tokenizer, name)
    with loading("model", name):  # a network that loads may still fail when it runs
        # Not observed in half precision, whose rounding hides them.
        traits = observe_traits(exact, tokenizer, longest_window(tokenizer, config))
    collate = make_collator(tokenizer, traits, device)
    networks: list[Network] = []
    for dtype in dtypes:
        network = exact
        if dtype != torch.float32:
            network = _load_network(source, config, dtype, device)
            if traits.unpadded:
                let_run_unpadded(network)
        networks.append(TransformersNetwork(network, collate))
    return LoadedModel(exact.config, tokenizer, networks, not traits.unpadded, traits.padding_leaks)


def _load_network(
    source: ModelSettings, config: Any, dtype: "torch.dtype", device: "torch.device"
) -> Any:
    """Return the network of a model; raise UserError if its weights cannot be loaded."""
    from encoder.model import load_network

    network = load_network(source, copy.deepcopy(config), dtype, new_head=False)
    with loading("model", source.model_name_or_path):  # the device may be too small
        return network.to(device).eval()


def _check_parts(folder: Path, config: dict[str, Any]) -> None:
    """Raise UserError for a folder without which transformers would use its own defaults."""
    if "word_splitter" in config and not (folder / "tokenizer_config.json").is_file():
        raise UserError(
            f"{folder / 'tokenizer_config.json'}: missing: a training script writes it beside "
            f"{CONFIG}. Copy the whole folder."
        )
    if (folder / "adapter_config.json").exists() and find_spec("peft") is None:
        raise UserError(
            f"{folder}: the model has an adapter: got adapter_config.json without the package "
            "peft. Install it (pip install peft), or merge the adapter into the model."
        )


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and warnings from the results.

    What matters in them is checked here, and reported as an error.
    """
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _check_runs(model: LoadedModel, name: str) -> None:
    """Tag a few words; raise UserError for a model whose parts do not fit together."""
    import torch

    window_length = longest_window(model.tokenizer, model.config)
    num_labels = len(model.config.id2label)
    with loading("model", name), torch.inference_mode():
        windows = []
        for _, columns, owned in common.encode([PROBE], model.tokenizer, window_length):
            columns["word_index"] = common.align_labels_with_tokens(range(len(PROBE)), owned)
            windows.append(columns)
        for network in model.networks:
            logits, word_index = network(windows)
            if logits.shape != (len(word_index), num_labels):
                raise UserError(
                    f"{name}: got {logits.shape[-1]} logits for each word, expected {num_labels}, "
                    "one for each label of config.json."
                )
            if not torch.isfinite(logits).all():
                raise UserError(
                    f"{name}: the model computes nothing: got logits that are not finite, "
                    "expected finite ones. Its files are damaged, or its precision is too low."
                )


def _check_vocabulary(network: Any, tokenizer: Any, name: str) -> None:
    """Raise UserError if a tokenizer has ids beyond the model's table of sub-words."""
    from encoder.traits import embedding_table

    rows: int | None = getattr(embedding_table(network), "num_embeddings", None)
    largest = max(tokenizer.get_vocab().values(), default=0)
    if rows is not None and largest >= rows:
        raise UserError(
            f"{name}: the tokenizer belongs to another model: got sub-words up to {largest:,}, "
            f"expected them below {rows:,}, the rows of the model's table."
        )


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
    """Return the newest model that a training script saved in a subfolder of `folder`."""
    of_model = ("config.json", "tokenizer_config.json")
    runs = [
        run
        for run in folder.glob("*/run.json")
        if all((run.parent / name).is_file() for name in of_model)
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
