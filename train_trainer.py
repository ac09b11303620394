"""Fine-tune a pretrained encoder for token classification with `transformers.Trainer`.

    python train_trainer.py                                    # the recipe: CoNLL-2003, BERT
    python train_trainer.py --sample                           # embedded corpus and encoder
    python train_trainer.py --train_file my.conll --model_name_or_path my/encoder
    python train_trainer.py my_flags.yaml --learning_rate 3e-5

`train_accelerate.py` does the same job in a loop of its own: a diff of the two shows what
Trainer does for you. Every flag, all of `TrainingArguments` among them: --help.
"""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import SchedulerType

import common
from encoder import model as models
from encoder.batches import PadBatch
from encoder.cpu.clipping import clip_gradients
from encoder.cpu.process import prepare_process
from hub.pusher import start_pushing
from results import outputs
from settings.flags import (
    Arguments,
    ask_hub,
    flag,
    parse_arguments,
    refuse_lone_processes,
    settle_best,
    settle_defaults,
    training_precision,
)
from support.errors import UserError, run
from training import checkpoints


@dataclass
class TrainerArguments(Arguments, TrainingArguments):
    """All of `TrainingArguments`, over the recipe's defaults."""

    lr_scheduler_type: SchedulerType = flag("linear", "Schedule of the learning rate.")
    eval_strategy: str = "epoch"
    save_strategy: str = "epoch"

    def __post_init__(self):
        """Nothing yet: `training_arguments` makes what Trainer gets."""


def main():
    args = parse_arguments(TrainerArguments, __doc__)
    # Only now, so that --help and a mistyped flag answer at once.
    from accelerate import PartialState
    from transformers import Trainer, set_seed

    from corpus.load import load_corpus

    class WindowTrainer(WindowMethods, Trainer):
        """Trainer with the suite's order of the data, its evaluation and its checkpoints."""

    # --- Arguments ---
    refuse_lone_processes(args)
    state = PartialState(cpu=args.use_cpu)
    replaced = settle_defaults(args, "", ask_hub(args, state))
    output_dir = Path(args.output_dir)
    if args.check:
        models.check_and_exit(args)
    pusher = None
    if args.push_to_hub and state.is_main_process:
        pusher = start_pushing(args, output_dir)
        args.hub_model_id = pusher.repo_id
    precision = training_precision(args)
    trainer_args = training_arguments(args, precision)
    state = trainer_args.distributed_state
    set_seed(args.seed)
    # Adam's means of words long unseen decay into numbers that a CPU is slow with.
    torch.set_flush_denormal(True)
    outputs.quiet_libraries(args.verbose)

    # --- Corpus ---
    with state.main_process_first():
        corpus = load_corpus(args)
    settle_best(args, corpus.entity_tags)

    # --- Model ---
    config = models.load_config(args, corpus)
    corpus = models.match_labels(corpus, config)
    tokenizer = models.load_run_tokenizer(args)
    outputs.check_output_dir(args, corpus)
    with state.main_process_first():
        windows = models.encode_corpus(args, corpus, config, tokenizer)
    if args.do_train:
        plan = checkpoints.plan_training(args, corpus, config, windows, precision, state)
    model = models.load_model(args, config, state.device, windows)
    collate = PadBatch(
        tokenizer, 8, length=config.window_length if args.pad_to_max_length else None
    )
    results = outputs.Results(args, corpus, config, windows, replaced, __file__, state)

    # --- Train ---
    trainer = WindowTrainer(
        model=model,
        args=trainer_args,
        train_dataset=windows.get("train"),
        eval_dataset=windows.get("validation"),
        data_collator=collate,
        processing_class=tokenizer,
    )
    trainer.results = results
    trainer.remove_callback(ProgressCallback)
    if args.do_train:
        if plan.checkpoint is not None:
            results.progress = checkpoints.read_progress(plan.checkpoint)
        results.announce(precision, plan)
        trainer.plan, first_step = plan, results.progress.step
        trainer.compute_loss_func = partial(
            loss_of_update, plan.num_labelled, trainer_args.label_smoothing_factor
        )
        trainer_args.metric_for_best_model = args.metric_for_best_model
        trainer_args.greater_is_better = args.greater_is_better
        stop_signals = checkpoints.StopSignals(state)
        trainer.add_callback(Progress(trainer, stop_signals, pusher))
        outcome = trainer.train(resume_from_checkpoint=plan.checkpoint and str(plan.checkpoint))
        stop_signals.restore()
        if stop_signals.stopping:
            stop_signals.exit(output_dir / f"checkpoint-{trainer.state.global_step}")
        trainer.note_progress()
        results.trained(
            outcome.metrics["train_runtime"],
            trainer.state.global_step - first_step,
            plan.order.update_size,
        )
        with outputs.staged(output_dir, state, outputs.run_identity(args, corpus)) as stage:
            trainer.save_model(stage)
    else:
        # Whole on each device: Trainer would shard it, which takes an optimizer.
        trainer.is_fsdp_enabled = trainer.is_deepspeed_enabled = False
        trainer.accelerator.prepare_model(model, device_placement=True, evaluation_mode=True)

    # --- Evaluate ---
    # After training again only where the weights kept are not the last epoch's.
    weights_changed = not args.do_train or args.load_best_model_at_end
    if args.do_eval and "validation" in windows and weights_changed:
        trainer.evaluate(windows["validation"])
    if args.do_predict and "test" in windows:
        trainer.evaluate(windows["test"], metric_key_prefix="test")

    # --- Save ---
    results.write(output_dir)
    if pusher:
        results.say(f"Pushed: {pusher.finish(output_dir)}")


