"""A pretrained encoder with a head for the corpus's labels: configuration, labels, weights.

torch and transformers are imported by the functions that need them, so that `--help` of the
scripts need not wait for them.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from encoder.architecture import load_base_config
from encoder.cpu import enabled
from encoder.errors import loading
from encoder.layers import check_freezing, freeze_layers
from encoder.lora import add_adapter, check_lora
from encoder.model_folder import check_weights, weights_of
from encoder.positions import without_weights
from encoder.traits import embedding_table
from settings.defaults import model_title
from settings.run_settings import ModelSettings
from support.errors import UserError
from support.text import counted, printable, shortened

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

    from corpus.load import Corpus

# A network with more than this many times its saved weights is not the one that was saved.
MOST_NEW = 8
NEW_HEAD = 10_000_000  # weights of a new head at most, whatever the size of the encoder
# Sub-words of neighbouring sentences that the windows of a model trained here show on each side.
DEFAULT_CONTEXT = 0
LAYER_NUMBER = re.compile(r"\.[0-9]+\.")
# The values in a model's configuration that are chosen on the validation split.
CALIBRATION = ("score_temperature", "score_offset", "outside_bias", "min_entity_score")


def load_config(
    model: ModelSettings, label_names: Sequence[str], *, do_train: bool
) -> PretrainedConfig:
    """Return the model's configuration, with the corpus's labels.

    A model whose head already has these labels, and perhaps more, keeps its own list of them;
    `match_labels` then maps the corpus to it. Raises UserError for a head with other labels, for
    layers to freeze or to adapt that the model does not have, and, if nothing is trained, for a
    model without a head.
    """
    config = load_base_config(model)
    if do_train and model.freeze_layers is not None:
        check_freezing(config, model.freeze_layers)
    if do_train and model.lora_rank is not None:
        check_lora(config, model.lora_rank, model.freeze_layers)
    has_head = any("ForTokenClassification" in a for a in config.architectures or [])
    model_labels = [config.id2label[i] for i in range(config.num_labels)]
    if has_head and set(label_names) <= set(model_labels):
        # Some published configurations have id2label only.
        config.label2id = {label: i for i, label in enumerate(model_labels)}
        return config
    title = model_title(model.model_name_or_path)
    if has_head and not (model.ignore_mismatched_sizes and do_train):
        raise UserError(
            f"{title}: its head has other labels than the corpus.\n"
            f"  {len(model_labels)} labels of the model: {', '.join(model_labels)}\n"
            f"  {len(label_names)} labels of the corpus: {', '.join(label_names)}\n"
            "Choose another model, or train a new head with --ignore_mismatched_sizes."
        )
    if not do_train:
        raise UserError(
            f"{title}: nothing to score: the model has no head for token classification. Add "
            "--do_train to train one, or choose a model that has one."
        )
    config.use_cache = False  # an encoder has no cache; Trainer writes the same
    config.id2label = dict(enumerate(label_names))
    config.label2id = {label: i for i, label in enumerate(label_names)}
    return config


def splitter_to_keep(model: ModelSettings, *, do_train: bool) -> str | None:
    """Return the name of the word splitter of a model that is only scored; None for the newest."""
    if do_train:
        return None
    splitter: str | None = getattr(load_base_config(model), "word_splitter", None)
    return splitter


def remember_encoding(
    config: PretrainedConfig, window_length: int, task_name: str, word_splitter: str
) -> None:
    """Store in the model's configuration what `infer.py` needs to encode text the same way."""
    config.word_splitter = word_splitter
    config.window_length = window_length
    config.task_name = task_name


def choose_context(
    config: PretrainedConfig, requested: int | None, corpus: Corpus, *, do_train: bool
) -> None:
    """Store in the model's configuration how many sub-words of context its windows show.

    `requested`: the user's choice, or None. Raises UserError if context is requested for a corpus
    in which no two neighbouring sentences are of one document.
    """
    # Imported here, because `infer.py` starts without pyarrow.
    from corpus.documents import document_numbers, has_neighbours

    default = DEFAULT_CONTEXT if do_train else getattr(config, "context", 0)
    config.context = default if requested is None else requested
    if not config.context or not (do_train or requested):
        return
    splits = ["train"] if do_train and "train" in corpus.splits else list(corpus.splits)
    if any(has_neighbours(document_numbers(corpus, split)) for split in splits):
        return
    if requested:
        raise UserError(
            f"--context {requested}: got no document of several sentences in "
            f"{' or '.join(splits)}, expected lines with -DOCSTART- or # newdoc, a field such as "
            "doc_id, or several files of columns. Mark the documents, or leave the flag out."
        )
    config.context = 0


