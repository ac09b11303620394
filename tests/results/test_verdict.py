"""Which weights, which types, whether to go on."""

import pytest

from results.verdict import (
    Extremes,
    best_step,
    date_of,
    extremes,
    kept_weights,
    still_improved,
    title_of,
    verdict,
)
from training.progress import BestScore


def scores_of(**f1s) -> dict:
    """Return scores of types, each given as F1, the ends of its interval, and number."""
    return {
        "per_type": {
            name: {"f1": f1, "f1_interval": [low, high], "number": number}
            for name, (f1, low, high, number) in f1s.items()
        }
    }


def test_the_strongest_and_the_weakest_type_have_gold_entities():
    scores = scores_of(
        LOC=(0.9, 0.8, 0.95, 40), ORG=(0.6, 0.5, 0.7, 30), PER=(0.8, 0.7, 0.9, 9), NEW=(0, 0, 1, 0)
    )
    assert extremes(scores) == Extremes("LOC", "ORG", clear=True)
    close = scores_of(A=(0.9, 0.6, 1, 3), B=(0.9, 0.6, 1, 3), C=(0.7, 0.4, 0.8, 5))
    assert extremes(close) == Extremes("A", "C", clear=False)
    assert extremes(scores_of(A=(0.9, 0.6, 1, 3), B=(0, 0, 1, 0))) is None
    assert extremes(scores_of()) is None


@pytest.mark.parametrize(
    ("values", "greater", "step", "improved"),
    [
        ([0.1, 0.3, 0.2], True, 20, False),
        ([0.1, 0.3, 0.4], True, 30, True),
        ([0.1, 0.3, 0.3], True, 20, False),
        ([0.5, 0.3, 0.1], False, 30, True),
        ([0.5], True, 10, None),
        ([], True, None, None),
    ],
)
def test_the_best_evaluation_and_whether_it_was_the_last(values, greater, step, improved):
    history = [{"step": 10 * n, "eval_f1": value} for n, value in enumerate(values, start=1)]
    best = BestScore("f1", greater)
    assert best_step(history, best) == step
    assert still_improved(history, best) is improved


@pytest.mark.parametrize(
    ("run", "title"),
    [
        ({"task": "ner", "corpus_name": "tickets.jsonl"}, "Named entities in tickets.jsonl"),
        ({"task": "pos", "corpus_name": "a/b.conll"}, "Parts of speech in b.conll"),
        (
            {"task": "chunk", "corpus_name": "a.txt, b.txt, c.txt"},
            "Chunks in a.txt and 2 more files",
        ),
        (
            {"task": "ner", "corpus_name": "lhoestq/conll2003"},
            "Named entities in lhoestq/conll2003",
        ),
        ({"task": "genes"}, "Labels of genes"),
        ({}, "Labels"),
    ],
)
def test_the_title_says_what_is_found_where(run, title):
    assert title_of(run) == title


def test_the_date_is_that_of_the_run():
    assert date_of({"run_id": "2026-01-05T10:00:00.000000Z-0a"}) == "5 January 2026"
    assert date_of({"run_id": "x"}) is None and date_of({}) is None


def evidence(**f1s) -> dict:
    overall = {"f1": 0.61538, "f1_interval": [0.5, 0.7], "accuracy": 0.9}
    overall["accuracy_interval"] = [0.85, 0.95]
    intervals = {"level": 0.95, "unit": "document", "units": 30}
    return scores_of(**f1s) | {"overall": overall, "words": 1234, "intervals": intervals}


CLEAR = {"PER": (0.9, 0.8, 0.95, 240), "MISC": (0.3, 0.2, 0.4, 39)}
NOTHING_LEARNED = {
    "history": [{"step": 10, "eval_f1": 0.0}, {"step": 20, "eval_f1": 0.0}],
    "arguments": {"metric_for_best_model": "f1", "greater_is_better": True},
}
TRAINED = {"history": [{"step": 10}, {"step": 20}], "epoch_steps": 10}


@pytest.mark.parametrize(
    ("run", "entity_tags"),
    [
        ({}, True),
        ({"scores": {"test": evidence(**CLEAR)}}, True),
        ({"scores": {"test": evidence(**CLEAR)}, "task": "pos"}, False),
        ({"scores": {"validation": evidence(PER=(0.9, 0.6, 1, 1))}, "task": "chunk"}, True),
        ({**TRAINED, "kept_step": 20, "still_improved": True}, True),
        ({**TRAINED, "kept_step": 10, "still_improved": False}, True),
        ({**TRAINED, "kept_step": 10, "still_improved": False, "patience_ended": 1}, True),
        ({**TRAINED, **NOTHING_LEARNED, "kept_step": 20, "still_improved": False}, True),
        ({"history": [{"step": 1500}], "kept_step": 1500, "still_improved": None}, True),
    ],
)
def test_the_verdict_in_words(run, entity_tags, snapshot):
    assert verdict(run, entity_tags) == snapshot


@pytest.mark.parametrize(
    ("greater", "kept", "best", "which"),
    [
        (True, 20, "0.910 (after 1 epoch, step 10)", "last"),
        (False, 20, "0.900 (after 2 epochs, step 20)", "last"),
        (True, 10, "0.910 (after 1 epoch, step 10)", "best"),
    ],
)
def test_the_best_and_the_last_score_are_named(greater, kept, best, which):
    text = kept_weights(
        {
            "history": [{"step": 10, "eval_f1": 0.91}, {"step": 20, "eval_f1": 0.9}],
            "arguments": {"metric_for_best_model": "f1", "greater_is_better": greater},
            "still_improved": False,
            "kept_step": kept,
            "epoch_steps": 10,
        }
    )
    expected = f"On validation, the best score was {best}, the last one 0.900; the {which} weights"
    assert text.startswith(expected)


@pytest.mark.parametrize("last", [0.91, 0.9099999])
def test_a_last_score_that_is_printed_like_the_best_is_not_named_twice(last):
    text = kept_weights(
        {
            "history": [{"step": 10, "eval_f1": 0.91}, {"step": 20, "eval_f1": last}],
            "arguments": {"metric_for_best_model": "f1", "greater_is_better": True},
            "still_improved": False,
            "kept_step": 20,
            "epoch_steps": 10,
        }
    )
    assert text == (
        "On validation, the last score was no better than an earlier one, 0.910 (after 1 epoch, "
        "step 10); the last weights were kept (after 2 epochs, step 20)."
    )
