"""The score table: its figures, its columns, its wording."""

import pytest

from scoring.evidence import EvidenceCounter
from scoring.scores import score_tags
from scoring.seen_entities import surface
from scoring.table import evidence_lines, score_table


def test_table_of_entities(snapshot):
    gold = [["B-PER", "I-PER", "O", "B-ORG"]]
    predicted = [["B-PER", "I-PER", "O", "O"]]
    table = score_table(score_tags(gold, predicted, True))
    assert table == snapshot
    lines = table.splitlines()
    assert [line.split() for line in lines] == [
        ["precision", "recall", "f1", "number"],
        ["ORG", "0.0000", "0.0000", "0.0000", "1"],
        ["PER", "1.0000", "1.0000", "1.0000", "1"],
        ["overall", "1.0000", "0.5000", "0.6667", "2"],
        ["accuracy", "0.7500"],
    ]
    assert len({line.index(".") for line in lines[1:4]}) == 1  # the columns are aligned


def test_table_of_plain_tags(snapshot):
    scores = score_tags([["NOUN", "VERB"]], [["NOUN", "NOUN"]], False)
    assert score_table(scores) == snapshot
    lines = score_table(scores).splitlines()
    assert [line.split() for line in lines] == [
        ["precision", "recall", "f1", "number"],
        ["NOUN", "0.5000", "1.0000", "0.6667", "1"],
        ["VERB", "0.0000", "0.0000", "0.0000", "1"],
        ["macro", "f1", "0.3333"],
        ["accuracy", "0.5000"],
    ]


def with_evidence(words, gold, predicted, entity_tags, known=None) -> dict:
    counter = EvidenceCounter(entity_tags, known)
    for sentence in zip(words, gold, predicted, strict=True):
        counter.add(*sentence)
    return counter.added_to(score_tags(gold, predicted, entity_tags))


def test_each_score_is_followed_by_its_interval(snapshot):
    words = [["Ada", "Lovelace", "met", "Acme"], ["Rome"]] * 8
    gold = [["B-PER", "I-PER", "O", "B-ORG"], ["B-LOC"]] * 8
    predicted = [["B-PER", "I-PER", "O", "O"], ["B-LOC"]] * 8
    known = {surface("LOC", ["Rome"])}
    scores = with_evidence(words, gold, predicted, True, known)
    table = score_table(scores)
    assert "\n".join([table, *evidence_lines(scores)]) == snapshot
    header, *lines = table.splitlines()
    assert header.replace("95 %", "95%").split() == [
        *("precision", "95%", "recall", "95%", "f1", "95%", "number")
    ]
    low, high = scores["overall"]["f1_interval"]
    assert f"0.8000  {low:.3f}-{high:.3f}      24" in lines[-2]
    assert evidence_lines(with_evidence(words, gold, predicted, True))[1].startswith("F1 by length")


def test_intervals_of_plain_tags(snapshot):
    gold, predicted = [["NOUN", "VERB"]] * 60, [["NOUN", "NOUN"], *[["NOUN", "VERB"]] * 59]
    scores = with_evidence(gold, gold, predicted, False)
    assert "\n".join([score_table(scores), *evidence_lines(scores)]) == snapshot


@pytest.mark.parametrize("entity_tags", [True, False])
@pytest.mark.parametrize("sentences", [[], [[]]])
def test_table_without_a_word(entity_tags, sentences, snapshot):
    assert score_table(score_tags(sentences, sentences, entity_tags)) == snapshot


def test_table_of_long_names_and_large_numbers():
    """Names of types are data: markup stays text, control characters cannot act."""
    names = ["[bold]LOC[/bold]", ":smile:", "A\x1b[31mB", "東京", "x" * 90]
    row = {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "number": 1_000_000}
    overall = {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "accuracy": 0.25}
    scores = {"per_type": dict.fromkeys(names, row), "overall": overall}
    header, *lines = score_table(scores).splitlines()
    assert header.split() == ["precision", "recall", "f1", "number"]
    assert [line.split() for line in lines[:-2]] == [
        [name.replace("\x1b", "\u241b"), "1.0000", "0.5000", "0.6667", "1000000"] for name in names
    ]
    assert lines[-2].split() == ["overall", "1.0000", "0.5000", "0.6667", "5000000"]
    assert lines[-1].split() == ["accuracy", "0.2500"]
