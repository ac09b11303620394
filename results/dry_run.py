"""The plan of a run that `--dry_run` prints, below what every run prints before it trains."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub.constants import HF_HUB_CACHE

from corpus.load import cache_folder
from encoder.batches import WindowSet
from encoder.lora import ADAPTER, ADAPTER_WEIGHTS, has_adapter, merged_weights
from results.args_file import ARGS_FILE
from results.output_folder import RUN_FILE
from results.result_files import ALL_RESULTS, FILE_PREFIXES, PREDICTIONS, REPORT_FILES, WEIGHTS
from results.run_results import RunResults
from results.run_rows import corpus_row
from settings.run_settings import Settings
from support.html import duration
from support.terminal import row_lines, say
from support.text import counted, size_text
from training.checkpoints import checkpoint_name
from training.plan import Plan
from training.trial import Memory, Trial


def print_dry_run(
    results: RunResults,
    plan: Plan | None,
    precision: str,
    trial: Trial | None,
    model: Any,
    tokenizer: Any,
) -> None:
    """Print the plan of a run, on the main process.

    `plan`: None if nothing is trained. `trial`: None if nothing was measured.
    """
    settings = results.settings
    if not results.state.is_main_process:
        return
    rows = {}
    if plan is not None:
        results.begin_training(plan, precision)  # prints the first rows
    else:
        say(*settings.replaced, *results.corpus.notes)
        rows["corpus"] = corpus_row(settings, results.corpus)
    rows["encoder"] = _encoder(model)
    windows = {name: _windows(split) for name, split in results.windows.items()}
    rows["windows"] = f"at most {results.config.window_length} sub-words; " + "; ".join(
        f"{name}: {text}" for name, text in windows.items()
    )
    if plan is not None:
        rows["steps"] = _steps(results, plan)
    rows |= _measured(results, plan, trial)
    rows["files"] = ", ".join(files_of_run(results, plan, model, tokenizer))
    if plan is not None and (checkpoints := _checkpoints(results, plan, trial, model)):
        rows["saves"] = checkpoints
    rows["caches"] = ", ".join(_caches(settings))
    if results.pusher is None:
        rows["push"] = "nothing is pushed"
    elif plan is None:  # otherwise it is printed already
        rows["push"] = results.pusher.plan
    say(*row_lines(rows))
    say("", "Nothing was saved but the caches. To start the run, leave out --dry_run.")


def _encoder(model: Any) -> str:
    """Describe the size of a model."""
    # Not those of the module: it may hold the embeddings that are trained a second time.
    total = sum(tensor.numel() for tensor in _saved_tensors(model))
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    text = f"{model.config.model_type}, {counted(total, 'parameter')}"
    return text if trained == total else f"{text}, {trained:,} of them trained"


def _saved_tensors(model: Any) -> list[Any]:
    """Return the weights of a model as they are saved: each tensor once."""
    weights = model.state_dict()
    if has_adapter(model):
        weights = dict(merged_weights(model, weights))
    tensors = (tensor for tensor in weights.values() if tensor.is_floating_point())
    return [*{tensor.data_ptr(): tensor for tensor in tensors}.values()]


def _windows(windows: WindowSet) -> str:
    """Describe the windows of a split."""
    if not len(windows):
        return "none"
    mean, longest = windows.lengths.mean(), windows.lengths.max()
    cut = counted(windows.sentences_cut, "sentence")
    number = counted(len(windows), "window")
    return f"{number} of {mean:.0f} sub-words on average, {longest} at most, {cut} cut"


def _steps_left(results: RunResults, plan: Plan) -> range:
    """Return the steps that are left; none after an early stop."""
    progress = results.progress
    return range(progress.step + 1, 1 + (0 if plan.is_over(progress) else plan.total_steps))


def _steps(results: RunResults, plan: Plan) -> str:
    """Describe the steps that are left, and what happens after some of them."""
    calendar, done, left = plan.calendar, results.progress.step, _steps_left(results, plan)
    evaluations = _evaluations_in_training(results, plan)
    parts = [
        f"{len(left):,} in {counted(calendar.num_epochs, 'epoch')} of {calendar.epoch_steps:,}",
        f"{plan.warmup_steps:,} of warm-up" if plan.warmup_steps else "",
        f"{done:,} are done" if done else "",
        counted(evaluations, "evaluation"),
        f"at most, because {counted(plan.patience, 'evaluation')} without a better score end it"
        if plan.patience is not None and left
        else "",
    ]
    return ", ".join(part for part in parts if part)


# --- Time and memory --------------------------------------------------------------------------


def _measured(results: RunResults, plan: Plan | None, trial: Trial | None) -> dict[str, str]:
    """Return the rows of time and memory."""
    if trial is None:
        library = results.settings.training.sharded_by
        return {"time": f"not measured under {library}", "memory": f"not measured under {library}"}
    parts, total = [], 0.0
    if plan is not None:
        total = trial.step_seconds * len(_steps_left(results, plan))
        digits = 3 if trial.step_seconds < 1 else 1
        step = f"{trial.step_seconds:.{digits}f} s per step"
        times = f"{step}, mean of {counted(trial.steps, 'step')}"
        parts.append(f"training {duration(total)} ({times})")
    for split, count in evaluations_of_run(results, plan).items():
        seconds = (trial.split_seconds or {}).get(split, 0.0)
        total += count * seconds
        often = f"{count} x " if count > 1 else ""
        in_training = _evaluations_in_training(results, plan) if split == "validation" else 0
        # The row of steps counts evaluations in training only, so the difference is explained.
        last = f" ({in_training} in training, 1 of the {_final(results)})"
        reason = last if 0 < in_training < count else ""
        parts.append(f"scoring of the {split} split {often}{duration(seconds)}{reason}")
    rows = {"time": f"about {duration(total)}: " + ", ".join(parts)}
    if trial.memory is not None:
        rows["memory"] = _memory(trial.memory, results.state)
    return rows


def _memory(memory: Memory, state: Any) -> str:
    """Describe the memory of training in the main process. `state`: accelerate's `PartialState`."""
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimizer": memory.optimizer,
        "activations": memory.activations,
    }
    if state.device.type == "cpu":
        parts["libraries, corpus and others"] = max(memory.peak - sum(parts.values()), 0)
    sizes = ", ".join(f"{name} {size_text(size)}" for name, size in parts.items())
    place = f"on {state.device.type}" + (" in each process" if state.num_processes > 1 else "")
    return f"{size_text(memory.peak)} at the peak {place} in the largest step: {sizes}"


