"""The result files: scores, and predictions as conlleval reads them."""

import json
import os

import conlleval
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results.result_files import save_results, write_predictions
from scoring.scores import count_tags, flat_scores, score_tags

GOLD = [["B-PER", "I-PER", "O"], ["B-LOC"], ["O", "O"]]
PREDICTED = [["B-PER", "I-PER", "O"], ["B-PER"], ["O", "B-LOC"]]


def test_all_results_merges_the_results_of_the_splits(tmp_path):
    scores = score_tags(GOLD, PREDICTED, True) | {"loss": 0.25}
    flat = flat_scores(scores, ())
    assert set(flat) == {"precision", "recall", "f1", "accuracy", "loss", "words"}
    assert flat["words"] == 6
    save_results(tmp_path, "eval", {f"eval_{k}": v for k, v in flat.items()})
    save_results(tmp_path, "predict", {"predict_f1": 0.75})
    save_results(tmp_path, "train", {"train_loss": 1.5})
    assert sorted(os.listdir(tmp_path)) == (
        ["all_results.json", "eval_results.json", "predict_results.json", "train_results.json"]
    )
    everything = json.loads((tmp_path / "all_results.json").read_text())
    assert everything.keys() == {f"eval_{k}" for k in flat} | {"predict_f1", "train_loss"}
    assert everything["eval_f1"] == scores["overall"]["f1"]
    assert json.loads((tmp_path / "predict_results.json").read_text()) == {"predict_f1": 0.75}


def rows_of(words, gold, predicted):
    columns = zip(words, gold, predicted, strict=True)
    return [(w, g, p, [1.0] * len(w)) for w, g, p in columns]


def test_predictions_are_columns_with_blank_lines(tmp_path):
    words = [["Peter", "Blackburn", "said"], ["Paris"], ["it", "."]]
    write_predictions(tmp_path / "predictions.txt", rows_of(words, GOLD, PREDICTED))
    assert (tmp_path / "predictions.txt").read_text("utf-8") == (
        "Peter B-PER B-PER\nBlackburn I-PER I-PER\nsaid O O\n\n"
        "Paris B-LOC B-PER\n\n"
        "it O O\n. O B-LOC\n\n"
    )
    assert os.listdir(tmp_path) == ["predictions.txt"]


def test_predictions_without_gold_have_two_columns(tmp_path):
    rows = [(["Peter", "said"], [], ["B-PER", "O"], [1.0, 1.0]), ([], [], [], [])]
    write_predictions(tmp_path / "predictions.txt", rows)
    assert (tmp_path / "predictions.txt").read_text("utf-8") == "Peter B-PER\nsaid O\n\n\n"


WORDS = [
    "",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\u2028",
    "\u0085",
    "\x1c",
    "\u00a0",
    "New York",
    "-DOCSTART-",
]
words_of_any_kind = st.text(st.characters(exclude_categories=["Cs"]), max_size=4).filter(
    lambda word: word != "-X-"  # which conlleval reads as the end of a sentence
) | st.sampled_from(WORDS)
tagged_sentences = st.lists(
    st.lists(
        st.tuples(
            words_of_any_kind,
            st.sampled_from(["O", "B-PER", "I-PER", "B-SUB-X", "I-SUB-X"]),
            st.sampled_from(["O", "B-PER", "I-PER", "B-SUB-X", "I-SUB-X"]),
        ),
        min_size=1,
        max_size=5,
    ),
    min_size=1,
    max_size=5,
)


@given(tagged_sentences)
def test_conlleval_reads_predictions_and_finds_our_scores(tmp_path_factory, sentences):
    words, gold, predicted = (
        [[word[column] for word in sentence] for sentence in sentences] for column in range(3)
    )
    file = tmp_path_factory.mktemp("predictions") / "predictions.txt"
    write_predictions(file, rows_of(words, gold, predicted))
    with open(file, encoding="utf-8") as lines:
        theirs = conlleval.evaluate(lines)
    ours = score_tags(gold, predicted, True)
    counts = count_tags(gold, predicted, True)
    chunks = theirs["overall"]["chunks"]["stats"]
    for name, kind in (("gold", "gold"), ("pred", "predicted"), ("correct", "correct")):
        assert chunks[name] == sum(n for key, n in counts.items() if key[0] == kind)
    assert theirs["overall"]["tags"]["stats"]["gold"] == ours["words"] == sum(map(len, words))
    assert theirs["overall"]["tags"]["stats"]["correct"] == counts["words right"]


def test_a_failure_while_writing_predictions_keeps_the_old_file(tmp_path):
    file = tmp_path / "predictions.txt"
    file.write_text("old")

    def rows():
        yield from rows_of([["a"]], [["O"]], [["O"]])
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_predictions(file, rows())
    assert file.read_text() == "old"
    with pytest.raises(ValueError):  # a predicted tag is missing
        write_predictions(file, [(["a", "b"], ["O", "O"], ["O"], [1.0])])
    assert file.read_text() == "old"


def test_tags_with_blanks_stay_one_column(tmp_path):
    rows = rows_of([["Hamlet"]], [["B-work of art"]], [["O"]])
    write_predictions(tmp_path / "predictions.txt", rows)
    line = (tmp_path / "predictions.txt").read_text().splitlines()[0]
    assert len(line.split()) == 3


def test_a_new_run_replaces_the_metrics_of_its_splits_in_all_results(tmp_path):
    save_results(tmp_path, "eval", {"eval_f1": 0.5, "eval_OLD_f1": 0.1})
    save_results(tmp_path, "eval", {"eval_f1": 0.6})
    assert json.loads((tmp_path / "all_results.json").read_text()) == {"eval_f1": 0.6}


def test_damaged_results_of_an_earlier_run_are_replaced(tmp_path):
    for content in ("{", "[]", "null"):
        (tmp_path / "all_results.json").write_text(content)
        save_results(tmp_path, "eval", {"eval_f1": 0.6})
    assert json.loads((tmp_path / "all_results.json").read_text()) == {"eval_f1": 0.6}
