"""Fine-tune a pretrained encoder for token classification, in a loop of its own on Accelerate.

    accelerate launch train_accelerate.py                      # the recipe: CoNLL-2003, BERT
    accelerate launch train_accelerate.py --sample             # embedded corpus and encoder
    accelerate launch train_accelerate.py --train_file my.conll --model_name_or_path my/encoder
    accelerate launch train_accelerate.py my_flags.yaml --learning_rate 3e-5

`train_trainer.py` does the same job through `transformers.Trainer`: a diff of the two shows
what Trainer does for you. Every flag: --help.
"""

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import checkpoints
import common
import models
import outputs
from arguments import (
    Arguments,
    UserError,
    ask_hub,
    flag,
    parse_arguments,
    refuse_lone_processes,
    run,
    settle_defaults,
    training_precision,
)


@dataclass
class LoopArguments(Arguments):
    model_type: str | None = flag(None, "Accepted from run_ner_no_trainer.py; the model knows.")


def main():
    args = parse_arguments(LoopArguments, __doc__)
    # Only now, so that --help and a mistyped flag answer at once.
    import torch
    from accelerate import Accelerator, PartialState
    from accelerate.utils import GradientAccumulationPlugin, set_seed
    from torch.utils.data import DataLoader
    from tqdm.auto import tqdm
    from transformers import get_scheduler

    from corpus import load_corpus

    # --- Arguments ---
    state = PartialState(cpu=args.use_cpu)
    refuse_lone_processes(state)
    replaced = settle_defaults(args, "-accelerate", ask_hub(args, state))
    batch_size, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    output_dir = Path(args.output_dir)
    accelerator = Accelerator(
        cpu=args.use_cpu,
        mixed_precision=training_precision(args),
        # TrainingOrder gives every update all its batches, the last of an epoch too.
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=accumulation, sync_with_dataloader=False
        ),
        log_with=args.report_to,
        project_dir=args.output_dir,
    )
    set_seed(args.seed)

    # --- Corpus ---
    with accelerator.main_process_first():
        corpus = load_corpus(args)

    # --- Model ---
    config = models.load_config(args, corpus)
    corpus = models.match_labels(corpus, config)
    tokenizer = models.load_tokenizer(
        args.tokenizer_name or args.model_name_or_path, **models.hub_options(args)
    )
    outputs.check_output_dir(args, corpus)
    with accelerator.main_process_first():
        windows = models.encode_corpus(args, corpus, config, tokenizer)
    model = models.load_model(args, config)
    collate = common.PadBatch(
        tokenizer, length=config.window_length if args.pad_to_max_length else None
    )
    results = outputs.Results(args, corpus, config, windows, replaced, __file__, state)

    # --- Train ---
    if args.do_train:
        order = checkpoints.TrainingOrder(
            windows["train"].lengths,
            batch_size * accumulation * accelerator.num_processes,
            args.seed,
            args.group_by_length,
        )
        updates_an_epoch = len(order) // order.update_size
        total_updates = math.ceil(args.num_train_epochs * updates_an_epoch)
        if args.max_steps > 0:
            total_updates = args.max_steps
        loader = DataLoader(windows["train"], batch_size, sampler=order, collate_fn=collate)
        optimizer = torch.optim.AdamW(
            parameter_groups(model, args.weight_decay), lr=args.learning_rate, fused=True
        )
        warmup = args.warmup_steps if args.warmup_steps >= 1 else args.warmup_steps * total_updates
        schedule = get_scheduler(
            args.lr_scheduler_type, optimizer, math.ceil(warmup), total_updates
        )
        # Not the schedule: prepared, it would step once for every process.
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        accelerator.register_for_checkpointing(schedule)
        results.announce(accelerator.mixed_precision, total_updates)

        step = 0
        total_loss = running_loss = torch.zeros((), device=accelerator.device)
        bar = tqdm(total=total_updates, disable=not accelerator.is_local_main_process)
        for epoch in range(math.ceil(total_updates / updates_an_epoch)):
            model.train()
            order.set_epoch(epoch)
            batches = iter(loader)
            for _ in range(min(updates_an_epoch, total_updates - step)):
                micro_batches = list(islice(batches, accumulation))
                # The loss of an update is the mean over its labelled tokens, wherever they are.
                num_labelled = sum(b["labels"].ne(common.IGNORED).sum() for b in micro_batches)
                num_labelled = accelerator.reduce(num_labelled, "sum")
                checkpoints.seed_update(args.seed, step, accelerator.process_index)
                for batch in micro_batches:
                    with accelerator.accumulate(model):
                        labels = batch.pop("labels")
                        loss = common.token_loss(model(**batch).logits, labels, num_labelled)
                        # A sum already: undo the means that accumulation and DDP are to take.
                        accelerator.backward(loss * accumulation * accelerator.num_processes)
                        if accelerator.sync_gradients and args.max_grad_norm > 0:
                            accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
                        optimizer.step()
                        optimizer.zero_grad()
                    running_loss = running_loss + loss.detach()
                learning_rate = schedule.get_last_lr()[0]
                schedule.step()
                step += 1
                bar.update()
                if step % args.logging_steps == 0:
                    loss = accelerator.reduce(running_loss, "sum").item() / args.logging_steps
                    running_loss = torch.zeros_like(running_loss)
                    results.log_loss(step, loss, learning_rate)
                    bar.set_postfix(loss=f"{loss:.4f}")
            if args.do_eval and "validation" in windows:
                predictions = predict(accelerator, model, windows["validation"], collate, args)
                results.epoch_done(epoch, step, results.scored("validation", predictions))
        bar.close()
        save_model(accelerator, model, tokenizer, output_dir)
    else:
        model = accelerator.prepare_model(model, evaluation_mode=True)

    # --- Evaluate ---
    if args.do_eval and not args.do_train and "validation" in windows:
        predictions = predict(accelerator, model, windows["validation"], collate, args)
        results.scored("validation", predictions)
    if args.do_predict and "test" in windows:
        predictions = predict(accelerator, model, windows["test"], collate, args)
        results.scored("test", predictions)

    # --- Save ---
    results.write(output_dir, None)
    accelerator.end_training()


def parameter_groups(model, weight_decay: float) -> list[dict]:
    """All parameters; biases and norms, which have one dimension, decay nothing."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def predict(accelerator, model, windows, collate, args) -> common.WordPredictions:
    """Predictions of a split, all of them on every process."""
    from torch.utils.data import DataLoader

    batch_size = args.per_device_eval_batch_size
    order = checkpoints.evaluation_order(windows.lengths, batch_size * accelerator.num_processes)
    loader = accelerator.prepare_data_loader(
        DataLoader(windows, batch_size, sampler=order, collate_fn=collate)
    )
    predictions = common.WordPredictions(windows.num_words)
    model.eval()
    with common.full_precision(accelerator.unwrap_model(model)):
        for batch in loader:
            predictions.add(*common.gather_batch(accelerator, *common.predict_batch(model, batch)))
    return predictions


def save_model(accelerator, model, tokenizer, folder: Path) -> None:
    """Put the model into `folder`, whole, as `from_pretrained` reads it."""
    accelerator.wait_for_everyone()
    weights = accelerator.get_state_dict(model)  # collected from all processes, by all of them
    if accelerator.is_main_process:
        with outputs.staged(folder) as stage:
            accelerator.unwrap_model(model).save_pretrained(stage, state_dict=weights)
            tokenizer.save_pretrained(stage)


if __name__ == "__main__":
    run(main)
