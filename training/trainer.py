"""`Trainer` with the suite's order of the data, loss, evaluation and checkpoints.

Only public hooks of Trainer are overridden, except for two private methods of one line each:
`_clip_grad_norm`, because Trainer computes a second norm unless this one returns it, and
`_get_output_dir`, because Trainer writes a checkpoint under its final name.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments
from transformers.optimization import GreedyLR
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

import common
from encoder.batches import WindowSet
from encoder.collate import JoinWindows, PadBatch
from encoder.cpu.clipping import clip_gradients
from settings.run_settings import Settings
from settings.value_types import text_of
from support.files import disk_errors_reported
from training.bar import draws_bars, steps_bar
from training.checkpoints import checkpoint_name, checkpoint_path, delete_old, seal
from training.losses import RunningLoss
from training.optimizer import (
    construction_errors_reported,
    decaying_parameters,
    make_scheduler,
    parameter_groups,
    scale_layer_rates,
    stand_in,
)
from training.order import evaluation_order, seed_step
from training.plan import Plan
from training.progress import Progress
from training.signals import StopSignals
from training.weights import load_weights, save_model, save_state_dict

SAVED_BY = "Trainer"  # the library that writes the checkpoints; the loop cannot read them
SCHEDULES_OF_SCORES = (torch.optim.lr_scheduler.ReduceLROnPlateau, GreedyLR)


class WindowTrainer(Trainer):
    """A Trainer that trains on windows of sub-words and evaluates words."""

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        windows: dict[str, WindowSet],
        collate: JoinWindows | PadBatch,
        tokenizer: Any,
        results: Any,
        plan: Plan | None,
        work: Path,
        layerwise_lr_decay: float = 1.0,
    ):
        """`plan`: None if nothing is trained. `results`: a `results.run_results.RunResults`.

        `work`: see `support.work_folder.lock_output_dir`. `layerwise_lr_decay`: see
        `training.optimizer.scale_layer_rates`.
        """
        if plan is not None:  # known only once the corpus is encoded
            args.num_train_epochs = plan.num_train_epochs
            args.metric_for_best_model = plan.best.name
            args.greater_is_better = plan.best.greater_is_better
            args.warmup_steps = plan.warmup_steps
            args.lr_scheduler_kwargs = scheduler_arguments(args, plan.best.greater_is_better)
        # The plan's calendar decides, through `TrainingCallback`.
        args.logging_strategy = args.eval_strategy = IntervalStrategy.NO
        args.save_strategy = SaveStrategy.NO
        args.logging_first_step = False
        with construction_errors_reported("Trainer"):
            super().__init__(
                model=model,
                args=args,
                train_dataset=windows.get("train"),
                eval_dataset=windows.get("validation"),
                data_collator=collate,
                processing_class=tokenizer,
                compute_loss_func=self._share_of_step if plan is not None else None,
            )
        self.plan: Any = plan  # never None in training
        self.results = results
        self.layerwise_lr_decay = layerwise_lr_decay
        self.progress = Progress()  # replaced by `TrainingCallback`
        self.losses = RunningLoss(self.accelerator, self.progress)
        self.nothing_left = False
        self.staging = work / "checkpoint"
        self.saving: Any = None  # path of the checkpoint being written
        self.remove_callback(DEFAULT_PROGRESS_CALLBACK)  # a different one in a notebook
        if plan is None:
            # Each device holds the whole model: Trainer would shard it, which needs an optimizer.
            self.is_fsdp_enabled = self.is_deepspeed_enabled = False
            self.accelerator.prepare_model(model, device_placement=True, evaluation_mode=True)

    # --- The order of the data ---

    def get_train_dataloader(self) -> DataLoader:
        """Return the loader of the training windows, in the order of the plan."""
        return self._loader(self.train_dataset, self.args.train_batch_size, self.plan.order)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Return the loader of a split's windows, the longest first."""
        windows = self.eval_dataset if eval_dataset is None else eval_dataset
        batch_size = self.args.eval_batch_size
        leaks = self.data_collator.padding_leaks
        order = evaluation_order(windows.lengths, batch_size * self.args.world_size, leaks)
        return self._loader(windows, batch_size, order)

    def _loader(self, windows: Any, batch_size: int, order: Any) -> DataLoader:
        names = ("num_workers", "pin_memory", "persistent_workers", "prefetch_factor", "in_order")
        options = {name: getattr(self.args, f"dataloader_{name}") for name in names}
        context = self.args.dataloader_multiprocessing_context
        return self.accelerator.prepare(
            DataLoader(
                windows,
                batch_size,
                sampler=order,
                collate_fn=self.data_collator,
                multiprocessing_context=context,
                **options,
            )
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Return the micro-batches of a step; none if a resumed run is already over."""
        if self.nothing_left:
            self.control.should_training_stop = True
            return [], None
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    # --- Loss and gradients ---

    def _share_of_step(self, outputs: Any, labels: Any, num_items_in_batch: Any) -> Any:
        """Return the share of these outputs in the step's loss: see `common.token_loss`."""
        smoothing = self.args.label_smoothing_factor
        loss = common.token_loss(outputs.logits, labels, num_items_in_batch, smoothing)
        self.losses.add(loss)
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log values; the loss is the mean since the last logged step, even in a resumed run."""
        if "loss" in logs:
            logs["loss"] = self.losses.log(logs["learning_rate"])
        super().log(logs, start_time)

    # --- Optimizer ---

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """Return the names of the parameters with weight decay, by the rule of both scripts."""
        return decaying_parameters(model)

    def create_optimizer(self, model: Any = None) -> Any:
        """Return the optimizer; raise UserError if it cannot be constructed."""
        if self.optimizer is None:
            with construction_errors_reported(_optimizer_flags(self.args)):
                optimizer = super().create_optimizer(model)
            of_model = self.model if model is None else model
            scale_layer_rates(optimizer, of_model, self.layerwise_lr_decay)
        return self.optimizer

    def _clip_grad_norm(self, model: Any) -> Any:
        return clip_gradients(self.accelerator, model.parameters(), self.args.max_grad_norm)

    # --- Evaluation ---

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[None, tuple[Any, ...], Any]:
        """Predict in fp32.

        Returns (no loss, (log probabilities, losses), word indices in place of labels).
        """
        # Entered for each step: Trainer may add its autocast after evaluation has begun.
        with common.full_precision(self.model):
            *predicted, word_index = common.predict_batch(model, self._prepare_inputs(inputs))
        return None, tuple(predicted), word_index

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Score a split batch by batch; `metric_key_prefix` "test" names the test split."""
        windows = self.eval_dataset if eval_dataset is None else eval_dataset
        split = "test" if metric_key_prefix == "test" else "validation"
        predictions = self.results.no_predictions(split)

        def compute_metrics(batch: Any, compute_result: bool) -> dict[str, float] | None:
            predictions.add(*batch.predictions, word_index=batch.label_ids)
            return self.results.score(split, predictions) if compute_result else None

        self.compute_metrics = compute_metrics
        return super().evaluate(windows, ignore_keys, metric_key_prefix)

    # --- Checkpoints ---

    def train(self, *args: Any, **options: Any) -> Any:
        """Train; report a full disk as a `UserError`, and remove an incomplete checkpoint."""
        try:
            output = super().train(*args, **options)
            # Trainer of another process may still look for checkpoints in `staging`.
            self.accelerator.wait_for_everyone()
            return output
        except Exception as error:
            if self.saving is None:
                raise
            with disk_errors_reported(self.saving):
                raise error
        finally:
            if self.args.should_save:  # a full disk needs the space
                shutil.rmtree(self.staging, ignore_errors=True)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.staging)  # `TrainingCallback.on_save` completes and moves the checkpoint

    def checkpoint_folder(self) -> Path:
        """Return the folder that a checkpoint of the current step is saved in."""
        name = checkpoint_name(SAVED_BY, self.plan.calendar, self.progress.step)
        state = self.args.distributed_state
        return checkpoint_path(Path(self.args.output_dir), name, self.plan.identity, state)

    def save_model(self, output_dir: Any = None, _internal_call: bool = False) -> None:
        """Save the whole model, even if FSDP shards it, without `training_args.bin`.

        Trainer would save sharded weights in pieces, and all arguments in that pickle.
        """
        folder = Path(output_dir or self.args.output_dir)
        self.saving = self.checkpoint_folder() if _internal_call else folder
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
        model, step = self.model_wrapped, self.progress.step
        save_model(self.accelerator, model, self.processing_class, folder, step)
        if _internal_call and not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            save_state_dict(self.accelerator, model, folder)