def _evaluations_in_training(results: RunResults, plan: Plan | None) -> int:
    """Return how often the rest of a run scores the validation split while it trains."""
    if plan is None or "validation" not in results.windows:
        return 0
    steps = _steps_left(results, plan)
    count = sum(map(plan.calendar.evaluates_at, steps))
    return count + plan.owes_evaluation(results.progress)


def _final(results: RunResults) -> str:
    """Name the weights that are scored after training, if training has not scored them."""
    if results.settings.checkpoints.load_best_model_at_end:
        return "restored weights"
    return "merged weights" if results.settings.model.lora_rank is not None else "last weights"


def evaluations_of_run(results: RunResults, plan: Plan | None) -> dict[str, int]:
    """Return how often the rest of a run scores, or tags, each split."""
    settings, counts = results.settings, {}
    if "validation" in results.windows:
        count = _evaluations_in_training(results, plan)
        at_end = plan is not None and count and plan.calendar.evaluates_at(plan.total_steps)
        # Restored weights are scored again, and so are those that an adapter is merged into.
        merges = settings.model.lora_rank is not None
        is_scored = at_end and not (settings.checkpoints.load_best_model_at_end or merges)
        counts["validation"] = count + (settings.do_eval and not is_scored)
    if "test" in results.windows and settings.do_predict:
        counts["test"] = 1
    return {split: count for split, count in counts.items() if count}


# --- Files ------------------------------------------------------------------------------------


