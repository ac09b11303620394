"""Scores against independent scorers: conlleval, seqeval, scikit-learn; and the course's."""

import os
import warnings
from itertools import chain
from pathlib import Path

import conlleval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import common
from scoring.scores import (
    count_tags,
    flat_scores,
    label_types,
    score_names,
    score_tags,
    tag_metric,
)

TYPES = ["PER", "ORG", "LOC", "MISC", "SUB-X", "X"]
IOB_TAGS = ["O", *(f"{prefix}-{name}" for name in TYPES for prefix in "BI")]
corpora = pytest.mark.skipif(
    "NER_CORPORA" not in os.environ, reason="needs real corpora: set NER_CORPORA to their folder"
)


# --- The course's printed scores ------------------------------------------------------------


def test_course_scores():
    gold = ["B-ORG", "O", "B-MISC", "O", "O", "O", "B-MISC", "O", "O"]
    predicted = gold.copy()
    predicted[6] = "O"
    scores = score_tags([gold], [predicted], True)
    assert rounded(scores["per_type"]) == {
        "MISC": {"precision": 1.0, "recall": 0.5, "f1": 0.67, "number": 2},
        "ORG": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 1},
    }
    assert rounded(scores["overall"]) == {
        "precision": 1.0, "recall": 0.67, "f1": 0.8, "accuracy": 0.89,
    }  # fmt: skip
    assert scores["words"] == 9
    # The course's own code swaps these two.
    turned = score_tags([predicted], [gold], True)["overall"]
    assert rounded(turned) == {"precision": 0.67, "recall": 1.0, "f1": 0.8, "accuracy": 0.89}


def rounded(values):
    if isinstance(values, dict):
        return {name: rounded(value) for name, value in values.items()}
    return round(values, 2)


# --- Other scorers --------------------------------------------------------------------------


def conlleval_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict:
    """Return the counts of the package `conlleval`, a translation of the original script."""
    lines = []
    for sentence in zip(gold, predicted, strict=True):
        lines += [f"word {g} {p}" for g, p in zip(*sentence, strict=True)] + [""]
    return conlleval.evaluate(lines)


def assert_equals_conlleval(gold, predicted):
    ours, theirs = (
        score_tags(gold, predicted, True),
        conlleval_scores(gold, predicted),
    )
    counts = count_tags(gold, predicted, True)
    for name, slot in theirs["slots"]["chunks"].items():
        counted = {k: counts[v, name] for k, v in
                 (("gold", "gold"), ("pred", "predicted"), ("correct", "correct"))}  # fmt: skip
        assert counted == slot["stats"], name
        if slot["stats"]["pred"]:  # without predictions the original gives 0, the package 1
            assert_same_prf(ours["per_type"][name], slot["evals"])
    assert set(ours["per_type"]) == set(theirs["slots"]["chunks"])
    overall = theirs["overall"]["chunks"]
    if overall["stats"]["pred"]:
        assert_same_prf(ours["overall"], overall["evals"])
    words = theirs["overall"]["tags"]["stats"]
    assert ours["words"] == words["gold"]
    assert ours["overall"]["accuracy"] == pytest.approx(words["correct"] / max(words["gold"], 1))


def assert_same_prf(ours: dict, theirs: dict):
    assert ours["precision"] == pytest.approx(theirs["prec"])
    assert ours["recall"] == pytest.approx(theirs["rec"])
    assert ours["f1"] == pytest.approx(theirs["f1"])


