"""What to do next, decided by the facts of a run."""

import pytest

from results.advice import MOST, advice
from results.report_label_errors import LabelErrorStudy
from results.report_mistakes import Confusion, Mistakes

NONE = Mistakes([], [], [], 0, 0)


def scores(
    number=500, precision=(0.8, 0.9), recall=(0.8, 0.9), weakest=(0.75, 0.9), **more
) -> dict:
    """Return scores of two types; the pairs are intervals."""
    return {
        "overall": {
            "precision": 0.85, "precision_interval": list(precision),
            "recall": 0.85, "recall_interval": list(recall),
            "f1": 0.85, "f1_interval": [0.8, 0.9],
        },
        "per_type": {
            "LOC": {"f1": 0.9, "f1_interval": [0.85, 0.95], "number": number - number // 3},
            "ORG": {"f1": 0.8, "f1_interval": list(weakest), "number": number // 3},
        },
        "words": 9000,
        "intervals": {"level": 0.95, "unit": "sentence", "units": 400},
    } | more  # fmt: skip


def run(**more) -> dict:
    return {
        "task": "ner",
        "output_name": "out",
        "script": "train_trainer.py",
        "command": "train_trainer.py flags.yaml --train_file 'my file.conll' --seed 3",
        "arguments": {"num_train_epochs": 3.0, "max_steps": -1, "load_best_model_at_end": False},
        "label_counts": {"train": {"O": 900, "B-LOC": 70, "I-LOC": 5, "B-ORG": 12}},
        "history": [{"step": 10}, {"step": 20}],
        "kept_step": 20,
        "scores": {"test": scores()},
    } | more


def reliability(error: float) -> dict:
    bins = [{"start": 0.9, "end": 1.0, "entities": 80, "mean_score": 0.95, "precision": 0.8}]
    return {"reliability": {"bins": bins, "expected_calibration_error": error}}


SURFACES = {
    "in training": {"recall": 0.9, "recall_interval": [0.85, 0.95], "number": 300},
    "new": {"recall": 0.6, "recall_interval": [0.5, 0.7], "number": 200},
}


@pytest.mark.parametrize(
    ("more", "sure", "title"),
    [
        ({}, 0, "Try another encoder"),
        ({"scores": {"test": scores(number=39)}}, 0, "Measure on more text"),
        ({"still_improved": True}, 0, "Train longer"),
        ({"still_improved": False}, 0, "Keep the best weights"),
        ({"still_improved": False, "kept_step": 10}, 0, "Try another encoder"),
        ({}, 3, "Check suspected labels"),
        ({"label_errors": LabelErrorStudy("study", 7, [], NONE)}, 0, "Check suspected labels"),
        ({"label_errors": LabelErrorStudy("study", 0, [], NONE)}, 0, "Try another encoder"),
        ({"scores": {"test": scores(weakest=(0.7, 0.8))}}, 0, "Label more ORG"),
        ({"scores": {"test": scores(by_surface=SURFACES)}}, 0, "Label text with other entities"),
        ({"scores": {"test": scores(recall=(0.6, 0.7))}}, 0, "Choose an operating point"),
        ({"scores": {"test": scores(precision=(0.6, 0.7))}}, 0, "Choose an operating point"),
        (
            {
                "scores": {"test": scores(recall=(0.6, 0.7))},
                "calibration": {"requested": "--tune_for f1"},
            },
            0,
            "Try another encoder",
        ),
        ({"scores": {"test": scores(**reliability(0.2))}}, 0, "Do not read scores"),
        ({"scores": {"test": scores(**reliability(0.05))}}, 0, "Try another encoder"),
        (
            {
                "still_improved": False,
                "history": [{"step": 10, "eval_f1": 0.0}, {"step": 20, "eval_f1": 0.0}],
                "arguments": {
                    "num_train_epochs": 3.0,
                    "metric_for_best_model": "f1",
                    "greater_is_better": True,
                },
            },
            0,
            "Train longer",
        ),
    ],
)
def test_each_rule_follows_from_its_facts(more, sure, title, snapshot):
    (step,) = advice(run(**more), True, sure)
    assert step.title.startswith(title)
    assert step == snapshot


@pytest.mark.parametrize(
    ("last", "interval", "improved", "titles"),
    [
        (0.81, [0.75, 0.87], True, ["Label more ORG", "Train longer"]),  # 0.01 of 0.12
        (0.81, [0.80, 0.82], True, ["Train longer", "Label more ORG"]),  # 0.01 of 0.02
        (0.80, [0.73, 0.85], False, ["Label more ORG"]),  # the first of equals is the best
        (0.79, [0.73, 0.85], False, ["Label more ORG", "Keep the best weights"]),
        (0.79, [0.78, 0.80], False, ["Keep the best weights", "Label more ORG"]),
    ],
)
def test_a_difference_that_may_be_chance_comes_after_what_is_clear(
    last, interval, improved, titles, snapshot
):
    arguments = run()["arguments"] | {"metric_for_best_model": "f1", "greater_is_better": True}
    facts = run(
        history=[{"step": 10, "eval_f1": 0.80}, {"step": 20, "eval_f1": last}],
        score_intervals=[{"step": 20, "eval_f1_interval": interval}],
        still_improved=improved,
        arguments=arguments,
        scores={"test": scores(weakest=(0.7, 0.8))},
    )
    steps = advice(facts, True, 0)
    assert [step.title for step in steps] == titles
    assert steps == snapshot


@pytest.mark.parametrize(
    ("number", "of", "entity_tags", "title"),
    [
        (5, 60, True, "Reduce the confusion of ORG with PER"),
        (4, 60, True, "Try another encoder"),  # too few to be a pattern
        (5, 200, True, "Try another encoder"),  # a small share of the type
        (12, 60, False, "Reduce the confusion of ORG with PER"),
    ],
)
def test_types_that_are_often_confused_are_named(number, of, entity_tags, title, snapshot):
    rarer = Confusion("LOC", "ORG", 1, 9)
    step, *_ = advice(run(), entity_tags, 0, [Confusion("ORG", "PER", number, of), rarer])
    assert step.title == title
    assert step == snapshot


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("", "python train_trainer.py --num_train_epochs 6"),
        (
            "accelerate launch --num_processes 2 train_accelerate.py x.yaml --num_train_epochs=3",
            "accelerate launch --num_processes 2 train_accelerate.py x.yaml --num_train_epochs 6",
        ),
        (
            "train_trainer.py --train_file 'my file.conll' --output_dir old --log_file l "
            "--resume_from_checkpoint --push_to_hub --hub_model_id a/b",
            "python train_trainer.py --train_file 'my file.conll' --num_train_epochs 6",
        ),
    ],
)
def test_advice_gives_a_whole_command_in_another_folder(command, expected):
    (step,) = advice(run(command=command, still_improved=True), True, 0)
    assert step.command == f"{expected} --load_best_model_at_end --output_dir out-longer"


