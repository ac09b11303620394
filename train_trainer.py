"""Fine-tune a pretrained encoder for token classification with `transformers.Trainer`.

    python train_trainer.py                                    # the recipe: CoNLL-2003, BERT
    python train_trainer.py --sample                           # embedded corpus and encoder
    python train_trainer.py --train_file my.conll --model_name_or_path my/encoder
    python train_trainer.py my_flags.yaml --learning_rate 3e-5

`train_accelerate.py` does the same with a training loop on accelerate. To see what Trainer does for
you: diff train_trainer.py train_accelerate.py
"""

from support.start import begin_script

if __name__ == "__main__":
    begin_script()  # before the imports below, which take seconds

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from encoder.cpu.process import flush_denormals, prepare_process
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
    say_loading(arguments_of(argv))
    from settings.trainer_flags import TrainerFlags, training_arguments

    flags = parse_flags(TrainerFlags, __doc__, argv)
    # Imported here so that `--help` and a mistyped flag respond immediately.
    from accelerate.utils import set_seed

    from corpus.load import load_corpus
    from encoder.architecture import check_architecture
    from encoder.batches import encode_corpus
    from encoder.check import check_only
    from encoder.collate import make_collator
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
    from training.machines import check_same_weights
    from training.plan import plan_training
    from training.progress import choose_best_score
    from training.runtime import (
        ask_hub,
        export_to_deepspeed,
        join_processes,
        quiet_libraries,
        training_precision,
    )
    from training.signals import StopSignals
    from training.trainer import (
        SAVED_BY,
        TrainingCallback,
        WindowTrainer,
        check_trainer_optimizer,
    )
    from training.trial import try_run
    from training.weights import merge_for_good, restore_best

    imports_are_done()
    state = join_processes(flags.use_cpu, flags.ddp_backend, flags.ddp_timeout)
    settings = make_settings(flags, "", ask_hub(flags, state), arguments_of(argv))
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
    trainer_args = training_arguments(flags, settings, precision)
    state = trainer_args.distributed_state  # TrainingArguments has replaced it
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
        check_trainer_optimizer(trainer_args, plan.warmup_steps, plan.total_steps)
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

    # --- Train ---
    trainer_args.ddp_find_unused_parameters |= traits.unused_parameters
    trainer = WindowTrainer(
        model=model,
        args=trainer_args,
        windows=windows,
        collate=collate,
        tokenizer=tokenizer,
        results=results,
        plan=plan,
        work=work,
        layerwise_lr_decay=training.layerwise_lr_decay,
    )
    if settings.dry_run:
        trial = try_run(
            trainer.accelerator,
            model,
            trainer.create_optimizer,
            windows,
            collate,
            plan,
            training,
            traits,
        )
        print_dry_run(results, plan, precision, trial, model, tokenizer)
        return RunOutcome({}, output_dir)
    if plan is not None:
        progress = results.begin_training(plan, precision)
        stop_signals = StopSignals(state)
        started, first_step = time.time(), progress.step
        trainer.add_callback(
            TrainingCallback(trainer, progress, stop_signals, settings, pusher, results.write_card)
        )
        trainer.train(resume_from_checkpoint=plan.checkpoint and str(plan.checkpoint))
        if stop_signals.stopping:
            stop_signals.exit(trainer.checkpoint_folder())
        stop_signals.restore()
        trainer.losses.store_pending()
        results.end_training(plan, time.time() - started, first_step)
        if checkpoints.load_best_model_at_end:
            restore_best(trainer.accelerator, trainer.model_wrapped, output_dir, progress)
        with staged(output_dir, state, identity) as stage:
            trainer.save_model(stage)
        if settings.model.lora_rank is not None:
            merge_for_good(trainer.accelerator, trainer.model_wrapped)

    # --- Evaluate and save ---
    # Training may have scored the last weights already; restored and merged ones are scored again.
    scored = results.is_scored("validation") and not checkpoints.load_best_model_at_end
    scored = scored and settings.model.lora_rank is None
    if settings.do_eval and "validation" in windows and not scored:
        trainer.evaluate(windows["validation"])
    results.calibrate()
    if settings.do_predict and "test" in windows:
        trainer.evaluate(windows["test"], metric_key_prefix="test")
    outcome = results.write()
    if pusher:
        say(f"Pushed: {pusher.finish(output_dir)}")
    return outcome


if __name__ == "__main__":
    prepare_process()
    run_script(main)
