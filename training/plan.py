"""The plan of a run: decided before the model is loaded, then followed by the training loop."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from corpus.load import Corpus
from encoder.batches import WindowSet
from settings.defaults import model_title
from settings.run_settings import Settings
from support.errors import UserError
from training.checkpoints import damage, find_checkpoint, read_progress
from training.order import TrainingOrder, seed_step
from training.progress import BestScore, Progress


@dataclass(frozen=True)
class Plan:
    """The steps to train and the checkpoint to resume from."""

    order: TrainingOrder
    total_steps: int
    warmup_steps: float  # not rounded
    accumulation: int  # batches of a step
    # Labelled sub-words of a step, on average. The loss of each step is divided by this number, so
    # that all sub-words have the same weight. Divided by the step's own number, it would give more
    # weight to the sub-words of short sentences, which share a step.
    num_labelled: float
    seed: int
    process_index: int
    best: BestScore
    patience: int | None  # epochs without a better score that end the run
    conditions: dict[str, Any]  # those of a checkpoint must be equal to resume from it
    checkpoint: Path | None  # to resume from

    def restored_progress(self) -> Progress:
        """Return the progress of the checkpoint to resume from, or that of a new run."""
        return Progress() if self.checkpoint is None else read_progress(self.checkpoint)

    def is_over(self, progress: Progress) -> bool:
        """Return whether no step is left: all are done, or patience is over."""
        return progress.step >= self.total_steps or progress.patience_is_over(self.patience)

    def epochs_left(self, progress: Progress) -> Iterator[int]:
        """Yield the numbers of the epochs still to train; patience is checked before each."""
        for epoch in range(progress.epochs_done, math.ceil(self.total_steps / self.order.steps)):
            if progress.patience_is_over(self.patience):
                return
            yield epoch

    def steps_left(
        self, accelerator: Any, loader: Any, epoch: int, progress: Progress
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the micro-batches of each step that is left of an epoch.

        `loader`: loads the windows in `order`; prepared by the accelerator.
        """
        self.order.epoch = epoch
        steps_done = progress.step - epoch * self.order.steps
        batches = iter(accelerator.skip_first_batches(loader, steps_done * self.accumulation))
        for step in range(progress.step, min((epoch + 1) * self.order.steps, self.total_steps)):
            # Fetched before the seed is set, because creating the iterator draws random numbers.
            micro_batches = list(islice(batches, self.accumulation))
            seed_step(self.seed, step, self.process_index)
            yield micro_batches


def plan_training(
    settings: Settings,
    corpus: Corpus,
    windows: dict[str, WindowSet],
    window_length: int,
    best: BestScore,
    precision: str,
    state: Any,
) -> Plan | None:
    """Return the steps to train and the checkpoint to resume from; None without training.

    `state`: accelerate's `PartialState`. Raises UserError if there is nothing to train on, or if
    the checkpoint is missing, damaged or from a run under other conditions.
    """
    if not settings.do_train:
        return None
    if "train" not in windows or len(windows["train"]) == 0:
        raise UserError(
            f"{corpus.name}: nothing to train on. Name a corpus with --train_file or "
            "--dataset_name, or use --do_eval or --do_predict alone."
        )
    training, checkpoints = settings.training, settings.checkpoints
    batch_size, accumulation = (
        training.per_device_train_batch_size,
        training.gradient_accumulation_steps,
    )
    step_size = batch_size * accumulation * state.num_processes
    order = TrainingOrder(
        windows["train"].lengths, step_size, training.seed, training.group_by_length
    )
    total_steps = training.max_steps
    if total_steps <= 0:
        total_steps = math.ceil(training.num_train_epochs * order.steps)
    warmup = training.warmup_steps
    conditions = {
        "corpus": f"{corpus.name} {corpus.fingerprint}",
        "labels": corpus.label_names,
        "model": model_title(settings.model.model_name_or_path),
        "window length": window_length,
        "label all tokens": settings.windows.label_all_tokens,
        "sentences of each split": {name: len(split) for name, split in corpus.splits.items()},
        "batch size of a process": batch_size,
        "batches of a step": accumulation,
        "processes": state.num_processes,
        "sharded by": training.sharded_by,
        "steps": total_steps,
        "learning rate": [training.learning_rate, training.lr_scheduler_type, warmup],
        "weight decay, clipping": [training.weight_decay, training.max_grad_norm],
        "seed": training.seed,
        "grouped by length": training.group_by_length,
        "precision": precision,
    }
    output_dir = settings.output.output_dir
    checkpoint = find_checkpoint(checkpoints.resume_from_checkpoint, output_dir, conditions)
    if checkpoint is not None and checkpoints.load_best_model_at_end:
        best_name = read_progress(checkpoint).best_checkpoint
        if best_name and (problem := damage(output_dir / best_name)):
            raise UserError(
                f"{output_dir / best_name}: damaged checkpoint of the best epoch: {problem}. "
                "Restore it, or leave out --load_best_model_at_end to keep the last epoch."
            )
    return Plan(
        order=order,
        total_steps=total_steps,
        warmup_steps=warmup if warmup >= 1 else warmup * total_steps,
        accumulation=accumulation,
        num_labelled=max(windows["train"].count_labelled(), 1) / order.steps,
        seed=training.seed,
        process_index=state.process_index,
        best=best,
        patience=checkpoints.early_stopping_patience,
        conditions=conditions,
        checkpoint=checkpoint,
    )