def files_of_run(results: RunResults, plan: Plan | None, model: Any, tokenizer: Any) -> list[str]:
    """Return the files that a run writes, but those of its checkpoints and trackers.

    Names without a folder are in the output folder.
    """
    settings = results.settings
    names = [*_model_files(model, tokenizer)] if plan is not None else []
    scored = [
        split
        for split in evaluations_of_run(results, plan)
        if "labels" in results.corpus.splits[split].column_names
    ]
    names += ["train_results.json"] if plan is not None else []
    names += [f"{FILE_PREFIXES[split]}_results.json" for split in scored]
    names += [ALL_RESULTS] if plan is not None or scored else []
    for split in evaluations_of_run(results, plan):
        names += [f"{PREDICTIONS[split]}.txt", f"{PREDICTIONS[split]}.jsonl"]
    trains = plan is not None
    if scored and (trains or not (settings.output_dir / RUN_FILE).exists()):
        names += REPORT_FILES if trains else [name for name in REPORT_FILES if "curves" not in name]
    names += [RUN_FILE, ARGS_FILE, "README.md"] if trains else []
    names += _elsewhere(settings) if trains else []
    return names


def _model_files(model: Any, tokenizer: Any) -> Iterator[str]:
    """Yield the names of the files of a model: its weights, and the others as they are saved."""
    yield WEIGHTS
    with TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        yield from sorted(path.name for path in Path(folder).iterdir())
    if has_adapter(model):
        yield from (f"{ADAPTER}/adapter_config.json", f"{ADAPTER}/{ADAPTER_WEIGHTS}")


def _caches(settings: Settings) -> list[str]:
    """Return the folders of the cached corpora and of the models from the Hub."""
    name, folder = settings.model.model_name_or_path, settings.model.cache_dir
    of_models = [] if Path(name).exists() else [folder or HF_HUB_CACHE]
    return [str(cache_folder(settings.corpus)), *of_models]


def _elsewhere(settings: Settings) -> list[str]:
    """Return the files of log and trackers."""
    log_file = settings.output.log_file
    names = [shlex.quote(log_file)] if log_file else []
    return [*names, *(f"the output of {tracker}" for tracker in settings.output.report_to)]


def _checkpoints(results: RunResults, plan: Plan, trial: Trial | None, model: Any) -> str:
    """Describe the checkpoints that a run saves, or return an empty string."""
    checkpoints, calendar = results.settings.checkpoints, plan.calendar
    steps = _steps_left(results, plan)
    saved = [step for step in steps if calendar.saves_at(step, improved=False)]
    saved_by = plan.conditions["saved by"]
    names: Mapping[int, str] = {n: checkpoint_name(saved_by, calendar, n) for n in saved}
    limit = checkpoints.save_total_limit
    kept = [*names.values()][-(limit or len(names)) :] if names else []
    evaluated = {step for step in steps if calendar.evaluates_at(step)}
    saves_best = calendar.keeps_best or calendar.intervals.save_strategy == "best"
    possible = {*saved, *(evaluated if saves_best else ())}
    # The best checkpoint is kept in addition to the newest ones.
    keeps_another = len(kept) < len(possible) and bool(kept) and not evaluated.isdisjoint(possible)
    parts = []
    if kept:
        some = f", the last {len(kept)} of {len(names)}" if len(kept) < len(names) else ""
        shown = ", ".join(kept if len(kept) < 5 else [kept[0], "...", kept[-1]])
        parts.append(f"{counted(len(kept), 'checkpoint')} ({shown}{some})")
    if keeps_another:
        parts.append("and that of the best")
    elif saves_best and possible:
        parts.append("a checkpoint of each better score")
    if parts and trial is not None and trial.memory is not None:
        size = trial.memory.optimizer
        size += sum(tensor.numel() * tensor.element_size() for tensor in _saved_tensors(model))
        # A new one is complete before an old one is deleted.
        most = len(possible) if limit is None else min(len(possible), limit + 1 + keeps_another)
        total = f", at most {size_text(most * size)} on the disk" if most > 1 else ""
        parts.append(f"about {size_text(size)} each{total}")
    return ", ".join(parts)
