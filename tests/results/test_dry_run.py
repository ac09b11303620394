"""`--dry_run`: everything but training, its plan, and nothing left on the disk."""

import re
from pathlib import Path

import pytest

from support.processes import world_size
from tests.helpers.messages import stable
from tests.helpers.script_runs import (
    BOTH,
    LOOP,
    facts,
    replace,
    run,
    with_report,
    write_corpus,
)

SMALL = ["--mixed_precision", "no", "--max_seq_length", 32]


@pytest.fixture(scope="module")
def flags(tiny_encoder, tmp_path_factory) -> list:
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"), 20, 9, 9)
    return ["--model_name_or_path", tiny_encoder, *corpus, *SMALL]


def files_in(folder: Path) -> set[str]:
    """Return the paths of all files and folders in a folder, but the logs of the tests."""
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {path for path in paths if not path.endswith(".log")}


def rows(output: str) -> dict[str, str]:
    """Return the rows of a plan by their names."""
    return dict(re.findall(r"^([a-z]+) +(\S.*)$", output, re.M))


def without_measurements(text: str) -> str:
    """Return an output with a `<number>` in place of each measured one."""
    text = re.sub(r"\d+(\.\d+)?(?= (MB|GB|s\b|min))", "<number>", text)
    return re.sub(r"mean of \d+ steps?", "mean of <number> steps", text)


@pytest.mark.parametrize("script", BOTH)
def test_the_plan_is_printed_and_nothing_is_left(script, flags, tmp_path, snapshot):
    output = run(script, [*flags, "--dry_run", "--output_dir", "a/out"], tmp_path)
    assert files_in(tmp_path) == set()
    plan = rows(output)
    caches = Path(plan.pop("caches"))
    assert caches.is_dir()
    shown = {name: without_measurements(stable(text, tmp_path)) for name, text in plan.items()}
    folder = Path(flags[3]).parent
    assert {name: stable(text, folder) for name, text in shown.items()} == snapshot


FILES = {
    "all": [],
    "no test split is scored": ["--do_train", "--do_eval"],
    "training alone": ["--do_train", "--log_file", "steps.jsonl"],
    "LoRA": ["--lora"],
    "best": ["--load_best_model_at_end", "--save_strategy", "steps", "--save_steps", 2],
}
CASES = [pytest.param(case, marks=pytest.mark.exhaustive if FILES[case] else []) for case in FILES]


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_the_plan_are_those_that_the_run_writes(case, flags, tmp_path):
    flags = [*flags, *FILES[case], "--output_dir", "out", "--num_train_epochs", 2]
    plan = rows(run(LOOP, [*flags, "--dry_run"], tmp_path))
    assert files_in(tmp_path) == set()
    run(LOOP, flags, tmp_path, before=with_report)
    written = {name.removeprefix("out/") for name in files_in(tmp_path)} - {"out"}
    checkpoints = {name.partition("/")[0] for name in written if "/" in name} - {"adapter"}
    assert set(plan["files"].split(", ")) == {
        name for name in written - {"adapter"} if name.partition("/")[0] not in checkpoints
    }
    for name in checkpoints:
        assert name in plan["saves"] or "that of the best" in plan["saves"], plan["saves"]
    assert f"{facts(tmp_path / 'out')['epoch_steps']}" in plan["steps"]


def test_a_model_that_is_only_scored(flags, tiny_tagger, tmp_path):
    flags = ["--model_name_or_path", tiny_tagger, *flags[2:], "--do_eval", "--output_dir", "out"]
    flags += ["--ignore_mismatched_sizes"]
    plan = rows(run(LOOP, [*flags, "--dry_run"], tmp_path))
    assert files_in(tmp_path) == set()
    assert "training" not in plan and "steps" not in plan and "memory" not in plan
    assert "validation split" in plan["time"] and "nothing" in plan["push"]
    run(LOOP, flags, tmp_path, before=with_report)
    assert set(plan["files"].split(", ")) == files_in(tmp_path / "out")


COUNTS = {
    "each epoch": ([], "3 evaluations", None),
    "restored": (["--load_best_model_at_end"], "3 evaluations", "restored"),
    "merged": (["--lora"], "3 evaluations", "merged"),
    "from the start": (["--eval_on_start"], "4 evaluations", None),
    "never": (["--eval_strategy", "no"], "0 evaluations", None),
}


@pytest.mark.parametrize("case", COUNTS)
def test_every_scoring_is_counted(case, flags, tmp_path):
    """The number of the plan is that of the run: restored and merged weights are scored again."""
    extra, evaluations, scored_again = COUNTS[case]
    flags = [*flags, *extra, "--output_dir", "out", "--num_train_epochs", 3]
    plan = rows(run(LOOP, [*flags, "--dry_run"], tmp_path))
    output = run(LOOP, flags, tmp_path, before=say_scorings)
    scored = output.count("scored validation")
    times = re.search(r"scoring of the validation split (?:(\d+) x )?", plan["time"])
    assert int(times[1] or 1) == scored, plan["time"]
    assert f", {evaluations}" in plan["steps"]
    reason = re.search(r"\((\d+) in training, 1 of the (\w+) weights\)", plan["time"])
    assert (reason and reason[2]) == scored_again


