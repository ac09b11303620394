"""The rows of text that a run prints before it trains: what it will do, and with what."""

import socket
from typing import Any

from corpus.documents import document_numbers, has_neighbours
from corpus.load import Corpus
from settings.defaults import model_title
from settings.run_settings import ModelSettings, Settings, TrainingSettings
from support.processes import on_several_machines
from support.text import counted, shortened
from training.plan import Plan


def run_rows(
    settings: Settings, corpus: Corpus, config: Any, plan: Plan, state: Any, precision: str
) -> dict[str, str]:
    """Return the rows by name: corpus, labels, model, training, device, output and others.

    `config`: the model's configuration. `state`: accelerate's `PartialState`. `precision`: the name
    of the training precision.
    """
    training = settings.training
    batch = f"{training.per_device_train_batch_size}"
    if training.gradient_accumulation_steps > 1:
        batch += f" x {training.gradient_accumulation_steps} accumulated"
    if state.num_processes > 1:
        batch += f" x {state.num_processes} processes"
    rows: dict[str, str | None] = {
        "corpus": corpus_row(settings, corpus),
        "labels": f"{len(corpus.label_names)}: {shortened(corpus.label_names, 60)}",
        "model": model_title(settings.model.model_name_or_path),
    }
    if config.context:
        documents = "; ".join(documents_text(corpus, split) for split in corpus.splits)
        rows["context"] = f"{config.context} sub-words on each side ({documents})"
    rows["training"] = (
        f"{plan.total_steps} steps of {batch} sentences, learning rate "
        f"{training.learning_rate:g}{_decay_of_layers(training)}, {training.lr_scheduler_type}"
    )
    rows["weights"] = _trained_weights(settings.model)
    if more := more_epochs(training, plan.num_train_epochs):
        rows["epochs"] = f"{more}; --num_train_epochs sets another number"
    rows["device"] = f"{state.device}, {precision}"
    machine = f", on {socket.gethostname()}" if on_several_machines() else ""
    rows["output"] = f"{settings.output_dir}{machine}"
    return {name: text for name, text in rows.items() if text}


def corpus_row(settings: Settings, corpus: Corpus) -> str:
    """Describe the corpus: its name, the task, the sentences of each split."""
    counts = ", ".join(f"{name} {len(split)}" for name, split in corpus.splits.items())
    return f"{corpus.name} ({settings.corpus.task_name}; {counts} sentences)"


def documents_text(corpus: Corpus, split: str) -> str:
    """Describe the documents of a split, and the files that are one each."""
    numbers = document_numbers(corpus, split)
    if not has_neighbours(numbers):
        return f"{split}: each sentence alone, because it has no documents"
    files = len(corpus.whole_files.get(split, ()))
    of_files = ", each file without documents of its own being one" if files else ""
    return f"{split}: {counted(int(numbers[-1]) + 1, 'document')}{of_files}"


def more_epochs(training: TrainingSettings, num_train_epochs: float) -> str | None:
    """Describe the epochs of a small corpus, if it gets more than the recipe has."""
    if num_train_epochs == training.num_train_epochs:
        return None
    fewest, most = training.fewest_steps, training.most_epochs
    return (
        f"{num_train_epochs:g} instead of {training.num_train_epochs:g}, because the corpus is "
        f"small: at least {fewest} steps, or the limit of {most} epochs"
    )


def _decay_of_layers(training: TrainingSettings) -> str:
    """Describe the learning rates of the layers; empty if they are the same."""
    decay = training.layerwise_lr_decay
    return f" (times {decay:g} for each layer below the top one)" if decay != 1 else ""


def _trained_weights(model: ModelSettings) -> str:
    """Describe the weights that are trained; empty if they are all of them."""
    parts = []
    if model.lora_rank is not None:
        parts.append(f"LoRA of rank {model.lora_rank} and the head are trained")
    if model.freeze_layers is not None:
        layers = f" and {counted(model.freeze_layers, 'layer')}" if model.freeze_layers else ""
        parts.append(f"embeddings{layers} are frozen")
    return "; ".join(parts)