def choose_decoding(
    config: PretrainedConfig, requested: str | None, entity_tags: bool, *, do_train: bool
) -> None:
    """Store in the model's configuration how its tags are decoded, "viterbi" or "argmax".

    If the model is trained, the calibration and operating point of its initial weights are removed.

    `requested`: the user's choice, or None. By default, a model trained here decodes the most
    probable legal sequence. Other models keep the value of their configuration, or else the most
    probable tag of each word, because their labels may be IOB1. Raises UserError if legal sequences
    are requested for labels that are not IOB2.
    """
    for name in CALIBRATION:
        if do_train and hasattr(config, name):
            delattr(config, name)
    default = "viterbi" if do_train else getattr(config, "decode", "argmax")
    config.decode = (requested or default) if entity_tags else "argmax"
    others = [name for name in config.id2label.values() if name[:1] not in ("O", "B", "I")]
    if requested == "viterbi" and entity_tags and others:
        raise UserError(
            f"--decode viterbi: got a model with the label {others[0]}, expected labels in IOB2. "
            "Use --decode argmax."
        )


def match_labels(corpus: Corpus, config: PretrainedConfig) -> Corpus:
    """Return the corpus with the model's label ids, mapped by name."""
    label_names = [config.id2label[i] for i in range(config.num_labels)]
    if label_names == corpus.label_names:
        return corpus
    new_ids = [config.label2id[name] for name in corpus.label_names]

    def relabel(row: dict[str, Any]) -> dict[str, list[int]]:
        return {"labels": [new_ids[label] for label in row["labels"]]}

    splits = {
        name: split.map(relabel) if "labels" in split.column_names else split
        for name, split in corpus.splits.items()
    }
    return dataclasses.replace(corpus, splits=type(corpus.splits)(splits), label_names=label_names)


def load_model(
    model: ModelSettings,
    config: PretrainedConfig,
    device: torch.device,
    *,
    do_train: bool,
    sharded_by: str | None = None,
    train_token_ids: Sequence[int] | np.ndarray | None = None,
    optim: str = "adamw_torch_fused",
    cpu_dropout: bool = True,
    occurring_rows_only: bool = True,
) -> PreTrainedModel:
    """Return the encoder in fp32 with a head for the labels of `config`.

    A new head is drawn from torch's seed. The caller moves the model to `device`. `sharded_by`:
    "FSDP" or "DeepSpeed", if they are to split the parameters. `train_token_ids`: the distinct
    sub-words of the training split. `optim`: Trainer's name of the optimizer. The layers of
    `model.freeze_layers` are frozen, and an adapter of `model.lora_rank` is trained. Two speed-ups
    apply unless switched off here or by `encoder.cpu.enabled`: `cpu_dropout` (see
    `encoder.cpu.dropout`), on a CPU, and `occurring_rows_only` (see `encoder.cpu.embeddings`), in
    training without sharding and with an elementwise optimizer. Raises UserError if the weights
    cannot be loaded.
    """
    from transformers import AutoConfig

    from encoder.cpu.dropout import use_cpu_dropout
    from encoder.cpu.embeddings import ELEMENTWISE, train_occurring_rows

    drops_on_cpu = cpu_dropout and device.type == "cpu" and enabled("dropout")
    trains_some_rows = do_train and not sharded_by and optim in ELEMENTWISE
    trains_some_rows = trains_some_rows and occurring_rows_only and enabled("embeddings")
    trained_rows = train_token_ids if trains_some_rows else None
    # Under FSDP every process must load the weights, not the main one alone: otherwise a new head
    # has no memory in the others, and accelerate identifies parameters by address. Without
    # training, nothing would send them the weights at all.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    if not do_train:  # nothing is sharded then; ZeRO 3 would load the weights in pieces
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()
    name = model.model_name_or_path
    network = load_network(model, config, "float32", new_head=do_train)
    with loading("model", name):
        saved_labels = AutoConfig.from_pretrained(name, **model.hub_options).id2label
    if saved_labels != config.id2label and len(saved_labels) == len(config.id2label):
        _renew_head(network)  # from_pretrained compares sizes only, so it loaded the old head
    if do_train and model.freeze_layers is not None:
        freeze_layers(network, model.freeze_layers, train_token_ids)
    if do_train and model.lora_rank is not None:
        add_adapter(network, model.lora_rank, model.freeze_layers)
    if drops_on_cpu:
        use_cpu_dropout(network)
    if sharded_by:
        _let_accelerate_shard_embeddings(network)
    if trained_rows is not None:
        train_occurring_rows(network, trained_rows)
    return network


