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

import checkpoints
import common
import models
import outputs
from arguments import (
    Arguments,
    ask_hub,
    parse_arguments,
    refuse_lone_processes,
    run,
    settle_defaults,
    training_precision,
)


@dataclass
class TrainerArguments(Arguments, TrainingArguments):
    """All of `TrainingArguments`, over the recipe's defaults."""

    eval_strategy: str = "epoch"
    save_strategy: str = "epoch"

    def __post_init__(self):
        """Nothing yet: `training_arguments` makes what Trainer gets."""


def main():
    args = parse_arguments(TrainerArguments, __doc__)
    # Only now, so that --help and a mistyped flag answer at once.
    from accelerate import PartialState
    from transformers import Trainer, set_seed

    from corpus import load_corpus

    class WindowTrainer(WindowMethods, Trainer):
        """Trainer with the suite's order of the data, its evaluation and its checkpoints."""

    # --- Arguments ---
    state = PartialState(cpu=args.use_cpu)
    refuse_lone_processes(state)
    replaced = settle_defaults(args, "", ask_hub(args, state))
    output_dir = Path(args.output_dir)
    trainer_args = training_arguments(args)
    state = trainer_args.distributed_state
    set_seed(args.seed)

    # --- Corpus ---
    with state.main_process_first():
        corpus = load_corpus(args)

    # --- Model ---
    config = models.load_config(args, corpus)
    corpus = models.match_labels(corpus, config)
    tokenizer = models.load_tokenizer(
        args.tokenizer_name or args.model_name_or_path, **models.hub_options(args)
    )
    outputs.check_output_dir(args, corpus)
    with state.main_process_first():
        windows = models.encode_corpus(args, corpus, config, tokenizer)
    model = models.load_model(args, config)
    collate = common.PadBatch(
        tokenizer, length=config.window_length if args.pad_to_max_length else None
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
        compute_loss_func=partial(
            loss_of_update, label_smoothing=trainer_args.label_smoothing_factor
        ),
    )
    trainer.results = results
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Progress(results))
    if args.do_train:
        trainer.train()
        save_model(trainer, output_dir)

    # --- Evaluate ---
    if args.do_eval and not args.do_train and "validation" in windows:
        trainer.evaluate(windows["validation"])
    if args.do_predict and "test" in windows:
        trainer.evaluate(windows["test"], metric_key_prefix="predict")

    # --- Save ---
    results.write(output_dir, None)


class WindowMethods:
    """What `Trainer` looks up in itself, done on windows and words."""

    def _get_train_sampler(self, dataset=None):
        args = self.args
        update_size = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        return checkpoints.TrainingOrder(
            self.train_dataset.lengths,
            update_size,
            args.seed,
            args.train_sampling_strategy == "group_by_length",
        )

    def _get_eval_sampler(self, dataset):
        round_size = self.args.eval_batch_size * self.args.world_size
        return checkpoints.evaluation_order(dataset.lengths, round_size)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        """The argmax before anything is gathered; the word indices in place of labels."""
        *predicted, word_index = common.predict_batch(model, self._prepare_inputs(inputs))
        return None, tuple(predicted), word_index

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """Score a split in fp32, batch by batch."""
        windows = self.eval_dataset if eval_dataset is None else eval_dataset
        predictions = common.WordPredictions(windows.num_words)
        split = "test" if metric_key_prefix == "predict" else "validation"

        def compute_metrics(batch, compute_result):
            predictions.add(*batch.predictions, batch.label_ids)
            return self.results.scored(split, predictions) if compute_result else None

        self.compute_metrics = compute_metrics
        with common.full_precision(self.model):
            return super().evaluate(windows, ignore_keys, metric_key_prefix)


class Progress(ProgressCallback):
    """One bar, one line an epoch; losses and scores go to `results`."""

    def __init__(self, results):
        super().__init__()
        self.results = results

    def on_train_begin(self, args, state, control, **kwargs):
        self.results.announce("bf16" if args.bf16 else "fp16" if args.fp16 else "no", state.max_steps)
        super().on_train_begin(args, state, control, **kwargs)

    def on_step_begin(self, args, state, control, **kwargs):
        checkpoints.seed_update(args.seed, state.global_step, args.process_index)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            self.results.log_loss(state.global_step, logs["loss"], logs["learning_rate"])
            if self.training_bar is not None:
                self.training_bar.set_postfix(loss=f"{logs['loss']:.4f}")

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        super().on_evaluate(args, state, control, **kwargs)
        if self.training_bar is not None:
            scores = {k.removeprefix("eval_"): v for k, v in metrics.items() if k != "epoch"}
            self.results.epoch_done(round(state.epoch) - 1, state.global_step, scores)


def training_arguments(args: TrainerArguments) -> TrainingArguments:
    """What Trainer gets of the flags. It knows no token and pushes nothing: `hub` does that."""
    values = {field.name: getattr(args, field.name) for field in fields(TrainingArguments)}
    precision = training_precision(args)
    values |= {
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": args.use_cpu or not torch.cuda.is_available(),
        "train_sampling_strategy": "group_by_length" if args.group_by_length else "random",
        "report_to": args.report_to or "none",
        "push_to_hub": False,
        "hub_token": None,
        "batch_eval_metrics": True,
        "remove_unused_columns": False,
        "logging_nan_inf_filter": False,
    }
    if not args.do_eval:
        values["eval_strategy"] = "no"
    trainer_args = TrainingArguments(**values)
    # One process, one device: several in one process would be DataParallel, which is slow and
    # whose batches are others. Several GPUs are for torchrun or accelerate launch.
    trainer_args._n_gpu = min(trainer_args.n_gpu, 1)
    return trainer_args


def loss_of_update(outputs, labels, num_items_in_batch=None, label_smoothing=0.0):
    return common.token_loss(outputs.logits, labels, num_items_in_batch, label_smoothing)


def save_model(trainer, folder: Path) -> None:
    """Put the model into `folder`, whole, as `from_pretrained` reads it."""


if __name__ == "__main__":
    run(main)
