"""Fine-tune a pretrained encoder for token classification, in a loop of its own on Accelerate.

    accelerate launch train_accelerate.py                      # the recipe: CoNLL-2003, BERT
    accelerate launch train_accelerate.py --sample             # embedded corpus and encoder
    accelerate launch train_accelerate.py --train_file my.conll --model_name_or_path my/encoder
    accelerate launch train_accelerate.py my_flags.yaml --learning_rate 3e-5

`train_trainer.py` does the same job through `transformers.Trainer`: a diff of the two shows
what Trainer does for you. Every flag: --help.
"""

import math
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import common
from encoder import model as models
from encoder.batches import PadBatch
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
from support.errors import run
from training import checkpoints


@dataclass
class LoopArguments(Arguments):
    debug: bool = flag(False, "Try everything out, on 100 sentences of each split.")
    model_type: str | None = flag(None, "Accepted from run_ner_no_trainer.py; the model knows.")


def main():
    args = parse_arguments(LoopArguments, __doc__)
    if args.debug:
        args.max_train_samples = args.max_eval_samples = args.max_predict_samples = 100
    # Only now, so that --help and a mistyped flag answer at once.
    import torch
    from accelerate import Accelerator, PartialState
    from accelerate.utils import GradientAccumulationPlugin, set_seed
    from torch.utils.data import DataLoader
    from tqdm.auto import tqdm
    from transformers import get_scheduler

    from corpus.load import load_corpus
    from encoder.cpu.clipping import clip_gradients

    # --- Arguments ---
    refuse_lone_processes(args)
    state = PartialState(cpu=args.use_cpu)
    replaced = settle_defaults(args, "-accelerate", ask_hub(args, state))
    batch_size, accumulation = args.per_device_train_batch_size, args.gradient_accumulation_steps
    output_dir = Path(args.output_dir)
    if args.check:
        models.check_and_exit(args)
    pusher = None
    if args.push_to_hub and state.is_main_process:
        pusher = start_pushing(args, output_dir)
        args.hub_model_id = pusher.repo_id
    accelerator = Accelerator(
        cpu=args.use_cpu,
        mixed_precision=training_precision(args),
        # TrainingOrder gives every update all its batches, the last of an epoch too.
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=accumulation, sync_with_dataloader=False
        ),
        log_with=args.report_to,
        project_dir=output_dir / "runs",
    )
    set_seed(args.seed)
    # Adam's means of words long unseen decay into numbers that a CPU is slow with.
    torch.set_flush_denormal(True)
    outputs.quiet_libraries(args.verbose)

    # --- Corpus ---
    with accelerator.main_process_first():
        corpus = load_corpus(args)
    settle_best(args, corpus.entity_tags)

    # --- Model ---
    config = models.load_config(args, corpus)
    corpus = models.match_labels(corpus, config)
    tokenizer = models.load_run_tokenizer(args)
    outputs.check_output_dir(args, corpus)
    with accelerator.main_process_first():
        windows = models.encode_corpus(args, corpus, config, tokenizer)
    if args.do_train:
        plan = checkpoints.plan_training(
            args, corpus, config, windows, accelerator.mixed_precision, state
        )
    model = models.load_model(args, config, state.device, windows)
    collate = PadBatch(
        tokenizer, 8, length=config.window_length if args.pad_to_max_length else None
    )
    results = outputs.Results(args, corpus, config, windows, replaced, __file__, state)

    # --- Train ---
    if args.do_train:
        order, total_updates = plan.order, plan.total_updates
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

        if plan.checkpoint is not None:
            accelerator.load_state(plan.checkpoint)
            results.progress = checkpoints.read_progress(plan.checkpoint)
        progress = results.progress
        results.announce(accelerator.mixed_precision, plan)
        accelerator.init_trackers(f"{args.task_name}_no_trainer", outputs.simple_values(args))
        running_loss = torch.zeros((), device=accelerator.device)
        running_loss += progress.pending_loss * state.is_main_process

        def save_checkpoint(name: str) -> None:
            progress.pending_loss = accelerator.reduce(running_loss, "sum").item()
            results.check_finite(progress.pending_loss)
            with checkpoints.written_whole(
                output_dir / name, state, plan.conditions, progress
            ) as folder:
                accelerator.save_state(folder)
                save_model(accelerator, model, tokenizer, folder)
                results.write_card(folder)
            checkpoints.delete_old(output_dir, args.save_total_limit, progress, state)

        def stop_if_asked() -> None:
            if stop_signals.stop():
                save_checkpoint(f"step_{progress.step}")
                bar.close()
                stop_signals.exit(output_dir / f"step_{progress.step}")

        stop_signals = checkpoints.StopSignals(state)
        started, first_step = time.time(), progress.step
        bar = tqdm(
            total=total_updates, initial=progress.step, disable=not state.is_local_main_process
        )
        for epoch in range(progress.epochs_done, math.ceil(total_updates / order.updates)):
            if results.patience_is_over():
                break
            order.epoch = epoch
            updates_done = progress.step - epoch * order.updates
            batches = iter(accelerator.skip_first_batches(loader, updates_done * accumulation))
            model.train()
            for _ in range(min(order.updates - updates_done, total_updates - progress.step)):
                micro_batches = list(islice(batches, accumulation))  # may draw random numbers
                checkpoints.seed_update(args.seed, progress.step, state.process_index)
                for batch in micro_batches:
                    with accelerator.accumulate(model):
                        labels = batch.pop("labels")
                        logits = model(**batch).logits
                        loss = common.token_loss(logits, labels, plan.num_labelled)
                        # A share of the update's: undo the means that accumulation and DDP take.
                        accelerator.backward(loss * accumulation * state.num_processes)
                        if accelerator.sync_gradients and args.max_grad_norm > 0:
                            clip_gradients(accelerator, model.parameters(), args.max_grad_norm)
                        optimizer.step()
                        optimizer.zero_grad()
                    running_loss += loss.detach()
                learning_rate = schedule.get_last_lr()[0]
                schedule.step()
                progress.step += 1
                bar.update()
                if progress.step % args.logging_steps == 0:
                    loss = accelerator.reduce(running_loss, "sum").item()
                    running_loss.zero_()
                    progress.total_loss += loss
                    loss /= args.logging_steps
                    results.log_loss(progress.step, loss, learning_rate)
                    bar.set_postfix(loss=f"{loss:.4f}")
                    logs = {"train/loss": loss, "train/learning_rate": learning_rate}
                    accelerator.log(logs, step=progress.step)
                stop_if_asked()
                if args.checkpoint_every and progress.step % args.checkpoint_every == 0:
                    save_checkpoint(f"step_{progress.step}")

            # --- Evaluate and save each epoch ---
            if args.do_eval and "validation" in windows:
                predictions = predict(accelerator, model, windows["validation"], collate, args)
                scores = results.scored("validation", predictions)
                results.epoch_done(epoch, scores, f"epoch_{epoch}")
                logs = {f"eval/{name}": value for name, value in scores.items()}
                accelerator.log(logs, step=progress.step)
            progress.epochs_done += 1
            if args.checkpoint_epochs:
                save_checkpoint(f"epoch_{epoch}")
                if pusher:
                    # A copy of this epoch's files; training goes on while they travel.
                    folder = output_dir / f"epoch_{epoch}"
                    pusher.push(folder, f"Training in progress epoch {epoch}", folder)
            stop_if_asked()
        bar.close()
        stop_signals.restore()
        progress.pending_loss = accelerator.reduce(running_loss, "sum").item()
        results.trained(time.time() - started, progress.step - first_step, order.update_size)
        if args.load_best_model_at_end and progress.best_checkpoint:
            accelerator.load_state(output_dir / progress.best_checkpoint)
        with outputs.staged(output_dir, state, outputs.run_identity(args, corpus)) as stage:
            save_model(accelerator, model, tokenizer, stage)
    else:
        # Whole on each device, under FSDP too.
        model = accelerator.prepare_model(model, device_placement=True, evaluation_mode=True)

    # --- Evaluate ---
    # After training again only where the weights kept are not the last epoch's.
    weights_changed = not args.do_train or args.load_best_model_at_end
    if args.do_eval and "validation" in windows and weights_changed:
        predictions = predict(accelerator, model, windows["validation"], collate, args)
        results.scored("validation", predictions)
    if args.do_predict and "test" in windows:
        predictions = predict(accelerator, model, windows["test"], collate, args)
        scores = results.scored("test", predictions)
        logs = {f"test/{name}": value for name, value in scores.items()}
        accelerator.log(logs, step=results.progress.step)

    # --- Save ---
    results.write(output_dir)
    # DDP holds the process group: were it the last to do so, its end could wait for ever for a
    # thread of gloo's that waits for Python's lock.
    (model,) = accelerator.free_memory(model)
    accelerator.end_training()
    if pusher:
        results.say(f"Pushed: {pusher.finish(output_dir)}")


def parameter_groups(model, weight_decay: float) -> list[dict]:
    """All parameters; biases and norms, which have one dimension, decay nothing."""
    groups = {True: [], False: []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            shape = getattr(parameter, "ds_shape", parameter.shape)  # DeepSpeed may have cut it up
            groups[len(shape) > 1].append(parameter)
    return [
        {"params": groups[True], "weight_decay": weight_decay},
        {"params": groups[False], "weight_decay": 0.0},
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
    with common.full_precision(accelerator.unwrap_model(model, keep_torch_compile=False)):
        for batch in loader:
            predictions.add(*common.gather_batch(accelerator, *common.predict_batch(model, batch)))
    return predictions


def save_model(accelerator, model, tokenizer, folder: Path) -> None:
    """The model as `from_pretrained` reads it; its weights are collected by every process."""
    weights = accelerator.get_state_dict(model)
    if accelerator.is_main_process:
        # torch.compile, which a launcher may ask for, puts a word into the names.
        weights = {name.replace("_orig_mod.", ""): weight for name, weight in weights.items()}
        unwrapped = accelerator.unwrap_model(model, keep_torch_compile=False)
        unwrapped.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    prepare_process()
    run(main)