def say_scorings() -> None:
    """Print a line for each split that is scored."""
    from results.run_results import RunResults

    score = RunResults.score

    def scoring(self, split, predictions):
        print("scored", split)
        return score(self, split, predictions)

    RunResults.score = scoring


@pytest.mark.parametrize(
    ("extra", "expected", "most"),
    [
        ([], "2 checkpoints (epoch_3, epoch_4, the last 2 of 5), and that of the best", 4),
        (["--num_train_epochs", 2], "2 checkpoints (epoch_0, epoch_1)", 2),
        (
            ["--save_total_limit", 1],
            "1 checkpoint (epoch_4, the last 1 of 5), and that of the b",
            3,
        ),
        (["--eval_strategy", "no"], "2 checkpoints (epoch_3, epoch_4, the last 2 of 5)", 3),
        (["--save_strategy", "best"], "a checkpoint of each better score", 3),
    ],
)
def test_the_disk_space_of_checkpoints_holds_the_best_and_the_newest(
    extra, expected, most, flags, tmp_path
):
    """Before an old one is deleted, there is one more."""
    plan = rows(run(LOOP, [*flags, "--num_train_epochs", 5, *extra, "--dry_run"], tmp_path))
    assert plan["saves"].startswith(expected), plan["saves"]
    each, total = re.search(r"about (\S+) MB each, at most (\S+) MB on", plan["saves"]).groups()
    assert float(total) == pytest.approx(most * float(each), abs=0.05 * (most + 1))


def say_steps() -> None:
    """Print a line for each step that a process tries."""

    def make(function):
        def counting(*args, **kwargs):
            print("tried a step of", world_size())
            return function(*args, **kwargs)

        return counting

    replace("training.trial._try_step", make)


@pytest.mark.exhaustive
@pytest.mark.parametrize("script", BOTH)
def test_two_processes_try_their_shares_of_the_same_steps(script, flags, tmp_path):
    flags = [*flags, "--dry_run", "--per_device_train_batch_size", 2, "--output_dir", "out"]
    output = run(script, flags, tmp_path, processes=2, before=say_steps)
    assert output.count("tried a step of 2") == 2 * (1 + 5)
    assert "x 2 processes" in rows(output)["training"]
    assert " on cpu in each process in the largest step: " in rows(output)["memory"]
    assert "libraries, corpus and others" in rows(output)["memory"]
    assert output.count("\nfiles ") == 1
    assert files_in(tmp_path) == set()


def test_a_resumed_run_has_the_steps_that_are_left(flags, tmp_path):
    flags = [*flags, "--output_dir", "out", "--per_device_train_batch_size", 4]
    run(LOOP, [*flags, "--num_train_epochs", 2], tmp_path)
    before = files_in(tmp_path)
    output = run(
        LOOP,
        [*flags, "--num_train_epochs", 2, "--dry_run", "--resume_from_checkpoint", "out/epoch_0"],
        tmp_path,
    )
    plan = rows(output)
    steps = facts(tmp_path / "out")["epoch_steps"]
    assert plan["steps"].startswith(f"{steps} in 2 epochs") and f"{steps} are done" in plan["steps"]
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_that_is_over_has_no_steps_left(stopped, flags, tmp_path):
    """After its last step, or after an early stop."""
    flags = [*flags, "--output_dir", "out", "--num_train_epochs", 3, "--load_best_model_at_end"]
    flags += ["--early_stopping_patience", 1 if stopped else 3, "--metric_for_best_model", "loss"]
    flags += ["--greater_is_better", str(stopped).lower()]  # the loss falls
    run(LOOP, flags, tmp_path)
    plan = rows(run(LOOP, [*flags, "--dry_run", "--resume_from_checkpoint"], tmp_path))
    assert plan["steps"].startswith("0 in 3 epochs") and plan["steps"].endswith(" 0 evaluations")
    assert plan["time"].startswith("about 0.") and "training 0.0 s" in plan["time"]
    assert "saves" not in plan


def test_errors_of_the_run_are_errors_of_the_dry_run(flags, tmp_path):
    (tmp_path / "out").write_text("a file")
    output = run(LOOP, [*flags, "--dry_run", "--output_dir", "out"], tmp_path, status=2)
    assert "got a file" in output
    output = run(LOOP, [*flags, "--dry_run", "--check"], tmp_path, status=2)
    assert "--check and --dry_run" in output


def fill_memory() -> None:
    """Let the forward pass of a step fail for want of memory."""
    import torch

    def make(function):
        def full(*args, **kwargs):
            raise torch.OutOfMemoryError("CUDA out of memory.")

        return full

    replace("training.trial._try_step", make)


def test_a_step_that_does_not_fit_is_an_error(flags, tmp_path, snapshot):
    output = run(LOOP, [*flags, "--dry_run"], tmp_path, status=2, before=fill_memory)
    assert output[output.index("error: ") :] == snapshot
    assert files_in(tmp_path) == set()
