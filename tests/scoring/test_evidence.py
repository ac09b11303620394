"""The evidence beside the scores, by hand."""

import pytest

from scoring.evidence import EVIDENCE, NOUNS, EvidenceCounter, few_note
from scoring.scores import flat_scores, score_tags
from scoring.seen_entities import surface

WORDS = [["Ada", "Lovelace", "met", "Acme", "Inc"], ["Ada", "left", "New", "York"], ["rain"]]
GOLD = [["B-PER", "I-PER", "O", "B-ORG", "I-ORG"], ["B-PER", "O", "B-LOC", "I-LOC"], ["O"]]
PREDICTED = [["B-PER", "I-PER", "O", "B-ORG", "O"], ["B-PER", "O", "O", "O"], ["O"]]


def evidence_of(words, gold, predicted, known=None, entity_tags=True, documents=None) -> dict:
    counter = EvidenceCounter(entity_tags, known)
    documents = documents or [None] * len(words)
    for sentence in zip(words, gold, predicted, documents, strict=True):
        counter.add(*sentence)
    return counter.added_to(score_tags(gold, predicted, entity_tags))


def without_intervals(rows: dict) -> dict:
    return {
        name: {key: value for key, value in row.items() if not key.endswith("_interval")}
        for name, row in rows.items()
    }


def test_scores_stay_and_each_gets_an_interval():
    scores = evidence_of(WORDS, GOLD, PREDICTED)
    plain = score_tags(GOLD, PREDICTED, True)
    assert without_intervals({"": scores["overall"]})[""] == plain["overall"]
    assert without_intervals(scores["per_type"]) == plain["per_type"]
    assert scores["words"] == plain["words"]
    for row in (scores["overall"], *scores["per_type"].values()):
        for name in {"precision", "recall", "f1", "accuracy"} & set(row):
            low, high = row[f"{name}_interval"]
            assert 0 <= low <= row[name] <= high <= 1 and low < high
    assert scores["intervals"] == {"level": 0.95, "unit": "sentence", "units": 3}
    assert list(scores["per_type"]["PER"])[:2] == ["precision", "precision_interval"]


def test_recall_on_surfaces_that_training_showed_and_on_new_ones():
    known = {surface("PER", ["Ada"]), surface("ORG", ["Ada", "Lovelace"])}
    rows = evidence_of(WORDS, GOLD, PREDICTED, known)["by_surface"]
    assert without_intervals(rows) == {
        "in training": {"recall": 1.0, "number": 1},
        "new": {"recall": 1 / 3, "number": 3},
    }
    assert [*rows["new"]] == ["recall", "recall_interval", "number"]
    assert "by_surface" not in evidence_of(WORDS, GOLD, PREDICTED)


def test_scores_by_length_and_by_way_of_matching():
    scores = evidence_of(WORDS, GOLD, PREDICTED)
    assert without_intervals(scores["by_length"]) == {
        "1": {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "number": 1},
        "2": {"precision": 1.0, "recall": 1 / 3, "f1": 0.5, "number": 3},
    }
    matching = without_intervals(scores["partial_matching"])
    assert [*matching] == ["strict", "exact", "partial", "type"]
    assert matching["strict"] == {
        **{"correct": 2, "incorrect": 1, "partial": 0, "missed": 1, "spurious": 0},
        **{"precision": 2 / 3, "recall": 0.5, "f1": pytest.approx(4 / 7), "number": 4},
    }
    assert matching["partial"]["f1"] == pytest.approx(5 / 7)
    assert matching["type"]["f1"] == pytest.approx(6 / 7)
    strict = scores["partial_matching"]["strict"]
    assert strict["f1_interval"] == scores["overall"]["f1_interval"]


def test_lengths_of_all_groups():
    lengths = [1, 2, 3, 4, 6, 7, 30]
    tags = [["B-X"] + ["I-X"] * (length - 1) for length in lengths]
    rows = evidence_of(tags, tags, tags)["by_length"]
    numbers = {name: row["number"] for name, row in rows.items()}
    assert numbers == {"1": 1, "2": 1, "3": 1, "4 to 6": 2, "7 or more": 2}


def test_plain_tags_have_intervals_alone():
    gold, predicted = [["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]]
    scores = evidence_of([["a", "b"], ["c"]], gold, predicted, entity_tags=False)
    assert set(EVIDENCE) & set(scores) == {"intervals"}
    assert {"accuracy_interval", "macro_f1_interval"} < set(scores["overall"])
    assert scores["per_type"]["VERB"]["recall_interval"][0] == 0


@pytest.mark.parametrize("entity_tags", [True, False])
@pytest.mark.parametrize("sentences", [[], [[]]])
def test_nothing_has_intervals_from_0_to_1(sentences, entity_tags):
    scores = evidence_of(sentences, sentences, sentences, set(), entity_tags)
    intervals = [value for name, value in scores["overall"].items() if name.endswith("interval")]
    assert intervals == [[0, 1]] * (4 if entity_tags else 2)
    assert few_note(scores) == f"Only 0 {'entities' if entity_tags else 'words'}: treat as rough."


def test_documents_are_resampled_if_there_are_enough():
    documents = [("a.conll", str(n % 20)) for n in range(60)]
    scores = evidence_of(WORDS * 20, GOLD * 20, PREDICTED * 20, documents=documents)
    assert scores["intervals"] == {"level": 0.95, "unit": "document", "units": 20}


@pytest.mark.parametrize("entity_tags", [True, False])
def test_merged_counters_have_the_evidence_of_all_sentences(entity_tags):
    known = {surface("PER", ["Ada"])} if entity_tags else None
    parts = [EvidenceCounter(entity_tags, known) for _ in range(2)]
    whole = EvidenceCounter(entity_tags, known)
    for number, sentence in enumerate(zip(WORDS * 9, GOLD * 9, PREDICTED * 9, strict=True)):
        parts[number % 2].add(*sentence, document=f"d{number}")
        whole.add(*sentence, document=f"d{number}")
    parts[1].merge(parts[0])
    scores = score_tags(GOLD * 9, PREDICTED * 9, entity_tags)
    assert parts[1].added_to(scores) == whole.added_to(scores)


def test_few_entities_are_rough():
    def note(number: int, **overall) -> str:
        rows = {"X": {"number": number}}
        return few_note({"overall": overall, "per_type": rows})

    assert note(39, f1=0.6) == "Only 39 entities: treat as rough."
    assert note(1, f1=0.6) == "Only 1 entity: treat as rough."
    assert "9 chunks" in few_note(
        {"overall": {"f1": 1}, "per_type": {"X": {"number": 9}}}, NOUNS["chunk"]
    )
    assert note(99, macro_f1=0.6) == "Only 99 words: treat as rough."
    assert note(1, macro_f1=0.6) == "Only 1 word: treat as rough."
    assert note(100, f1=0.6) == ""


def test_flat_scores_have_the_intervals():
    scores = evidence_of(WORDS, GOLD, PREDICTED) | {"loss": 0.5}
    flat = flat_scores(scores, ["LOC", "MISC"])
    assert flat["f1_interval"] == scores["overall"]["f1_interval"]
    assert flat["LOC_recall_interval"] == scores["per_type"]["LOC"]["recall_interval"]
    assert (flat["MISC_f1"], flat["MISC_f1_interval"]) == (0.0, [0, 1])
    before = flat_scores(score_tags(GOLD, PREDICTED, True) | {"loss": 0.5}, ["MISC"])
    assert not [name for name in before if name.endswith("_interval")]