def assert_equals_seqeval(gold, predicted):
    from seqeval.metrics import accuracy_score, classification_report

    ours = score_tags(gold, predicted, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of types that were never predicted
        theirs = classification_report(gold, predicted, output_dict=True, zero_division=0)
    assert set(ours["per_type"]) == set(theirs) - {"micro avg", "macro avg", "weighted avg"}
    for name, row in [*ours["per_type"].items(), ("micro avg", ours["overall"])]:
        assert row["precision"] == pytest.approx(theirs[name]["precision"])
        assert row["recall"] == pytest.approx(theirs[name]["recall"])
        assert row["f1"] == pytest.approx(theirs[name]["f1-score"])
        assert row.get("number", theirs[name]["support"]) == theirs[name]["support"]
    assert ours["overall"]["accuracy"] == pytest.approx(accuracy_score(gold, predicted))


def spoiled(gold: list[list[str]], random: np.random.Generator) -> list[list[str]]:
    """Return tags such as a mediocre tagger predicts: more missed than spurious entities."""
    kinds = sorted({tag for tags in gold for tag in tags})
    predicted = []
    for tags in gold:
        row = []
        for tag in tags:
            chance = random.random()
            if tag != "O" and chance < 0.3:
                tag = "O"
            elif chance > (0.9 if tag != "O" else 0.99):
                tag = str(random.choice(kinds))
            row.append(tag)
        predicted.append(row)
    return predicted


@pytest.mark.parametrize("seed", range(8))
def test_random_tags_score_as_conlleval_and_seqeval_score_them(seed):
    """Random tags are mostly ill-formed: I- after another type or after nothing."""
    random = np.random.default_rng(seed)
    tags = IOB_TAGS[: 3 + 2 * seed]  # one type at first
    gold = [random.choice(tags, size=n).tolist() for n in random.integers(1, 20, size=60)]
    predicted = spoiled(gold, random)
    overall = score_tags(gold, predicted, True)["overall"]
    assert abs(overall["precision"] - overall["recall"]) > 0.01
    assert_equals_conlleval(gold, predicted)
    assert_equals_seqeval(gold, predicted)


sentence_pairs = st.lists(
    st.lists(st.tuples(st.sampled_from(IOB_TAGS[:7]), st.sampled_from(IOB_TAGS[:7])), min_size=1),
    max_size=5,
)


@given(sentence_pairs)
def test_any_tags_score_as_conlleval_scores_them(sentences):
    gold = [[g for g, _ in sentence] for sentence in sentences]
    predicted = [[p for _, p in sentence] for sentence in sentences]
    assert_equals_conlleval(gold, predicted)


def read_columns(path: Path) -> list[list[str]]:
    """Return the last column of each sentence of a file, tags unchanged."""
    sentences, tags = [], []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        columns = line.split()
        if columns and columns[0] != "-DOCSTART-":
            tags.append(columns[-1])
        elif tags:
            sentences.append(tags)
            tags = []
    return [*sentences, tags] if tags else sentences


@corpora
@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("wnut17/emerging.test.annotated", 23394),
        ("sec/FIN3.txt", 13246),  # IOB1: entities begin with I-
    ],
)
def test_real_tags_score_as_conlleval_and_seqeval_score_them(file, words):
    gold = read_columns(Path(os.environ["NER_CORPORA"]) / file)
    assert sum(map(len, gold)) == words
    predicted = spoiled(gold, np.random.default_rng(0))
    overall = score_tags(gold, predicted, True)["overall"]
    assert abs(overall["precision"] - overall["recall"]) > 0.05
    assert 0.2 < overall["f1"] < 0.95
    assert_equals_conlleval(gold, predicted)
    assert_equals_seqeval(gold, predicted)
    perfect = score_tags(gold, gold, True)["overall"]
    assert perfect == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "accuracy": 1.0}


def plain_scores_of_sklearn(gold, predicted):
    from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

    flat_gold, flat_predicted = list(chain(*gold)), list(chain(*predicted))
    names = sorted({*flat_gold, *flat_predicted})
    rows = precision_recall_fscore_support(flat_gold, flat_predicted, labels=names, zero_division=0)
    per_type = {
        name: dict(zip(("precision", "recall", "f1", "number"), row, strict=True))
        for name, row in zip(names, zip(*rows, strict=True), strict=True)
    }
    overall = {
        "accuracy": accuracy_score(flat_gold, flat_predicted),
        "macro_f1": f1_score(flat_gold, flat_predicted, average="macro", zero_division=0),
    }
    return overall, per_type


def assert_equals_sklearn(gold, predicted):
    ours = score_tags(gold, predicted, False)
    overall, per_type = plain_scores_of_sklearn(gold, predicted)
    assert ours["overall"] == pytest.approx(overall)
    assert set(ours["per_type"]) == set(per_type)
    for name, row in per_type.items():
        assert ours["per_type"][name] == pytest.approx(row)