def scheduler_arguments(args: TrainingArguments, greater_is_better: bool) -> dict[str, Any]:
    """Return the arguments of the schedule; one that follows a score needs its direction."""
    arguments = dict(args.lr_scheduler_kwargs or {})
    if text_of(args.lr_scheduler_type) in ("reduce_lr_on_plateau", "greedy"):
        arguments.setdefault("mode", "max" if greater_is_better else "min")
    return arguments


def check_trainer_optimizer(args: TrainingArguments, warmup_steps: int, total_steps: int) -> None:
    """Raise UserError if Trainer's optimizer or schedule cannot be constructed.

    Optimizers that need the modules of the model are not tried here: `WindowTrainer` reports
    their errors.
    """
    model = stand_in()
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=args.learning_rate)
    with construction_errors_reported(_optimizer_flags(args)):
        if not args.optim_target_modules:
            optimizer_class, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
            plain = isinstance(optimizer_class, type) and not {"params", "model"} & options.keys()
            if plain and issubclass(optimizer_class, torch.optim.Optimizer):
                optimizer = optimizer_class(parameter_groups(model, args.weight_decay), **options)
    name, arguments = args.lr_scheduler_type, args.lr_scheduler_kwargs
    make_scheduler(optimizer, text_of(name), warmup_steps, total_steps, arguments)


