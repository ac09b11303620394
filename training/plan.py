"""The plan of a run: decided before the model is loaded, then followed by the training loop."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from corpus.documents import digest_of, document_numbers
from corpus.load import Corpus
from encoder.batches import WindowSet
from settings.defaults import model_title
from settings.run_settings import CheckpointSettings, Settings
from support.errors import UserError, on_main_process
from training.calendar import Calendar
from training.checkpoints import (
    damage_of_best,
    find_checkpoint,
    other_hardware,
    read_progress,
)
from training.machines import check_same_run, checkpoint_of_machine
from training.order import TrainingOrder, seed_step
from training.progress import BestScore, Progress
from training.runtime import hardware_of


@dataclass(frozen=True)
class Plan:
    """The steps to train, what happens after each, and the checkpoint to resume from."""

    order: TrainingOrder
    calendar: Calendar
    num_train_epochs: float  # in force, unless --max_steps is
    warmup_steps: int
    accumulation: int  # batches of a step
    seed: int
    process_index: int
    best: BestScore
    patience: int | None  # evaluations in a row without a better score that end the run
    identity: dict[str, Any]  # of the run: see `results.output_folder.run_identity`
    conditions: dict[str, Any]  # those of a checkpoint must be equal to resume from it
    hardware: dict[str, Any]  # see `training.runtime.hardware_of`
    checkpoint: Path | None  # to resume from
    note: str | None  # on resuming, for the user

    @property
    def total_steps(self) -> int:
        """Return the number of steps of the run."""
        return self.calendar.total_steps

    @property
    def restored_name(self) -> str | None:
        """Return the name of the checkpoint to resume from, or None."""
        return None if self.checkpoint is None else self.checkpoint.name

    def restored_progress(self) -> Progress:
        """Return the progress of the checkpoint to resume from, or that of a new run."""
        return Progress() if self.checkpoint is None else read_progress(self.checkpoint)

    def is_over(self, progress: Progress) -> bool:
        """Return whether no step is left: all are done, or patience is over."""
        return progress.step >= self.total_steps or progress.patience_is_over(self.patience)

    def owes_evaluation(self, progress: Progress) -> bool:
        """Return whether an evaluation is due before the next step.

        A stopped run saves its checkpoint without the evaluation; the resumed run makes up for it.
        """
        if progress.step == 0:
            return self.calendar.intervals.eval_on_start
        missed = progress.scored_step != progress.step
        return missed and self.calendar.evaluates_at(progress.step)

    def num_windows(self, first_step: int, last_step: int) -> int:
        """Return the number of windows of the steps [first_step, last_step), without fillers."""
        total, num_windows = 0, len(self.order.lengths)
        epoch_steps, step_size = self.calendar.epoch_steps, self.order.step_size
        for epoch in range(first_step // epoch_steps, math.ceil(last_step / epoch_steps)):
            self.order.epoch = epoch
            start = max(first_step - epoch * epoch_steps, 0) * step_size
            end = min(last_step - epoch * epoch_steps, epoch_steps) * step_size
            total += sum(window != num_windows for window in islice(self.order, start, end))
        return total

    def epochs_left(self, progress: Progress) -> Iterator[int]:
        """Yield the numbers of the epochs that have steps left."""
        for epoch in range(progress.step // self.calendar.epoch_steps, self.calendar.num_epochs):
            if self.is_over(progress):
                return
            yield epoch

    def steps_left(
        self, accelerator: Any, loader: Any, epoch: int, progress: Progress
    ) -> Iterator[list[dict[str, Any]]]:
        """Yield the micro-batches of each step that is left of an epoch.

        `loader`: loads the windows in `order`; prepared by the accelerator.
        """
        self.order.epoch = epoch
        epoch_steps = self.calendar.epoch_steps
        steps_done = progress.step - epoch * epoch_steps
        batches = iter(accelerator.skip_first_batches(loader, steps_done * self.accumulation))
        for step in range(progress.step, min((epoch + 1) * epoch_steps, self.total_steps)):
            if self.is_over(progress):
                return
            # Fetched before the seed is set, because creating the iterator draws random numbers.
            micro_batches = list(islice(batches, self.accumulation))
            seed_step(self.seed, step, self.process_index)
            yield micro_batches


def plan_training(
    settings: Settings,
    corpus: Corpus,
    tokenizer: Any,
    windows: dict[str, WindowSet],
    window_length: int,
    best: BestScore,
    *,
    context: int,
    identity: dict[str, Any],
    precision: str,
    state: Any,
    saved_by: str,
) -> Plan | None:
    """Return the steps to train and the checkpoint to resume from; None without training.

    `context`: the maximum number of sub-words of neighbouring sentences on each side.
    `state`: accelerate's `PartialState`. `saved_by`: the library that writes the checkpoints,
    "accelerate" or "Trainer"; neither reads those of the other. Raises UserError if there is
    nothing to train on, or if the checkpoint to resume from is missing, damaged or from a run
    under other conditions.
    """
    _check_splits(settings, corpus)
    tokenizer_digest = _tokenizer_digest(tokenizer)
    check_same_run(
        settings,
        corpus,
        state,
        tokenizer=tokenizer_digest,
        window_length=window_length,
        context=context,
        precision=precision,
    )
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
    data_seed = training.seed if training.data_seed is None else training.data_seed
    order = TrainingOrder(
        windows["train"].lengths,
        step_size,
        batch_size,
        data_seed,
        training.group_by_length,
        windows["train"].lengths_alone,
    )
    # Steps of the optimizer count, so that all ways to cut a step have the same epochs.
    num_train_epochs = training.epochs_of(order.steps)
    total_steps = training.max_steps
    if total_steps <= 0:
        total_steps = math.ceil(num_train_epochs * order.steps)
    intervals = settings.intervals
    validation = corpus.splits.get("validation")
    if validation is None or "labels" not in validation.column_names:
        _refuse_need_of_scores(
            settings,
            f"{corpus.name} has no labelled validation split. Name one with --validation_file, or "
            "leave the flag out.",
        )
        intervals = dataclasses.replace(intervals, eval_strategy="no", eval_on_start=False)
    calendar = Calendar(order.steps, total_steps, intervals, checkpoints.load_best_model_at_end)
    if intervals.eval_delay and not calendar.evaluates_at(total_steps):
        _refuse_need_of_scores(
            settings,
            f"--eval_delay {intervals.eval_delay:g} is longer than the run, which has "
            f"{total_steps} steps in {calendar.num_epochs} epochs. Use a shorter one.",
            has_start=True,
        )
    conditions = {
        "saved by": saved_by,
        "corpus": f"{corpus.name} {corpus.fingerprint}",
        "labels": corpus.label_names,
        "sentences of each split": {name: len(split) for name, split in corpus.splits.items()},
        "model": model_title(settings.model.model_name_or_path),
        "tokenizer": tokenizer_digest,
        "window length": window_length,
        "context": [context, digest_of(document_numbers(corpus, "train")) if context else None],
        "processes": state.num_processes,
        "sharded by": training.sharded_by,
        "steps": total_steps,
        "precision": precision,
        "best score": [best.name, best.greater_is_better],
    } | settings.weight_flags
    conditions["num_train_epochs"] = num_train_epochs
    conditions = json.loads(json.dumps(conditions))  # as they are read from a manifest
    checkpoint = on_main_process(
        state, lambda: _find_checkpoint(checkpoints, settings.output_dir, conditions)
    )
    if checkpoint is not None:
        checkpoint = checkpoint_of_machine(checkpoint, state)
    hardware = hardware_of(state.device)
    return Plan(
        order=order,
        calendar=calendar,
        num_train_epochs=num_train_epochs,
        warmup_steps=calendar.whole_steps(training.warmup_steps),
        accumulation=accumulation,
        seed=training.seed,
        process_index=state.process_index,
        best=best,
        patience=checkpoints.early_stopping_patience,
        identity=identity,
        conditions=conditions,
        hardware=hardware,
        checkpoint=checkpoint,
        note=None if checkpoint is None else other_hardware(checkpoint, hardware),
    )


def _check_splits(settings: Settings, corpus: Corpus) -> None:
    """Raise UserError for requested stages whose split the corpus lacks.

    All stages together are the default, which leaves out what the corpus does not have.
    """
    if settings.do_train and settings.do_eval and settings.do_predict:
        return
    needs = {"do_eval": "validation", "do_predict": "test"}
    problems = [
        f"--{stage}: {corpus.name} has no {split} split. Name one with --{split}_file, or leave "
        f"out --{stage}."
        for stage, split in needs.items()
        if getattr(settings, stage) and split not in corpus.splits
    ]
    if problems:
        raise UserError("\n".join(problems))


def _find_checkpoint(
    settings: CheckpointSettings, output_dir: Path, conditions: dict[str, Any]
) -> Path | None:
    """Return the checkpoint to resume from, once the one of the best score is checked too."""
    checkpoint = find_checkpoint(settings.resume_from_checkpoint, output_dir, conditions)
    if checkpoint is not None and settings.load_best_model_at_end:
        progress = read_progress(checkpoint)
        best_name = progress.best_checkpoint
        if best_name and (problem := damage_of_best(output_dir, progress)):
            raise UserError(
                f"{output_dir / best_name}: damaged checkpoint of the best score: {problem}. "
                "Restore it, or leave out --load_best_model_at_end to keep the last weights."
            )
    return checkpoint


def _refuse_need_of_scores(settings: Settings, reason: str, has_start: bool = False) -> None:
    """Raise UserError for flags that need scores, because the run never evaluates.

    `reason`: the cause and the advice. `has_start`: whether --eval_on_start can be honoured.
    """
    checkpoints, intervals = settings.checkpoints, settings.intervals
    schedule = settings.training.lr_scheduler_type
    needs = {
        "--load_best_model_at_end": checkpoints.load_best_model_at_end,
        "--early_stopping_patience": checkpoints.early_stopping_patience is not None,
        "--save_strategy best": intervals.save_strategy == "best",
        "--eval_on_start": intervals.eval_on_start and not has_start,
        f"--lr_scheduler_type {schedule}": schedule in ("reduce_lr_on_plateau", "greedy"),
    }
    if needing := [flag for flag, is_given in needs.items() if is_given]:
        raise UserError(f"{', '.join(needing)}: {reason}")


def _tokenizer_digest(tokenizer: Any) -> str:
    """Return a digest of a tokenizer's rules, without truncation and padding."""
    rules = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    return hashlib.blake2b(json.dumps(rules).encode(), digest_size=8).hexdigest()
