"""The weights of a model on disk: saved for `from_pretrained`, loaded back exactly.

transformers stores some models under other names than those of their `state_dict`. A checkpoint
of such a model has a second file with the latter names, because a load that skips or guesses names
gives a different model. Every load is strict.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from encoder.lora import (
    ADAPTER,
    has_adapter,
    load_adapter,
    merge_adapter,
    merged_weights,
    save_adapter,
)
from support.errors import UserError, on_main_process
from training.checkpoints import damage_of_best
from training.machines import checkpoint_of_machine
from training.progress import Progress, diverged

STATE_FILE = "state_dict.safetensors"  # only where `save_pretrained` stores other names


def save_model(accelerator: Any, model: Any, tokenizer: Any, folder: Path, step: int) -> None:
    """Save a model and its tokenizer in the layout that `from_pretrained` reads.

    Every process collects the weights, also under FSDP and DeepSpeed; the main one writes. An
    adapter is merged into the saved weights, and saved in a subfolder too. Raises UserError if a
    weight is not finite.
    """
    weights = accelerator.get_state_dict(model)
    # If they are sharded, the main process alone has them now.
    on_main_process(accelerator.state, lambda: _check_finite(weights, step))
    if accelerator.is_main_process:
        # torch.compile, which a launcher may request, adds a prefix to the names.
        weights = {name.replace("_orig_mod.", ""): weight for name, weight in weights.items()}
        unwrapped = accelerator.unwrap_model(model, keep_torch_compile=False)
        if has_adapter(unwrapped):
            save_adapter(unwrapped, folder / ADAPTER)
            weights = dict(merged_weights(unwrapped, weights))
        unwrapped.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)


def _check_finite(weights: Mapping[str, torch.Tensor], step: int) -> None:
    for name, weight in weights.items():
        if weight.is_floating_point() and not torch.isfinite(weight).all():
            raise diverged(f"{name} is not finite", step)


def save_state_dict(accelerator: Any, model: Any, folder: Path) -> None:
    """Complete a checkpoint whose model is saved: make sure that `load_weights` can read it.

    Writes `STATE_FILE` if `save_pretrained` has stored other names than those of `state_dict`. A
    model with an adapter needs none: the adapter is all that is loaded.
    """
    unwrapped = accelerator.unwrap_model(model, keep_torch_compile=False)
    if accelerator.is_main_process and not has_adapter(unwrapped):
        stored = {name: shape for file in _model_files(folder) for name, shape in _shapes(file)}
        own = {name: tuple(weight.shape) for name, weight in unwrapped.state_dict().items()}
        # A weight that the model uses under several names is stored under one of them.
        if not stored.items() <= own.items() or len(stored) < len(_distinct(unwrapped)):
            # Cloned: parameters that were split from one stored tensor share its memory.
            kept = {min(names) for names in _distinct(unwrapped)}
            state = {
                name: weight.clone(memory_format=torch.contiguous_format)
                for name, weight in unwrapped.state_dict().items()
                if name in kept
            }
            safetensors.torch.save_file(state, folder / STATE_FILE, {"format": "pt"})


def load_weights(model: Any, folder: Path) -> None:
    """Load the weights of a checkpoint into the unwrapped model that it was made from.

    Raises RuntimeError if a name or a shape is not exactly that of the model, and UserError if an
    adapter was trained beside other weights than those of the model.
    """
    if has_adapter(model):
        load_adapter(model, folder / ADAPTER)
        return
    state_file = folder / STATE_FILE
    files = [state_file] if state_file.exists() else _model_files(folder)
    weights = {
        name: weight for file in files for name, weight in safetensors.torch.load_file(file).items()
    }
    missing, unexpected = model.load_state_dict(weights, strict=False)
    shared = _names_of_shared(model)
    missing = [name for name in missing if not shared.get(name, set()) & weights.keys()]
    if missing or unexpected:
        raise RuntimeError(
            f"{folder}: not the weights of this model: missing {missing}, unexpected {unexpected}"
        )


def merge_for_good(accelerator: Any, model: Any) -> None:
    """Add the adapter of a prepared model to its weights, so that the saved model is scored."""
    merge_adapter(accelerator.unwrap_model(model, keep_torch_compile=False))


def restore_weights(accelerator: Any, model: Any, folder: Path) -> None:
    """Load the weights of a checkpoint into a prepared model, whole or sharded; on every process.

    The optimizer is not restored, except under DeepSpeed, whose engine holds the weights in it.
    """
    from accelerate.utils import DistributedType, load_fsdp_model

    if accelerator.distributed_type == DistributedType.FSDP:
        load_fsdp_model(accelerator.state.fsdp_plugin, accelerator, model, str(folder))
    elif accelerator.distributed_type == DistributedType.DEEPSPEED:
        model.load_checkpoint(str(folder))
    else:
        load_weights(accelerator.unwrap_model(model, keep_torch_compile=False), folder)


def restore_best(accelerator: Any, model: Any, output_dir: Path, progress: Progress) -> None:
    """Load the weights that had the best score; raise UserError if their checkpoint is gone."""
    if progress.best_checkpoint is None:
        return
    # The main process alone knows the id of the run, unless it is resumed.
    folder = on_main_process(accelerator.state, lambda: _checked_best(output_dir, progress))
    restore_weights(accelerator, model, checkpoint_of_machine(folder, accelerator.state))


def _checked_best(output_dir: Path, progress: Progress) -> Path:
    folder = output_dir / str(progress.best_checkpoint)
    if problem := damage_of_best(output_dir, progress):
        raise UserError(
            f"{folder}: the checkpoint of the best score cannot be loaded: {problem}. No model was "
            "saved. Restore the folder, or leave out --load_best_model_at_end to keep the last "
            "weights, and resume with --resume_from_checkpoint."
        )
    return folder


def save_weights_once(accelerator: Any) -> None:
    """Let `accelerator.save_state` leave the weights of whole models to `save_model`.

    accelerate would write them a second time, under the names of `state_dict`, and
    `load_state` would read that file. Sharded weights are saved by their libraries.
    """
    accelerator.register_save_state_pre_hook(lambda models, weights, folder: weights.clear())

    def load(models: list[Any], folder: str) -> None:
        while models:
            model = accelerator.unwrap_model(models.pop(), keep_torch_compile=False)
            load_weights(model, Path(folder))

    accelerator.register_load_state_pre_hook(load)


# --- Names ----------------------------------------------------------------------------------


def _model_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("model*.safetensors"))


def _shapes(file: Path) -> list[tuple[str, tuple[int, ...]]]:
    with safetensors.safe_open(file, framework="pt") as weights:
        names = list(weights.keys())
        return [(name, tuple(weights.get_slice(name).get_shape())) for name in names]


def _names_of_shared(model: Any) -> dict[str, set[str]]:
    """Return, for each name of a weight, all names under which the model uses it."""
    by_weight: dict[int, set[str]] = {}
    named = [*model.named_parameters(remove_duplicate=False)]
    named += [*model.named_buffers(remove_duplicate=False)]
    for name, weight in named:
        by_weight.setdefault(id(weight), set()).add(name)
    return {name: names for names in by_weight.values() for name in names}


def _distinct(model: Any) -> set[frozenset[str]]:
    shared = _names_of_shared(model)
    return {frozenset(shared.get(name, {name})) for name in model.state_dict()}