@pytest.mark.parametrize(("score", "stops"), [(0.0, False), (0.4, True)])
def test_a_run_whose_score_is_still_0_is_not_stopped_early_again(score, stops):
    arguments = {"num_train_epochs": 2.0, "metric_for_best_model": "f1", "greater_is_better": True}
    facts = run(
        command="train_trainer.py --early_stopping_patience 1 --seed 3",
        arguments=arguments,
        history=[{"step": 10, "eval_f1": 0.0}, {"step": 20, "eval_f1": score}],
        still_improved=score > 0,
    )
    (step,) = advice(facts, True, 0)
    assert ("--early_stopping_patience 1" in step.command) == stops
    assert "--num_train_epochs 4" in step.command


@pytest.mark.parametrize(
    ("study", "titles"),
    [
        (None, ["Reduce the confusion of ORG with PER", "Check suspected labels"]),
        (
            LabelErrorStudy("study", 7, [], NONE),
            ["Check suspected labels", "Reduce the confusion of ORG with PER"],
        ),
    ],
)
def test_labels_that_a_study_suspects_come_first(study, titles):
    steps = advice(run(label_errors=study), True, 3, [Confusion("ORG", "PER", 12, 60)])
    assert [step.title for step in steps] == titles


def test_a_run_of_several_processes_is_started_as_one_again():
    facts = run(script="train_accelerate.py", command="train_accelerate.py --seed 3", processes=2)
    (step,) = advice(facts | {"still_improved": True}, True, 0)
    start = "torchrun --nproc_per_node 2 train_accelerate.py --seed 3"
    assert step.command.startswith(f"{start} --num_train_epochs 6")
    (step,) = advice(facts | {"still_improved": True, "device": "cpu:0"}, True, 0)
    assert "--use_cpu" in step.command


def test_no_more_than_five_and_none_without_evidence():
    everything = scores(
        number=39, recall=(0.6, 0.7), weakest=(0.1, 0.2), by_surface=SURFACES, **reliability(0.3)
    )
    assert len(advice(run(scores={"test": everything}, still_improved=True), True, 9)) == MOST
    assert advice({}, True, 9) == []
    assert advice(run(scores={"test": {"overall": {"f1": 0.5}, "per_type": {}}}), True, 9) == []


def test_commands_of_studies_leave_out_what_the_study_decides():
    command = "train_accelerate.py --output_dir x --seed 3 --log_file l --hub_token hf_s3cretsecret"
    facts = run(script="train_accelerate.py", command=command)
    (step,) = advice(facts, True, 3)
    assert step.command == (
        "python study.py label_errors --script train_accelerate.py -- --hub_token ***"
    )
    (step,) = advice(facts | {"processes": 2}, True, 3)
    assert "--launcher 'torchrun --nproc_per_node 2' -- --hub_token" in step.command
    (step,) = advice(facts | {"processes": 2, "device": "cpu:1"}, True, 3)
    assert step.command.endswith("--use_cpu")


def test_commands_name_scripts_and_folders_from_the_folder_of_the_run():
    """With the folders of this machine, which a push does not send."""
    facts = run(suite_folder="/opt/suite", output_folder="models/out")
    (step,) = advice(facts, True, 0)
    assert step.command == "python /opt/suite/compare.py models/out OTHER_FOLDER"
    (step,) = advice(facts | {"still_improved": True}, True, 0)
    assert step.command.startswith("python /opt/suite/train_trainer.py flags.yaml")
    assert step.command.endswith(" --output_dir models/out-longer")
    (step,) = advice(facts, True, 3)
    assert step.command.startswith("python /opt/suite/study.py label_errors -- ")
