"""Files of predictions: the suite's own, conlleval's form, and broken ones."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import SentencePrediction
from corpus.problems import Place
from results.prediction_files import PredictionFile, saved_predictions
from results.result_files import column_cell, write_predictions
from support.errors import UserError
from tests.helpers.messages import stable
from tests.helpers.tagging import write_file

ROWS = [
    SentencePrediction(
        ["Peter", "New York"], ["B-PER", "B-work of art"], ["B-PER", "O"], [0.9, 0.8], [0.9, 0.8]
    ),
    SentencePrediction([], [], [], [], []),
    SentencePrediction(["Paris"], ["B-LOC"], ["B-PER"], [0.5], [0.5]),
]
PLACES = [Place("a.jsonl", 7, "42", "news"), Place("a.jsonl", 8), Place("b.conll", 1)]


def read(path) -> list[tuple]:
    return [tuple(sentence) for sentence in PredictionFile(path).sentences()]


def tags_of(path) -> list[tuple]:
    return [sentence[:3] for sentence in read(path)]


def test_json_lines_of_a_run_keep_the_place_in_the_corpus(tmp_path):
    write_predictions(tmp_path, "predictions", ROWS, PLACES, True)
    assert read(tmp_path / "predictions.jsonl") == [
        (["Peter", "New York"], ["B-PER", "B-work_of_art"], ["B-PER", "O"], PLACES[0]),
        (["Paris"], ["B-LOC"], ["B-PER"], PLACES[2]),
    ]


def test_the_lines_of_words_are_kept(tmp_path):
    """Those of a corpus in columns, and of a prediction file in columns with its own comments."""
    place = Place("a.conllu", 4, lines=(4, 6))
    write_predictions(tmp_path, "predictions", ROWS[:1], [place], True)
    write_predictions(tmp_path, "records", ROWS[:1], [Place("a.jsonl", 4)], True)
    columns = write_file(tmp_path, "b.tsv", "\na\tO\tO\n# comment\nb\tO\tO\n")
    paths = tmp_path / "predictions.jsonl", tmp_path / "records.jsonl", columns
    places = [read(path)[0][3] for path in paths]
    assert [[place.at(word).line for word in (0, 1)] for place in places] == [
        [4, 6],
        [4, 4],
        [2, 4],
    ]
    (record,) = map(json.loads, (tmp_path / "records.jsonl").read_text().splitlines())
    assert record["lines"] is None


def test_columns_of_a_run_have_places_in_their_own_file(tmp_path):
    write_predictions(tmp_path, "predictions", ROWS, PLACES, True)
    path = str(tmp_path / "predictions.txt")
    assert read(path) == [
        (["Peter", "New_York"], ["B-PER", "B-work_of_art"], ["B-PER", "O"], Place(path, 1)),
        (["Paris"], ["B-LOC"], ["B-PER"], Place(path, 5)),
    ]


def test_json_lines_of_others_have_places_in_their_own_file(tmp_path):
    record = {"words": ["a"], "gold_tags": ["O"], "predicted_tags": ["O"], "document": 3}
    path = str(write_file(tmp_path, "a.jsonl", "\n" + json.dumps(record)))
    assert read(path)[0][3] == Place(path, 2, None, "3")


word = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
tag = st.sampled_from(["O", "B-PER", "I-PER"])
row = st.tuples(word.filter(lambda w: column_cell(w) not in ("-DOCSTART-", "\ufeff")), tag, tag)


@given(st.lists(st.lists(row, min_size=1, max_size=4), min_size=1, max_size=4))
def test_both_files_of_a_run_hold_the_same_sentences(tmp_path_factory, sentences):
    folder = tmp_path_factory.mktemp("predictions")
    columns = [[list(column) for column in zip(*rows, strict=True)] for rows in sentences]
    rows = [SentencePrediction(*three, *[[1.0] * len(three[0])] * 2) for three in columns]
    write_predictions(folder, "predictions", rows, [Place("a", 1)] * len(rows), True)
    from_json, from_columns = (
        tags_of(folder / f"predictions.{extension}") for extension in ("jsonl", "txt")
    )
    assert from_json == [tuple(three) for three in columns]
    cells = [([*map(column_cell, words)], gold, predicted) for words, gold, predicted in columns]
    assert from_columns == cells


@pytest.mark.parametrize(
    "content",
    [
        "EU NNP B-NP B-ORG B-ORG\nsaid VBD O O O\n\nParis NNP B-NP B-LOC O\n",
        "EU\tB-ORG\tB-ORG\r\nsaid\tO\tO\r\n\r\nParis\tB-LOC\tO",
        "\ufeffEU  B-ORG \t B-ORG  \nsaid O O\n  \n\n\nParis B-LOC O\n\n",
        "EU\tB-ORG\tB-ORG\nsaid\tO\tO\n\n# sent_id = 2\nParis\tB-LOC\tO\n",
        "# sent_id = 1\nEU\tB-ORG\tB-ORG\nsaid\tO\tO\n\nParis\tB-LOC\tO\n",
    ],
)
def test_columns_of_any_width_and_separator(tmp_path, content):
    for path in (
        write_file(tmp_path, "a.conll", content),
        write_file(tmp_path, "a.conll.gz", gzip.compress(content.encode())),
    ):
        assert tags_of(path) == [
            (["EU", "said"], ["B-ORG", "O"], ["B-ORG", "O"]),
            (["Paris"], ["B-LOC"], ["O"]),
        ]


def test_words_with_spaces_in_columns_separated_by_tabs(tmp_path):
    path = write_file(tmp_path, "a.tsv", "New York\tB-LOC\tB-LOC\n#\tO\tO\n")
    assert tags_of(path) == [(["New York", "#"], ["B-LOC", "O"], ["B-LOC", "O"])]


def test_document_starts_name_documents(tmp_path):
    start = "-DOCSTART- -X- O O\n\n"
    content = "x O O O\n\n" + start + "EU X B-ORG O\n\nsaid X O O\n\n" + start + "a X O O\n"
    path = str(write_file(tmp_path, "a.conll", content))
    assert [place for *_, place in read(path)] == [
        Place(path, 1),
        Place(path, 5, document="1"),
        Place(path, 7, document="1"),
        Place(path, 11, document="2"),
    ]


def test_tags_of_other_schemes_become_iob2(tmp_path):
    path = write_file(tmp_path, "a.conll", "New B-LOC B-LOC\nYork L-LOC O\nEU U-ORG S-ORG\n")
    assert tags_of(path) == [
        (["New", "York", "EU"], ["B-LOC", "I-LOC", "B-ORG"], ["B-LOC", "O", "B-ORG"])
    ]


def test_plain_tags_are_recognised(tmp_path):
    assert not PredictionFile(write_file(tmp_path, "a.txt", "a DT DT\nb NN VB\n")).entity_tags
    assert PredictionFile(write_file(tmp_path, "b.txt", "a O O\nb O B-X\n")).entity_tags


BROKEN = {
    "empty": "",
    "blank lines": "\n\n",
    "two columns": "Peter B-PER\n",
    "two columns later": "Peter B-PER B-PER\nsaid O\n",
    "another width": "Peter NNP B-PER B-PER\nsaid O O\n",
    "two layers": "EU NNP B-NP B-ORG\nsaid VBD B-VP O\n",
    "no gold tags": '{"words": ["a"], "gold_tags": null, "predicted_tags": ["O"]}\n',
    "no predicted tags": '{"words": ["a"], "gold_tags": ["O"]}\n',
    "too few tags": '{"words": ["a", "b"], "gold_tags": ["O", "O"], "predicted_tags": ["O"]}\n',
    "broken JSON": '{"words": ["a"], "gold_tags": ["O"], "predicted_tags": ["O"]}\n{"words": \n',
    "not a record": '{"words": ["a"], "gold_tags": ["O"], "predicted_tags": ["O"]}\n[1]\n',
    "Latin-1": b"M\xfcnchen O O\n",
    "binary": b"\x00\x01\xff O O\n",
    "truncated gzip": gzip.compress(b"a O O\n" * 1000)[:-20],
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_broken_files_produce_one_message(tmp_path, content, snapshot):
    path = write_file(tmp_path, "a.txt", content)
    with pytest.raises(UserError) as error:
        list(PredictionFile(path).sentences())
    assert stable(error.value, tmp_path) == snapshot


def test_a_model_that_finds_nothing_is_not_two_layers_of_tags(tmp_path):
    assert PredictionFile(write_file(tmp_path, "a.txt", "EU B-ORG O\n")).entity_tags


def test_the_predictions_of_a_folder_that_have_gold_tags(tmp_path):
    assert saved_predictions(tmp_path) == {}
    unlabelled = [SentencePrediction(["Paris"], [], ["B-PER"], [0.5], [0.5])]
    write_predictions(tmp_path, "predictions", unlabelled, PLACES[:1], True)
    write_predictions(tmp_path, "eval_predictions", ROWS, PLACES, True)
    assert saved_predictions(tmp_path) == {"validation": tmp_path / "eval_predictions.jsonl"}
    (tmp_path / "eval_predictions.jsonl").unlink()
    (tmp_path / "predictions.jsonl").unlink()
    assert saved_predictions(tmp_path) == {"validation": tmp_path / "eval_predictions.txt"}
    write_predictions(tmp_path, "predictions", ROWS, PLACES, True)
    assert list(saved_predictions(tmp_path)) == ["test", "validation"]


@pytest.mark.parametrize("word", ["{", '{"', "{}", '{"a"'])
def test_a_first_word_that_is_a_brace_does_not_make_a_file_json(tmp_path, word):
    path = write_file(tmp_path, "a.txt", f"{word} O O\nParis B-LOC B-LOC\n")
    assert tags_of(path) == [([word, "Paris"], ["O", "B-LOC"], ["O", "B-LOC"])]