def _optimizer_flags(args: TrainingArguments) -> str:
    flags = f"--optim {text_of(args.optim)}"
    return flags + (f", --optim_args {args.optim_args}" if args.optim_args else "")


class TrainingCallback(ProgressCallback):
    """One progress bar, one line per evaluation; random state of each step; checkpoints; signals.

    The plan's calendar decides when Trainer logs, evaluates and saves.
    """

    def __init__(
        self,
        trainer: WindowTrainer,
        progress: Progress,
        stop_signals: StopSignals,
        settings: Settings,
        pusher: Any,
        write_card: Callable[[Path], None],
    ):
        """`pusher`: a `hub.pusher.Pusher` or None. `write_card` writes the model card."""
        super().__init__()
        self.trainer, self.plan, self.progress = trainer, trainer.plan, progress
        self.calendar = self.plan.calendar
        trainer.progress, trainer.nothing_left = progress, self.plan.is_over(progress)
        log_file = settings.output.log_file
        trainer.losses = RunningLoss(trainer.accelerator, progress, log_file)
        trainer.args.eval_on_start = self.plan.owes_evaluation(progress)
        self.stop_signals, self.pusher, self.write_card = stop_signals, pusher, write_card
        self.save_total_limit = settings.checkpoints.save_total_limit
        self.show_progress = settings.output.show_progress
        self.is_step_done = False  # whether a step was done in this session

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Load the weights of the checkpoint that is resumed from, strictly."""
        if state.is_world_process_zero:
            done = state.global_step
            self.training_bar = steps_bar(state.max_steps, done, shown=self.show_progress)
        self.current_step = state.global_step
        trainer, checkpoint = self.trainer, self.plan.checkpoint
        sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
        if checkpoint is not None and not sharded:
            load_weights(trainer.accelerator.unwrap_model(trainer.model), checkpoint)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch of the order of the data."""
        self.plan.order.epoch = state.global_step // self.calendar.epoch_steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the random state of the step, once its batches are fetched."""
        seed_step(args.seed, state.global_step, args.process_index)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the step and decide what follows; a signal ends the run with a checkpoint."""
        super().on_step_end(args, state, control, **kwargs)
        step = self.progress.step = state.global_step
        self.is_step_done = True
        control.should_log = self.calendar.logs_at(step)
        if self.stop_signals.should_stop():
            control.should_save = control.should_training_stop = True
            return
        control.should_evaluate = self.calendar.evaluates_at(step)
        control.should_save = self.calendar.saves_at(step, improved=False)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the progress bar of the evaluation, if bars are shown."""
        if self.show_progress and draws_bars():
            super().on_prediction_step(args, state, control, **kwargs)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Show the loss in the bar."""
        if "loss" in logs and self.training_bar is not None:
            self.training_bar.set_postfix(loss=f"{logs['loss']:.4f}")

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Record the scores; save a better model; stop after a signal or if patience ran out."""
        super().on_evaluate(args, state, control, **kwargs)
        if not self.trainer.is_in_train:
            return
        timings = ("runtime", "samples_per_second", "steps_per_second")
        scores = {
            name.removeprefix("eval_"): value
            for name, value in metrics.items()
            if name != "epoch" and name.removeprefix("eval_") not in timings
        }
        step, progress = self.progress.step, self.progress
        if self.is_step_done:
            checkpoint = self.trainer.checkpoint_folder().name
        else:  # before the first step: these weights are those of a checkpoint, or not saved
            checkpoint = self.plan.restored_name
        self.trainer.losses.store_pending()
        epoch = self.calendar.epoch_of(step)
        improved = progress.record_scores(epoch, scores, checkpoint, self.plan.best)
        if self.is_step_done:
            control.should_save |= self.calendar.saves_at(step, improved)
        elif step > 0 and isinstance(kwargs["lr_scheduler"], SCHEDULES_OF_SCORES):
            # Trainer skips this before the first step; here it makes up for the stopped run.
            kwargs["lr_scheduler"].step(scores[self.plan.best.name])
        control.should_training_stop |= progress.patience_is_over(self.plan.patience)
        # Before the first step Trainer does not look at `control`, and would train one step.
        self.trainer.nothing_left = not self.is_step_done and self.plan.is_over(progress)
        if self.stop_signals.should_stop():
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Complete the checkpoint that Trainer has written, and give it its name."""
        trainer, progress, processes = self.trainer, self.progress, args.distributed_state
        trainer.losses.store_pending()
        folder = trainer.saving
        written = trainer.staging / f"checkpoint-{progress.step}"
        self.write_card(written)
        seal(written, folder, self.plan, progress, processes)
        processes.wait_for_everyone()
        trainer.saving = None
        delete_old(folder.parent, self.save_total_limit, progress, processes)
        if self.pusher and self.calendar.ends_epoch(progress.step):
            # Pushes a copy of this epoch's files; training continues during the upload.
            epoch = self.calendar.epoch_of(progress.step)
            self.pusher.push(folder, f"Training in progress epoch {epoch}", folder)
        control.should_training_stop |= self.stop_signals.should_stop()
