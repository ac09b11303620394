"""Fine-tune a pretrained encoder for token classification with a training loop on accelerate.

    accelerate launch train_accelerate.py                      # the recipe: CoNLL-2003, BERT
    accelerate launch train_accelerate.py --sample             # embedded corpus and encoder
    accelerate launch train_accelerate.py --train_file my.conll --model_name_or_path my/encoder
    accelerate launch train_accelerate.py my_flags.yaml --learning_rate 3e-5

`train_trainer.py` does the same with `transformers.Trainer`. To see what Trainer does for you:
diff train_trainer.py train_accelerate.py
"""

from support.start import begin_script

if __name__ == "__main__":
    begin_script()  # before the imports below, which take seconds

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
from encoder.cpu.process import flush_denormals, prepare_process
from settings.flags import LoopFlags
from settings.parse import arguments_of, parse_flags
from support.end_of_run import one_run
from support.errors import run_script
from support.start import imports_are_done, say_loading
from support.terminal import say

if TYPE_CHECKING:
    from results.run_results import RunOutcome


@one_run
def main(argv: Sequence[object] | None = None) -> "RunOutcome":
    """Fine-tune a model, score it, and save it with its results.

    `argv`: the flags and their values; default: those of the command line. Returns the scores of
    each split and the output folder. Raises UserError.
    """
    # --- Settings ---
    flags = parse_flags(LoopFlags, __doc__, argv)
    say_loading(arguments_of(argv))
    # Imported here so that `--help` and a mistyped flag respond immediately.
    from accelerate import Accelerator
    from accelerate.utils import (
        DistributedDataParallelKwargs,
        GradientAccumulationPlugin,
        set_seed,
    )
    from torch.utils.data import DataLoader

    from corpus.load import load_corpus
    from encoder.architecture import check_architecture
    from encoder.batches import encode_corpus
    from encoder.check import check_only
    from encoder.collate import make_collator
    from encoder.cpu.clipping import clip_gradients
    from encoder.model import (
        choose_context,
        choose_decoding,
        load_config,
        load_model,
        match_labels,
        remember_encoding,
        splitter_to_keep,
    )
    from encoder.tokenizer import load_run_tokenizer, window_length
    from encoder.traits import observe_traits
    from hub.pusher import start_pushing
    from results.dry_run import print_dry_run
    from results.output_folder import check_output_dir, run_identity, staged
    from results.run_results import RunOutcome, RunResults
    from scoring.operating_point import check_operating_point
    from settings.defaults import make_settings
    from support.work_folder import lock_output_dir
    from training.checkpoints import checkpoint_staged, delete_old
    from training.loop import SAVED_BY, TrainingRun
    from training.machines import check_same_weights
    from training.optimizer import check_optimizer, make_optimizer, make_scheduler
    from training.plan import plan_training
    from training.progress import choose_best_score
    from training.runtime import (
        ask_hub,
        end_training,
        export_to_deepspeed,
        join_processes,
        quiet_libraries,
        start_trackers,
        training_precision,
    )
    from training.signals import StopSignals
    from training.trial import try_run
    from training.weights import (
        merge_for_good,
        restore_best,
        save_model,
        save_state_dict,
        save_weights_once,
    )

    imports_are_done()
    state = join_processes(flags.use_cpu)
    settings = make_settings(flags, "-accelerate", ask_hub(flags, state), arguments_of(argv))
    training, checkpoints, output_dir = settings.training, settings.checkpoints, settings.output_dir
    export_to_deepspeed(training)
    if settings.check:
        check_only(settings)
        return RunOutcome({}, output_dir)
    pusher = start_pushing(settings.hub, output_dir, state, create=not settings.dry_run)
    architecture = check_architecture(
        settings.model,
        gradient_checkpointing=training.gradient_checkpointing,
        layerwise_lr_decay=training.layerwise_lr_decay,
    )
    precision = training_precision(training.mixed_precision, training.use_cpu, architecture)
    accelerator = Accelerator(
        cpu=training.use_cpu,
        mixed_precision=precision,
        # `plan.order` completes the last step of an epoch, so no step ends early.
        gradient_accumulation_plugin=GradientAccumulationPlugin(
            num_steps=training.gradient_accumulation_steps, sync_with_dataloader=False
        ),
        log_with=settings.trackers,
        project_dir=output_dir / "runs",
    )
    set_seed(training.seed)
    flush_denormals()
    quiet_libraries(settings.output.verbose)

    # --- Corpus ---
    say("Reading the corpus ...")
    with state.local_main_process_first():
        splitter = splitter_to_keep(settings.model, do_train=settings.do_train)
        corpus = load_corpus(settings.corpus, splitter)
    best = choose_best_score(settings.checkpoints, corpus.label_names, corpus.entity_tags)

    # --- Model ---
    say("Loading the model ...")
    config = load_config(settings.model, corpus.label_names, do_train=settings.do_train)
    corpus = match_labels(corpus, config)
    tokenizer = load_run_tokenizer(settings.model)
    identity = run_identity(settings, corpus)
    check_output_dir(settings, identity, state)
    sharded_by = training.sharded_by if settings.do_train else None
    work = lock_output_dir(output_dir, state, settings.command, sharded_by)
    max_length = window_length(
        tokenizer, config, settings.windows.max_seq_length, do_train=settings.do_train
    )
    remember_encoding(config, max_length, settings.corpus.task_name, corpus.word_splitter)
    choose_decoding(config, settings.model.decode, corpus.entity_tags, do_train=settings.do_train)
    choose_context(config, settings.windows.context, corpus, do_train=settings.do_train)
    check_operating_point(
        settings, config.decode, corpus.label_names, corpus.entity_tags, corpus.splits
    )
    with state.local_main_process_first():
        windows = encode_corpus(corpus, tokenizer, max_length, settings.windows, config.context)
    plan = plan_training(
        settings,
        corpus,
        tokenizer,
        windows,
        max_length,
        best,
        context=config.context,
        identity=identity,
        precision=precision,
        state=state,
        saved_by=SAVED_BY,
    )
    if plan is not None:
        check_optimizer(training, plan.warmup_steps, plan.total_steps)
    model = load_model(
        settings.model,
        config,
        state.device,
        do_train=settings.do_train,
        sharded_by=training.sharded_by,
        train_token_ids=windows["train"].token_ids() if settings.do_train else None,
        optim=training.optim,
    )
    check_same_weights(model, state)
    padded_length = settings.windows.padded_length(max_length)
    traits = observe_traits(
        model,
        tokenizer,
        max_length,
        try_unpadded=padded_length is None,
        num_processes=state.num_processes,
    )
    collate = make_collator(tokenizer, traits, state.device, padded_length)
    if plan is not None:
        plan.order.padded = not traits.unpadded
    results = RunResults(settings, corpus, windows, config, best, state, pusher, traits.note)
    if settings.dry_run:
        optimizer_of_run = partial(make_optimizer, model, training)
        trial = try_run(
            accelerator, model, optimizer_of_run, windows, collate, plan, training, traits
        )
        print_dry_run(results, plan, precision, trial, model, tokenizer)
        end_training(accelerator)
        return RunOutcome({}, output_dir)

    # --- Train ---
    def evaluate(split: str) -> dict[str, float]:
        predictions = results.no_predictions(split)
        predict(accelerator, model, windows[split], collate, training, predictions)
        return results.score(split, predictions)

    if plan is not None:
        if training.gradient_checkpointing:
            model.activation_checkpointing_enable()  # formerly gradient_checkpointing_enable
        train_windows: Any = windows["train"]  # a data set, but not a subclass of torch's Dataset
        loader = DataLoader(
            train_windows,
            training.per_device_train_batch_size,
            sampler=plan.order,
            collate_fn=collate,
            num_workers=training.dataloader_num_workers,
        )
        optimizer = make_optimizer(model, training)
        scheduler = make_scheduler(
            optimizer,
            training.lr_scheduler_type,
            plan.warmup_steps,
            plan.total_steps,
            training.lr_scheduler_kwargs,
        )
        # Set here because the traits are known only once the model is loaded.
        accelerator.ddp_handler = DistributedDataParallelKwargs(
            find_unused_parameters=traits.unused_parameters
        )
        # The scheduler is not prepared: accelerate would step it once for each process.
        model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
        accelerator.register_for_checkpointing(scheduler)
        save_weights_once(accelerator)
        if plan.checkpoint is not None:
            accelerator.load_state(plan.checkpoint)
        progress = results.begin_training(plan, precision)
        start_trackers(
            accelerator,
            f"{settings.corpus.task_name}_no_trainer",
            settings.simple_flags | {"num_train_epochs": plan.num_train_epochs},
        )
        stop_signals = StopSignals(state)
        run = TrainingRun(accelerator, plan, progress, stop_signals, settings.output)
        started, first_step = time.time(), progress.step

        def save_checkpoint() -> Path:
            run.losses.store_pending()
            folder = run.checkpoint_folder()
            with checkpoint_staged(folder, plan, progress, state, work) as stage:
                accelerator.save_state(stage)  # with weights only if they are sharded
                save_model(accelerator, model, tokenizer, stage, progress.step)
                save_state_dict(accelerator, model, stage)
                results.write_card(stage)
            delete_old(output_dir, checkpoints.save_total_limit, progress, state)
            return folder

        if plan.owes_evaluation(progress):
            run.end_evaluation(evaluate("validation"), plan.restored_name)
        for epoch in plan.epochs_left(progress):
            for micro_batches in plan.steps_left(accelerator, loader, epoch, progress):
                model.train()
                num_labelled = common.count_labelled(accelerator, micro_batches)
                for batch in micro_batches:
                    with accelerator.accumulate(model):
                        labels = batch.pop("labels")
                        logits = model(**batch).logits
                        loss = common.token_loss(
                            logits, labels, num_labelled, training.label_smoothing_factor
                        )
                        # accumulate() and DDP average; our losses are shares of the step's loss.
                        accelerator.backward(loss * plan.accumulation * state.num_processes)
                        if accelerator.sync_gradients and training.max_grad_norm > 0:
                            clip_gradients(accelerator, model.parameters(), training.max_grad_norm)
                        optimizer.step()
                        optimizer.zero_grad()
                    run.add_loss(loss)
                run.end_step(scheduler.get_last_lr()[0])
                scheduler.step()
                if run.evaluation_due():
                    run.end_evaluation(evaluate("validation"), run.checkpoint_folder().name)
                if run.checkpoint_due():
                    folder = save_checkpoint()
                    if pusher and plan.calendar.ends_epoch(progress.step):
                        # Pushes a copy of this epoch's files, while training continues.
                        pusher.push(folder, f"Training in progress epoch {epoch}", folder)
                    if stop_signals.should_stop():
                        run.bar.close()
                        stop_signals.exit(folder)
        run.bar.close()
        stop_signals.restore()
        run.losses.store_pending()
        results.end_training(plan, time.time() - started, first_step)
        if checkpoints.load_best_model_at_end:
            restore_best(accelerator, model, output_dir, progress)
        with staged(output_dir, state, identity) as stage:
            save_model(accelerator, model, tokenizer, stage, progress.step)
        if settings.model.lora_rank is not None:
            merge_for_good(accelerator, model)
    else:
        # Without training each device holds the whole model, even under FSDP.
        model = accelerator.prepare_model(model, device_placement=True, evaluation_mode=True)

    # --- Evaluate and save ---
    # Training may have scored the last weights already; restored and merged ones are scored again.
    scored = results.is_scored("validation") and not checkpoints.load_best_model_at_end
    scored = scored and settings.model.lora_rank is None
    if settings.do_eval and "validation" in windows and not scored:
        evaluate("validation")
    results.calibrate()
    if settings.do_predict and "test" in windows:
        scores = evaluate("test")
        accelerator.log({f"test/{k}": v for k, v in scores.items()}, step=results.progress.step)
    outcome = results.write()
    # DDP holds the process group. If DDP were the last to release it, the script could deadlock:
    # it would wait for a thread of gloo that waits for Python's global lock.
    (model,) = accelerator.free_memory(model)
    end_training(accelerator)
    if pusher:
        say(f"Pushed: {pusher.finish(output_dir)}")
    return outcome


def predict(
    accelerator: Any, model: Any, windows: Any, collate: Any, training: Any, predictions: Any
) -> None:
    """Add the predictions of a whole split to `predictions`, the same on every process."""
    from torch.utils.data import DataLoader

    from training.order import evaluation_order

    batch_size = training.per_device_eval_batch_size
    round_size = batch_size * accelerator.num_processes
    order = evaluation_order(windows.lengths, round_size, one_length=collate.padding_leaks)
    loader = accelerator.prepare_data_loader(
        DataLoader(
            windows,
            batch_size,
            sampler=order,
            collate_fn=collate,
            num_workers=training.dataloader_num_workers,
        )
    )
    model.eval()
    with common.full_precision(accelerator.unwrap_model(model, keep_torch_compile=False)):
        for batch in loader:
            predictions.add(*common.gather_batch(accelerator, *common.predict_batch(model, batch)))


if __name__ == "__main__":
    prepare_process()
    run_script(main)