class WindowMethods:
    """What `Trainer` looks up in itself, done on windows and words."""

    def _get_train_sampler(self, dataset=None):
        return self.plan.order

    def _get_eval_sampler(self, dataset):
        round_size = self.args.eval_batch_size * self.args.world_size
        return checkpoints.evaluation_order(dataset.lengths, round_size)

    def _clip_grad_norm(self, model):
        return clip_gradients(self.accelerator, model.parameters(), self.args.max_grad_norm)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """In fp32; the argmax before anything is gathered; the word indices in place of labels."""
        # Here and not around all of it: Trainer may put its autocast there only on the way.
        with common.full_precision(self.model):
            *predicted, word_index = common.predict_batch(model, self._prepare_inputs(inputs))
        return None, tuple(predicted), word_index

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """Score a split, batch by batch."""
        windows = self.eval_dataset if eval_dataset is None else eval_dataset
        predictions = common.WordPredictions(windows.num_words)
        split = "test" if metric_key_prefix == "test" else "validation"

        def compute_metrics(batch, compute_result):
            predictions.add(*batch.predictions, batch.label_ids)
            return self.results.scored(split, predictions) if compute_result else None

        self.compute_metrics = compute_metrics
        return super().evaluate(windows, ignore_keys, metric_key_prefix)

    def _run_epoch(self, *args, **kwargs):
        """Unless training was over when it was resumed: Trainer would make one more update."""
        if self.state.global_step < self.state.max_steps and not self.results.patience_is_over():
            super()._run_epoch(*args, **kwargs)
        else:
            self.control.should_training_stop = True

    def note_progress(self) -> checkpoints.Progress:
        progress = self.results.progress
        progress.step = self.state.global_step
        # Of the updates since the last log; a mean, because each process's loss is scaled up.
        progress.pending_loss = self.accelerator.reduce(self._tr_loss.clone(), "mean").item()
        return progress

    def _save_checkpoint(self, model, trial):
        """Trainer's checkpoint, under its name only once it is whole."""
        progress = self.note_progress()
        self.results.check_finite(progress.pending_loss)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.state.best_global_step:
            best = folder.with_name(f"checkpoint-{self.state.best_global_step}")
            self.state.best_model_checkpoint = str(best)
        state = self.args.distributed_state
        with checkpoints.written_whole(folder, state, self.plan.conditions, progress) as partial:
            self.save_model(partial, _internal_call=True)
            self._save_optimizer_and_scheduler(partial)
            self._save_scaler(partial)
            self._save_rng_state(partial)
            if self.args.should_save:
                self.state.save_to_json(partial / "trainer_state.json")
            self.results.write_card(partial)
        checkpoints.delete_old(folder.parent, self.results.args.save_total_limit, progress, state)

    def save_model(self, output_dir=None, _internal_call=False):
        """Whole, under FSDP too, where Trainer leaves the weights in pieces and nothing else."""
        if not self.is_fsdp_enabled:
            return super().save_model(output_dir, _internal_call)
        weights = self.accelerator.get_state_dict(self.model)
        if self.args.should_save:
            self._save(output_dir, weights)

    def _save(self, output_dir=None, state_dict=None):
        """Without training_args.bin, which holds every argument."""
        super()._save(output_dir, state_dict)
        (Path(output_dir) / "training_args.bin").unlink(missing_ok=True)


