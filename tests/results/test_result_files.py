"""The result files: scores, and predictions as conlleval reads them."""

import json
import os

import conlleval
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import SentencePrediction
from corpus.problems import Place
from results.result_files import save_results
from results.result_files import write_predictions as write_predictions_of_places
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


def write_predictions(path, sentences, places=None, entity_tags=True):
    """Write both files of the name `path`; without `places`, each sentence has the same one."""
    sentences = [SentencePrediction(*sentence[:4], sentence[3]) for sentence in sentences]
    places = places or [Place("a.conll", 1)] * len(sentences)
    write_predictions_of_places(path.parent, path.stem, sentences, places, entity_tags)


def rows_of(words, gold, predicted):
    columns = zip(words, gold, predicted, strict=True)
    return [SentencePrediction(w, g, p, *[[1.0] * len(w)] * 2) for w, g, p in columns]


def test_predictions_are_columns_with_blank_lines(tmp_path):
    words = [["Peter", "Blackburn", "said"], ["Paris"], ["it", "."]]
    write_predictions(tmp_path / "predictions.txt", rows_of(words, GOLD, PREDICTED))
    assert (tmp_path / "predictions.txt").read_text("utf-8") == (
        "Peter B-PER B-PER\nBlackburn I-PER I-PER\nsaid O O\n\n"
        "Paris B-LOC B-PER\n\n"
        "it O O\n. O B-LOC\n\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["predictions.jsonl", "predictions.txt"]


def test_predictions_without_gold_have_two_columns(tmp_path):
    rows = [(["Peter", "said"], [], ["B-PER", "O"], [1.0, 1.0]), ([], [], [], [])]
    write_predictions(tmp_path / "predictions.txt", rows)
    assert (tmp_path / "predictions.txt").read_text("utf-8") == "Peter B-PER\nsaid O\n\n\n"


def json_lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").removesuffix("\n").split("\n")]


def test_a_prediction_has_place_words_tags_and_entities(tmp_path):
    places = [Place("a.jsonl", 7, "42", "news"), Place("b.conll", 1)]
    rows = [
        (
            ["Peter", "New\u2028York", "said"],
            ["B-PER", "O", "O"],
            ["B-PER", "I-PER", "O"],
            [1, 0.5, 1],
        ),
        (["Paris"], [], ["O"], [0.9]),
    ]
    write_predictions(tmp_path / "eval_predictions.txt", rows, places)
    first, second = json_lines(tmp_path / "eval_predictions.jsonl")
    assert first == {
        "file": "a.jsonl",
        "line": 7,
        "lines": None,
        "record_id": "42",
        "document": "news",
        "words": ["Peter", "New\u2028York", "said"],
        "gold_tags": ["B-PER", "O", "O"],
        "predicted_tags": ["B-PER", "I-PER", "O"],
        "entities": [
            {
                "entity_group": "PER",
                "score": 0.75,
                "words": ["Peter", "New\u2028York"],
                "start_word": 0,
                "end_word": 2,
            }
        ],
    }
    assert (second["record_id"], second["gold_tags"], second["entities"]) == (None, None, [])


def test_plain_tags_have_no_entities(tmp_path):
    write_predictions(tmp_path / "a.txt", rows_of([["x"]], [["NN"]], [["VB"]]), entity_tags=False)
    (only,) = json_lines(tmp_path / "a.jsonl")
    assert "entities" not in only and only["predicted_tags"] == ["VB"]


def test_a_sentence_without_a_place_is_an_error(tmp_path):
    rows = rows_of([["a"], ["b"]], [["O"], ["O"]], [["O"], ["O"]])
    with pytest.raises(ValueError):
        write_predictions_of_places(tmp_path, "a", rows, [Place("a.conll", 1)], True)
    assert os.listdir(tmp_path) == []


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
        write_predictions_of_places(tmp_path, file.stem, rows(), [Place("a", 1)] * 2, True)
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