@pytest.mark.parametrize("seed", range(4))
def test_plain_tags_score_as_sklearn_scores_them(seed):
    random = np.random.default_rng(seed)
    tags = ["NOUN", "VERB", "ADJ", "PUNCT", ",", "-LRB-", "X"]
    gold = [random.choice(tags[:5], size=n).tolist() for n in random.integers(1, 20, size=60)]
    predicted = [
        [str(random.choice(tags)) if random.random() < 0.3 else tag for tag in row] for row in gold
    ]
    assert_equals_sklearn(gold, predicted)


def test_plain_tags_keep_their_names():
    """By seqeval each would lose a letter: the type of NOUN would be OUN."""
    scores = score_tags([["NOUN", "VERB"]], [["NOUN", "NOUN"]], False)
    assert list(scores["per_type"]) == ["NOUN", "VERB"]
    assert rounded(scores["overall"]) == {"accuracy": 0.5, "macro_f1": 0.33}
    # A word without a sub-word is predicted O, which is an error here.
    scores = score_tags([["NOUN", "X"]], [["NOUN", "O"]], False)
    assert scores["overall"] == {"accuracy": 0.5, "macro_f1": pytest.approx(1 / 3)}


@corpora
def test_real_parts_of_speech_score_as_sklearn_scores_them():
    lines = (Path(os.environ["NER_CORPORA"]) / "ewt/en_ewt-ud-dev.conllu").read_text("utf-8")
    gold = [
        [columns[3] for columns in map(str.split, sentence.splitlines()) if columns[0].isdigit()]
        for sentence in lines.strip().split("\n\n")
    ]
    assert sum(map(len, gold)) == 25147
    assert_equals_sklearn(gold, spoiled(gold, np.random.default_rng(0)))


# --- Entities -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("", []),
        ("O O", []),
        ("B-X I-X O B-Y", [("X", 0, 2), ("Y", 3, 4)]),
        ("B-X B-X I-X", [("X", 0, 1), ("X", 1, 3)]),
        # Ill-formed: an I- that continues nothing begins an entity.
        ("I-X I-X O I-Y", [("X", 0, 2), ("Y", 3, 4)]),
        ("B-X I-Y I-X", [("X", 0, 1), ("Y", 1, 2), ("X", 2, 3)]),
        ("O B-SUB-X I-SUB-X I-SUB-Y", [("SUB-X", 1, 3), ("SUB-Y", 3, 4)]),
    ],
)
def test_entities_by_hand(tags, entities):
    assert common.entities(tags.split()) == entities


@given(
    st.lists(
        st.sampled_from(IOB_TAGS)
        | st.tuples(st.sampled_from("BI"), st.text("ABO-_1é", min_size=1, max_size=3)).map("-".join)
    )
)
def test_entities_are_those_of_seqeval(tags):
    from seqeval.metrics.sequence_labeling import get_entities

    theirs = [(name, start, last + 1) for name, start, last in get_entities(tags)]
    assert common.entities(tags) == theirs


# --- Sums and edges -------------------------------------------------------------------------


@given(sentence_pairs, sentence_pairs, st.booleans())
def test_counts_add_up(first, second, entity_tags):
    def counted(sentences):
        gold = [[g for g, _ in sentence] for sentence in sentences]
        predicted = [[p for _, p in sentence] for sentence in sentences]
        return count_tags(gold, predicted, entity_tags)

    assert counted(first) + counted(second) == +counted([*first, *second])


def test_entities_do_not_span_sentences():
    split = score_tags([["B-X"], ["I-X"]], [["B-X"], ["I-X"]], True)
    joined = score_tags([["B-X", "I-X"]], [["B-X", "I-X"]], True)
    assert split["per_type"]["X"]["number"] == 2
    assert joined["per_type"]["X"]["number"] == 1


def test_a_type_that_only_one_side_has():
    scores = score_tags([["B-X", "O", "O"]], [["O", "B-Y", "B-Y"]], True)
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert scores["per_type"] == {"X": {**nothing, "number": 1}, "Y": {**nothing, "number": 0}}
    assert scores["overall"] == {**nothing, "accuracy": 0.0}


@pytest.mark.parametrize("entity_tags", [True, False])
@pytest.mark.parametrize("sentences", [[], [[]]])
def test_nothing_scores_zero(entity_tags, sentences):
    scores = score_tags(sentences, sentences, entity_tags)
    assert scores["words"] == 0
    assert set(scores["overall"].values()) == {0.0}