class Progress(ProgressCallback):
    """One bar, one line an epoch; the order of the data and the dropout of each update; signals."""

    def __init__(self, trainer, stop_signals, pusher):
        super().__init__()
        self.trainer, self.results = trainer, trainer.results
        self.stop_signals, self.pusher = stop_signals, pusher
        # Trainer forgets what it had not logged when it stopped.
        progress = self.results.progress
        self.logged = progress.step
        self.save_due = False
        progress.total_loss += progress.pending_loss
        progress.pending_loss = 0.0

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.trainer.plan.order.epoch = state.global_step // self.trainer.plan.order.updates

    def on_step_begin(self, args, state, control, **kwargs):
        checkpoints.seed_update(args.seed, state.global_step, args.process_index)

    def on_step_end(self, args, state, control, **kwargs):
        super().on_step_end(args, state, control, **kwargs)
        if self.stop_signals.stop():
            control.should_save = control.should_training_stop = True
        if self._ends_epoch(state):
            # Saved once the epoch is scored, or a run that goes on from it would miss its score.
            self.save_due = control.should_save
            control.should_save = False

    def on_epoch_end(self, args, state, control, **kwargs):
        if self.stop_signals.stopping and not self._ends_epoch(state):
            control.should_save = control.should_evaluate = False  # saved at the step already
        else:
            control.should_save |= self.save_due or self.results.args.pushes_epochs

    def on_save(self, args, state, control, **kwargs):
        if self.pusher and self._ends_epoch(state):
            # A copy of this epoch's files; training goes on while they travel.
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            epoch = (state.global_step - 1) // self.trainer.plan.order.updates
            self.pusher.push(folder, f"Training in progress epoch {epoch}", folder)

    def _ends_epoch(self, state) -> bool:
        at_end = state.global_step % self.trainer.plan.order.updates == 0
        return at_end or state.global_step == state.max_steps

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.results.progress.total_loss += logs["loss"] * (state.global_step - self.logged)
            self.logged = state.global_step
            self.results.log_loss(state.global_step, logs["loss"], logs["learning_rate"])
            if self.training_bar is not None:
                self.training_bar.set_postfix(loss=f"{logs['loss']:.4f}")

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        super().on_evaluate(args, state, control, **kwargs)
        if not self.trainer.is_in_train:
            return
        self.results.progress.step = state.global_step
        timings = ("runtime", "samples_per_second", "steps_per_second")
        scores = {
            name.removeprefix("eval_"): value
            for name, value in metrics.items()
            if name != "epoch" and name.removeprefix("eval_") not in timings
        }
        epoch = (state.global_step - 1) // self.trainer.plan.order.updates
        self.results.epoch_done(epoch, scores, f"checkpoint-{state.global_step}")
        control.should_training_stop |= self.results.patience_is_over()
        if self.stop_signals.stop():
            control.should_save = control.should_training_stop = True


def training_arguments(args: TrainerArguments, precision: str) -> TrainingArguments:
    """What Trainer gets of the flags. It knows no token and pushes nothing: `hub` does that."""
    values = {field.name: getattr(args, field.name) for field in fields(TrainingArguments)}
    values |= {
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": args.use_cpu or not torch.accelerator.is_available(),
        "train_sampling_strategy": "group_by_length" if args.group_by_length else "random",
        "report_to": args.report_to or "none",
        "push_to_hub": False,
        "hub_token": None,
        "batch_eval_metrics": True,
        "remove_unused_columns": False,
        # Trainer's own default walks the graph of every update for parameters that have no part.
        "ddp_find_unused_parameters": bool(args.ddp_find_unused_parameters),
        "logging_nan_inf_filter": False,
        "resume_from_checkpoint": None,
        "save_total_limit": None,  # see `_save_checkpoint`
        "disable_tqdm": False,
    }
    if not args.do_eval:
        values["eval_strategy"] = "no"
    if args.checkpointing_steps is not None:
        values["save_strategy"] = "steps" if args.checkpoint_every else args.checkpointing_steps
        values["save_steps"] = args.checkpoint_every or 500
    try:
        trainer_args = TrainingArguments(**values)
    except ValueError as error:
        raise UserError(str(error)) from None
    # One process, one device: several in one process would be DataParallel, which is slow and
    # whose batches are others. Several GPUs are for torchrun or accelerate launch.
    trainer_args._n_gpu = min(trainer_args.n_gpu, 1)
    return trainer_args


def loss_of_update(num_labelled, label_smoothing, outputs, labels, num_items_in_batch):
    """In place of Trainer's own count, which is of this update alone (see `checkpoints.Plan`)."""
    return common.token_loss(outputs.logits, labels, num_labelled, label_smoothing)


if __name__ == "__main__":
    prepare_process()
    run(main)