def load_network(
    model: ModelSettings, config: PretrainedConfig, dtype: str | torch.dtype, *, new_head: bool
) -> PreTrainedModel:
    """Return a network with the saved weights; raise UserError unless they are its weights.

    `new_head`: whether the head may have other labels than the saved one, or be missing. It is
    then drawn from torch's seed. Of the encoder, every weight must be there, in its shape.
    """
    from transformers import AutoModelForTokenClassification

    name = model.model_name_or_path
    with loading("model", name), weights_of(name, model.hub_options) as folder:
        saved = check_weights(folder)
    if saved is not None and not getattr(config, "quantization_config", None):
        _check_size(config, name, saved)
    with loading("model", name):
        network, report = AutoModelForTokenClassification.from_pretrained(
            name,
            config=config,
            dtype=dtype,
            ignore_mismatched_sizes=True,  # reported below
            output_loading_info=True,
            **model.hub_options,
        )
    _check_report(network, report, name, new_head=new_head)
    return network


def _check_size(config: PretrainedConfig, name: str, saved: int) -> None:
    """Raise UserError if a network has far more weights than were saved; it may not fit in memory.

    A network that shares weights, or gets new ones, has a few times as many.
    """
    network = without_weights(config)
    if network is None:
        return
    needed = sum(parameter.numel() for parameter in network.parameters())
    if needed > MOST_NEW * saved + NEW_HEAD:
        raise UserError(
            f"{name}: config.json belongs to another model: got sizes for {needed:,} weights, "
            f"expected about {saved:,} as in the files of weights."
        )


def _check_report(
    network: PreTrainedModel, report: Mapping[str, Any], name: str, *, new_head: bool
) -> None:
    """Raise UserError if saved weights do not fit the network (`report`: transformers')."""
    import torch

    missing, misshapen = set(report["missing_keys"]), {key for key, *_ in report["mismatched_keys"]}
    names = {name for name, _ in network.named_parameters()}
    surplus = set()
    if new_head:
        misshapen = _of_encoder(network, misshapen)
        missing = _damage(_of_encoder(network, missing), _of_encoder(network, names))
    else:
        layers = {LAYER_NUMBER.sub(".*.", name) for name in names}
        surplus = {
            name
            for name in report["unexpected_keys"]
            if LAYER_NUMBER.search(name) and LAYER_NUMBER.sub(".*.", name) in layers
        }
    infinite = [
        name
        for name, values in network.named_parameters()
        if not values.is_meta and not torch.isfinite(values.detach().sum()).item()
    ]
    problems = {
        "missing": missing,
        "of another shape": misshapen,
        "of layers that config.json does not have": surplus,
        "not finite": infinite,
    }
    lines = [
        f"{counted(len(w), 'weight')} {kind}: {shortened(sorted(w))}"
        for kind, w in problems.items()
        if w
    ]
    if lines:
        raise UserError(
            f"{name}: the saved weights do not fit the configuration:\n  "
            + "\n  ".join(map(printable, lines))
            + "\nThe files are damaged, or do not belong together. Get them again from where the "
            "model came from."
        )


def _of_encoder(network: PreTrainedModel, names: set[str]) -> set[str]:
    """Return those of a network's weights that are not its head's."""
    prefix = f"{network.base_model_prefix}."
    return {name for name in names if name.startswith(prefix)}


def _damage(missing: set[str], names: set[str]) -> set[str]:
    """Return the weights of an encoder whose absence is damage: others of their part are there.

    A whole part may be new, such as a pooler or decoder that pretraining did not have, if most of
    the encoder is there. `names`: all weights of the encoder.
    """

    def part(name: str) -> str:
        return ".".join(name.split(".")[:2])

    if 2 * len(missing) > len(names):
        return missing
    there = {part(name) for name in names - missing}
    return {name for name in missing if part(name) in there}


def _let_accelerate_shard_embeddings(network: PreTrainedModel) -> None:
    """Take the modules that hold the table of embeddings out of those that FSDP shards whole.

    FSDP's usual policy shards the modules that a model names. accelerate then shards the table by
    itself, which fails if it lies in one of those modules, as in BERT.
    """
    table = embedding_table(network)
    holders = {type(m).__name__ for m in network.modules() for part in m.modules() if part is table}
    named = network._no_split_modules or []
    network._no_split_modules = [name for name in named if name not in holders]


def _renew_head(network: PreTrainedModel) -> None:
    """Draw the weights of all modules outside the encoder again."""
    for name, child in network.named_children():
        if name != network.base_model_prefix:
            for module in child.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