def test_tags_of_different_length_are_an_error(snapshot):
    with pytest.raises(ValueError) as error:
        score_tags([["O", "O"]], [["O"]], True)
    assert str(error.value) == snapshot
    with pytest.raises(ValueError):
        score_tags([["O"], ["O"]], [["O"]], True)


# --- The metric -----------------------------------------------------------------------------


@pytest.mark.parametrize("entity_tags", [True, False])
def test_metric_is_a_metric_and_writes_no_files(entity_tags, tmp_path, monkeypatch):
    import evaluate

    before = files_of_evaluate()
    monkeypatch.chdir(tmp_path)
    metric = tag_metric(entity_tags)
    assert isinstance(metric, evaluate.Metric)
    gold = [["B-X", "I-X"], ["O"], ["B-Y", "O"]]
    predicted = [["B-X", "O"], ["O"], ["B-Y", "I-Y"]]
    metric.add_batch(predictions=predicted[:1], references=gold[:1])
    metric.add_batch(predictions=predicted[1:2], references=gold[1:2])
    scores = metric.compute(predictions=predicted[2:], references=gold[2:])
    assert scores == score_tags(gold, predicted, entity_tags)
    # A second computation starts from zero; `compute` needs no tags.
    perfect = metric.compute(predictions=gold, references=gold)
    assert perfect == score_tags(gold, gold, entity_tags)
    assert metric.compute()["words"] == 0
    assert tag_metric(entity_tags).compute()["words"] == 0
    assert files_of_evaluate() == before
    assert not list(tmp_path.iterdir())


def files_of_evaluate() -> set[Path]:
    import evaluate

    return {path for path in Path(evaluate.config.HF_EVALUATE_CACHE).rglob("*") if path.is_file()}


def test_metrics_do_not_share_their_counts():
    first, second = tag_metric(True), tag_metric(True)
    first.add_batch(predictions=[["O"]], references=[["O"]])
    assert second.compute()["words"] == 0
    assert first.compute()["words"] == 1


# --- Flat scores and their names ------------------------------------------------------------

LABELS = ["O", "B-LOC", "I-LOC", "B-MISC", "I-MISC", "I-SUB-X", "[CLS]"]


def test_flat_scores_by_type():
    gold = [["B-PER", "I-PER", "O"], ["B-LOC"], ["O", "O"]]
    predicted = [["B-PER", "I-PER", "O"], ["B-PER"], ["O", "B-LOC"]]
    flat = flat_scores(score_tags(gold, predicted, True) | {"loss": 0.25}, ["LOC", "PER"])
    assert flat["PER_precision"] == 0.5
    assert flat["PER_recall"] == 1.0
    assert flat["LOC_f1"] == 0.0
    assert flat["LOC_number"] == 1
    assert (flat["loss"], flat["words"]) == (0.25, 6)


@given(st.lists(st.lists(st.tuples(st.sampled_from(LABELS[:-1]), st.sampled_from(LABELS[:-1])))))
def test_the_names_of_scores_depend_on_the_labels_alone(sentences):
    gold, predicted = ([[pair[i] for pair in s] for s in sentences] for i in range(2))
    types = label_types(LABELS, True)
    assert types == ["LOC", "MISC", "SUB-X"]
    flat = flat_scores(score_tags(gold, predicted, True) | {"loss": 0.0}, types)
    counts = {"words", *(f"{name}_number" for name in types)}
    assert set(flat) == counts | set(score_names(LABELS, True))
    assert {"f1", "loss", "accuracy", "MISC_f1", "SUB-X_recall"} <= set(flat)


def test_a_type_without_gold_and_prediction_has_scores_of_0():
    scores = score_tags([["B-LOC"]], [["B-LOC"]], True) | {"loss": 0.0}
    flat = flat_scores(scores, label_types(LABELS, True))
    assert (flat["LOC_f1"], flat["MISC_f1"], flat["MISC_number"]) == (1.0, 0.0, 0)


def test_the_scores_of_plain_tags_are_named_by_tag():
    names = score_names(["NOUN", "O", "B-x"], False)
    assert {"accuracy", "macro_f1", "loss", "NOUN_f1", "O_f1", "B-x_precision"} <= set(names)
    assert "f1" not in names
