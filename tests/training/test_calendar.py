"""The calendar of a run: its events are those of Trainer's own callback."""

import itertools
import math

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import DefaultFlowCallback

from settings.run_settings import IntervalSettings
from training.calendar import Calendar

EPOCH_STEPS = 7
STRATEGIES = ("no", "steps", "epoch")


def events_of_trainer(intervals: IntervalSettings, total_steps: int, folder) -> list[tuple]:
    """Return (step, log, evaluate, save) as Trainer's loop calls its callback."""
    args = TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        logging_strategy=intervals.logging_strategy,
        logging_steps=intervals.logging_steps,
        logging_first_step=intervals.logging_first_step,
        eval_strategy=intervals.eval_strategy,
        eval_steps=intervals.eval_steps,
        eval_delay=intervals.eval_delay,
        save_strategy=intervals.save_strategy,
        save_steps=intervals.save_steps,
    )
    state, callback = TrainerState(max_steps=total_steps), DefaultFlowCallback()
    state.compute_steps(args, total_steps)
    events = []
    for step in range(1, total_steps + 1):
        control = TrainerControl()
        state.global_step, state.epoch = step, step / EPOCH_STEPS
        callback.on_step_end(args, state, control)
        if step % EPOCH_STEPS == 0 or step == total_steps:
            callback.on_epoch_end(args, state, control)
        events.append((step, control.should_log, control.should_evaluate, control.should_save))
    return events


@pytest.mark.parametrize("total_steps", [1, 7, 20, 21])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"logging_steps": 3, "eval_steps": 4, "save_steps": 4},
        {"logging_steps": 0.2, "eval_steps": 0.3, "save_steps": 0.3, "logging_first_step": True},
        {"logging_steps": 4, "eval_steps": None, "save_steps": 500},
        {"logging_steps": 2, "eval_steps": 2, "save_steps": 2, "eval_delay": 9},
        {"logging_steps": 2, "eval_steps": 2, "save_steps": 2, "eval_delay": 1.5},
    ],
)
def test_events_are_those_of_trainer(options, total_steps, tmp_path):
    for logs, evaluates, saves in itertools.product(STRATEGIES, repeat=3):
        intervals = IntervalSettings(
            logging_strategy=logs, eval_strategy=evaluates, save_strategy=saves, **options
        )
        calendar = Calendar(EPOCH_STEPS, total_steps, intervals)
        events = [
            (
                step,
                calendar.logs_at(step),
                calendar.evaluates_at(step),
                calendar.saves_at(step, improved=False),
            )
            for step in range(1, total_steps + 1)
        ]
        assert events == events_of_trainer(intervals, total_steps, tmp_path), intervals


@pytest.mark.parametrize("strategy", ["no", "steps", "epoch", "best"])
@pytest.mark.parametrize("keeps_best", [True, False])
def test_a_better_score_is_saved_if_the_best_is_to_be_kept(strategy, keeps_best):
    intervals = IntervalSettings(save_strategy=strategy, save_steps=4)
    calendar = Calendar(EPOCH_STEPS, 20, intervals, keeps_best)
    assert calendar.saves_at(3, improved=True) == (keeps_best or strategy == "best")
    assert not calendar.saves_at(3, improved=False)


def test_the_end_of_an_epoch_is_saved_for_its_push():
    calendar = Calendar(7, 20, IntervalSettings(save_strategy="no", save_each_epoch=True))
    assert [s for s in range(1, 21) if calendar.saves_at(s, improved=False)] == [7, 14, 20]


def test_epochs():
    calendar = Calendar(7, 20, IntervalSettings())
    assert [calendar.epoch_of(step) for step in (0, 1, 7, 8, 14, 15, 20)] == [0, 0, 0, 1, 1, 2, 2]
    assert calendar.num_epochs == 3


@pytest.mark.parametrize("steps", [0, 0.1, 0.37, 0.999, 1, 1.5, 2, 100])
def test_steps_of_warm_up_are_rounded_as_trainer_does(steps, tmp_path):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, warmup_steps=steps)
    for total in (1, 7, 100, 3333):
        calendar = Calendar(7, total, IntervalSettings())
        assert calendar.whole_steps(steps) == args.get_warmup_steps(total)
        assert calendar.whole_steps(steps) == (
            math.ceil(total * steps) if steps < 1 else math.floor(steps)
        )
