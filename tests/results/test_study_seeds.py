"""Which seeds differ by more than chance."""

import json

from results.study_seeds import KeptRun, compare_with_kept, kept_lines

NUMBER = 120  # sentences


def write_run(folder, name: str, missed: int, **changes) -> str:
    """Write the validation predictions of a run that misses the first entities."""
    (folder / name).mkdir(parents=True)
    with open(folder / name / "eval_predictions.jsonl", "w") as file:
        for number in range(NUMBER):
            row = {"words": [f"w{number}", "said"], "gold_tags": ["B-PER", "O"]}
            row["predicted_tags"] = ["O" if number < missed else "B-PER", "O"]
            file.write(json.dumps(row | changes) + "\n")
    return name


def test_seeds_within_noise_have_no_best(tmp_path, snapshot):
    names = [write_run(tmp_path, f"seed_{n}", missed) for n, missed in enumerate((20, 22, 21))]
    kept = compare_with_kept(tmp_path, "seed_0", names)
    assert kept == KeptRun("seed_0", ["seed_1", "seed_2"], [])
    assert kept_lines(tmp_path.relative_to(tmp_path), kept) == snapshot


def test_a_seed_that_failed_is_clearly_worse(tmp_path, snapshot):
    names = [write_run(tmp_path, f"seed_{n}", missed) for n, missed in enumerate((20, 21, 90))]
    kept = compare_with_kept(tmp_path, "seed_0", names)
    assert kept.worse == ["seed_2"]
    assert kept_lines(tmp_path.relative_to(tmp_path), kept) == snapshot
    alone = compare_with_kept(tmp_path, "seed_0", ["seed_0", "seed_2"])
    assert kept_lines(tmp_path.relative_to(tmp_path), alone) == snapshot


def test_seeds_that_were_scored_on_other_sentences_are_not_compared(tmp_path, snapshot):
    names = [write_run(tmp_path, "seed_0", 20)]
    names.append(write_run(tmp_path, "seed_1", 90, words=["other", "said"]))
    kept = compare_with_kept(tmp_path, "seed_0", names)
    assert kept.worse is None
    assert kept_lines(tmp_path.relative_to(tmp_path), kept) == snapshot
    (tmp_path / "seed_1" / "eval_predictions.jsonl").unlink()
    assert compare_with_kept(tmp_path, "seed_0", names).worse is None
