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
from transformers.trainer_callback import ProgressCallback

import common
from encoder.batches import PadBatch, WindowSet
from encoder.cpu.clipping import clip_gradients
from settings.run_settings import Settings
from support.files import disk_errors_reported
from training.checkpoints import delete_old, remove_leftovers, save_model, seal
from training.order import evaluation_order, seed_step
from training.plan import Plan
from training.progress import Progress
from training.signals import StopSignals

Score = Callable[[str, common.WordPredictions], dict[str, float]]


class WindowTrainer(Trainer):
    """A Trainer that trains on windows of sub-words and evaluates words."""

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        windows: dict[str, WindowSet],
        collate: PadBatch,
        tokenizer: Any,
        score: Score,
        plan: Plan | None,
    ):
        """`plan`: None if nothing is trained. `score`: the predictions of a split to scores."""
        if plan is not None:  # not known before the labels are
            args.metric_for_best_model = plan.best.name
            args.greater_is_better = plan.best.greater_is_better
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
        self.score = score
        self.progress = Progress()  # replaced by `TrainingCallback`
        self.nothing_left = False
        self.running_loss = torch.zeros((), device=args.device)  # since the last logged step
        self.staging = Path(args.output_dir) / ".checkpoint.partial"
        self.saving: Any = None  # path of the checkpoint being written
        self.remove_callback(ProgressCallback)
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
        order = evaluation_order(windows.lengths, batch_size * self.args.world_size)
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
        """Return the loss divided by the plan's constant, instead of the step's own count."""
        smoothing = self.args.label_smoothing_factor
        loss = common.token_loss(outputs.logits, labels, self.plan.num_labelled, smoothing)
        self.running_loss += loss.detach()
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        return clip_gradients(self.accelerator, model.parameters(), self.args.max_grad_norm)

    # --- Evaluation ---

    def prediction_step(
        self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[None, tuple[Any, ...], Any]:
        """Predict in fp32; the argmax is taken before anything is gathered.

        Returns (no loss, (tag ids, probabilities, losses), word indices in place of labels).
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
        predictions = common.WordPredictions(windows.num_words)
        split = "test" if metric_key_prefix == "test" else "validation"

        def compute_metrics(batch: Any, compute_result: bool) -> dict[str, float] | None:
            tag_ids, probabilities, losses = batch.predictions
            predictions.add(tag_ids, probabilities, losses, word_index=batch.label_ids)
            return self.score(split, predictions) if compute_result else None

        self.compute_metrics = compute_metrics
        return super().evaluate(windows, ignore_keys, metric_key_prefix)

    # --- Checkpoints ---

    def train(self, *args: Any, **options: Any) -> Any:
        """Train; report a full disk as a `UserError`, and remove an incomplete checkpoint."""
        if self.args.should_save:
            remove_leftovers(self.staging.parent)
        try:
            return super().train(*args, **options)
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

    def save_model(self, output_dir: Any = None, _internal_call: bool = False) -> None:
        """Save the whole model, even if FSDP shards it, without `training_args.bin`.

        Trainer would save sharded weights in pieces, and all arguments in that pickle.
        """
        folder = Path(output_dir or self.args.output_dir)
        self.saving = self.staging.parent / folder.name
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
        save_model(self.accelerator, self.model_wrapped, self.processing_class, folder)

    def note_pending_loss(self) -> None:
        """Store the loss that is not logged yet in the progress; check that it is finite."""
        self.progress.pending_loss = self.accelerator.reduce(self.running_loss, "sum").item()
        self.progress.check_finite(self.progress.pending_loss)


class TrainingCallback(ProgressCallback):
    """One progress bar, one line per epoch; random state of each step; checkpoints; signals."""

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
        trainer.progress, trainer.nothing_left = progress, trainer.plan.is_over(progress)
        self.stop_signals, self.pusher, self.write_card = stop_signals, pusher, write_card
        self.pushes_epochs = settings.hub.pushes_epochs
        self.save_total_limit = settings.checkpoints.save_total_limit
        self.save_due = False
        self.logged = self.progress.step
        # Trainer drops the loss that was not logged when it stopped.
        self.progress.total_loss += self.progress.pending_loss
        self.progress.pending_loss = 0.0

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch of the order of the data."""
        self.plan.order.epoch = state.global_step // self.plan.order.steps

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the random state of the step, once its batches are fetched."""
        seed_step(args.seed, state.global_step, args.process_index)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the step; stop after it if a process got a signal."""
        super().on_step_end(args, state, control, **kwargs)
        self.progress.step = state.global_step
        if self.stop_signals.should_stop():
            control.should_save = control.should_training_stop = True
        if self._ends_epoch(state):
            # Saved once the epoch is scored, or a run that resumes there would miss its score.
            self.save_due = control.should_save
            control.should_save = False

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate and save only an epoch that was trained to its end."""
        if self.trainer.nothing_left:
            control.should_save = control.should_evaluate = control.should_log = False
        elif self.stop_signals.stopping and not self._ends_epoch(state):
            control.should_save = control.should_evaluate = False  # saved at the step already
        else:
            control.should_save |= self.save_due or self.pushes_epochs

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Record the mean loss of the steps since the last one logged."""
        if "loss" not in logs:
            return
        self.progress.total_loss += logs["loss"] * (state.global_step - self.logged)
        self.progress.log_loss(logs["loss"], logs["learning_rate"])
        self.logged = state.global_step
        self.trainer.running_loss.zero_()
        if self.training_bar is not None:
            self.training_bar.set_postfix(loss=f"{logs['loss']:.4f}")

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Record the scores of the epoch; stop if patience is over or a process got a signal."""
        super().on_evaluate(args, state, control, **kwargs)
        if not self.trainer.is_in_train:
            return
        timings = ("runtime", "samples_per_second", "steps_per_second")
        scores = {
            name.removeprefix("eval_"): value
            for name, value in metrics.items()
            if name != "epoch" and name.removeprefix("eval_") not in timings
        }
        checkpoint = f"checkpoint-{state.global_step}"
        self.progress.end_epoch(self._epoch(state), scores, checkpoint, self.plan.best)
        control.should_training_stop |= self.progress.patience_is_over(self.plan.patience)
        if self.stop_signals.should_stop():
            control.should_save = control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Complete the checkpoint that Trainer has written, and give it its name."""
        trainer, progress, processes = self.trainer, self.progress, args.distributed_state
        trainer.note_pending_loss()
        folder = trainer.saving
        written = trainer.staging / folder.name
        if state.best_global_step:
            best = folder.with_name(f"checkpoint-{state.best_global_step}")
            state.best_model_checkpoint = str(best)
        if args.should_save:
            state.save_to_json(str(written / "trainer_state.json"))
            self.write_card(written)
        seal(written, folder, processes, self.plan.conditions, progress)
        processes.wait_for_everyone()
        trainer.saving = None
        delete_old(folder.parent, self.save_total_limit, progress, processes)
        if self.pusher and self._ends_epoch(state):
            # Pushes a copy of this epoch's files; training continues during the upload.
            self.pusher.push(folder, f"Training in progress epoch {self._epoch(state)}", folder)

    def _ends_epoch(self, state: Any) -> bool:
        at_end = state.global_step % self.plan.order.steps == 0
        return at_end or state.global_step == state.max_steps

    def _epoch(self, state: Any) -> int:
        return (state.global_step - 1) // self.plan.order.steps
