"""Tests of compare.py through its command line: sides, output, files, errors."""

import json
import sys
from pathlib import Path

import pytest

import compare
from common import SentencePrediction
from corpus.problems import Place
from results.result_files import write_predictions
from settings.argument_parser import make_parser
from settings.comparison_flags import ComparisonFlags
from support import errors
from tests.helpers.messages import stable
from tests.helpers.pages import PAYLOAD, Page, assert_inert
from tests.helpers.tagging import write_file

WORDS = ["Peter", "Blackburn", "went", "from", "Paris", "to", "New", "York", "."]
GOLD = ["B-PER", "I-PER", "O", "O", "B-LOC", "O", "B-LOC", "I-LOC", "O"]
TAGS_A = ["B-PER", "O", "O", "O", "B-LOC", "O", "B-LOC", "I-LOC", "O"]
TAGS_B = ["B-PER", "I-PER", "O", "O", "B-ORG", "O", "B-LOC", "I-LOC", "B-LOC"]
TAGS_C = ["O", "O", "O", "O", "B-LOC", "O", "B-LOC", "I-LOC", "B-LOC"]


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """Return a function that runs compare.py in this process: (exit status, output, messages)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, argv)])
        status = 0
        try:
            errors.run_script(compare.main)
        except SystemExit as end:
            status = end.code
        output, messages = capfd.readouterr()
        return status, stable(output, tmp_path), stable(messages, tmp_path)

    return run


def loaded(name: str) -> dict:
    return json.loads(Path(name).read_text(encoding="utf-8"))


def save_run(folder, *predictions, gold=GOLD, words=WORDS, split="predictions", repeat=1):
    """Write the predictions of a run: one sentence for each list of tags, `repeat` times."""
    folder.mkdir(exist_ok=True)
    predictions = [tags for tags in predictions for _ in range(repeat)]
    rows = [
        SentencePrediction(words, gold, tags, *[[1.0] * len(words)] * 2) for tags in predictions
    ]
    places = [Place("test.conll", 10 * n + 1, f"r{n}") for n in range(len(rows))]
    write_predictions(folder, split, rows, places, True)
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two output folders whose models err in different ways."""
    a = save_run(tmp_path / "a", TAGS_A, GOLD, TAGS_A, GOLD)
    b = save_run(tmp_path / "b", TAGS_B, TAGS_B, TAGS_A, GOLD)
    return a, b


# --- Two runs -------------------------------------------------------------------------------


def test_two_output_folders(cli, runs, snapshot):
    status, output, messages = cli("a", "b", "--resamples", 200, "--shuffles", 199)
    assert (status, messages) == (0, "")
    assert output == snapshot


def test_folders_and_files_give_the_same_numbers(cli, runs):
    expected = cli("a", "b", "--output", "a.json")[0]
    for number, sides in enumerate(
        [("a/predictions.txt", "b"), ("a/predictions.jsonl", "b/predictions.txt")]
    ):
        assert cli(*sides, "--output", f"{number}.json")[0] == expected == 0
    contents = [loaded(f"{name}.json") for name in ("a", 0, 1)]
    for content in contents:
        del content["a"], content["b"]
    assert contents[0] == contents[1] == contents[2]


def test_json_holds_every_number_and_change(cli, runs):
    assert cli("a", "b", "--output", "c.json", "--shuffles", 99)[0] == 0
    content = loaded("c.json")
    assert content["a"] == ["a/predictions.jsonl"] and content["sentences"] == 4
    f1 = content["differences"][2]
    # A: 10 of 12 correct and 12 predicted. B: 9 of 12 correct and 14 predicted.
    assert (f1["type"], f1["score"], f1["number"]) == (None, "f1", 12)
    assert f1["a"] == pytest.approx(20 / 24) and f1["b"] == pytest.approx(18 / 26)
    assert f1["difference"] == pytest.approx(18 / 26 - 20 / 24)
    assert f1["low"] < f1["difference"] < f1["high"]
    kinds = {kind: len(changes) for kind, changes in content["mistakes"].items()}
    assert kinds == {"new": 4, "gone": 1, "changed": 0} and content["mistakes_of_both"] == 1
    (gone,) = content["mistakes"]["gone"]
    assert gone == {
        "file": "test.conll", "line": 1, "record_id": "r0", "document": None, "sentence": 1,
        "start_word": 0, "end_word": 2, "words": ["Peter", "Blackburn"],
        "gold_tags": ["B-PER", "I-PER"], "a_tags": ["B-PER", "O"], "b_tags": ["B-PER", "I-PER"],
        "a_mistakes": ["wrong boundary: PER"], "b_mistakes": [],
    }  # fmt: skip
    assert [change["line"] for change in content["mistakes"]["new"]] == [1, 1, 11, 11]


def test_equal_predictions(cli, runs, snapshot):
    save_run(runs[0].parent / "c", TAGS_A, GOLD, TAGS_A, GOLD)
    save_run(runs[0].parent / "gold", GOLD)
    save_run(runs[0].parent / "gold2", GOLD)
    assert "Both sides make the same mistakes." in cli("a", "c")[1]
    assert "Neither side makes a mistake." in cli("gold", "gold2")[1]


def test_the_test_split_comes_before_the_validation_split(cli, tmp_path):
    for name in ("a", "b"):
        save_run(tmp_path / name, GOLD, split="eval_predictions")
    assert cli("a", "b")[1].startswith("A: a/eval_predictions.jsonl\n")
    save_run(tmp_path / "a", GOLD)
    assert cli("a", "b")[1].startswith("A: a/eval_predictions.jsonl\n")
    save_run(tmp_path / "b", GOLD)
    assert cli("a", "b")[1].startswith("A: a/predictions.jsonl\n")


def test_twenty_documents_are_the_units(cli, tmp_path):
    for name, tags in (("a.txt", "O"), ("b.txt", "B-PER")):
        document = f"-DOCSTART- O O\n\nPeter B-PER {tags}\n\nsaid O O\n\n"
        write_file(tmp_path, name, document * 20)
    output = cli("a.txt", "b.txt")[1]
    assert "paired bootstrap over 20 documents" in output
    assert "approximate randomization over documents" in output


def test_plain_tags(cli, tmp_path, snapshot):
    write_file(tmp_path, "a.txt", "the DT DT\nrun NN VB\n\nthe DT DT\nruns VB VB\n")
    write_file(tmp_path, "b.txt", "the DT DT\nrun NN NN\n\nthe DT NN\nruns VB VB\n")
    status, output, _ = cli("a.txt", "b.txt", "--resamples", 100, "--shuffles", 99)
    assert status == 0 and output == snapshot


# --- Several runs ---------------------------------------------------------------------------


def test_several_seeds_on_each_side(cli, tmp_path, snapshot):
    for number, (a, b) in enumerate([(TAGS_A, TAGS_B), (TAGS_A, TAGS_B), (GOLD, TAGS_C)]):
        save_run(tmp_path / f"a{number}", a, GOLD)
        save_run(tmp_path / f"b{number}", b, GOLD)
    status, output, messages = cli(
        "a0", "a1", "a2", "--against", "b0", "b1", "b2", "--resamples", 200
    )
    assert (status, messages) == (0, "")
    assert output == snapshot


def test_a_study_of_seeds_counts_as_its_runs(cli, tmp_path):
    names = ["seed_1", "seed_2"]
    for study in ("x", "y"):
        (tmp_path / study).mkdir()
        record = {"study": "seeds", "runs": [{"name": name} for name in names]}
        (tmp_path / study / "study.json").write_text(json.dumps(record))
        for name, tags in zip(names, (TAGS_A, TAGS_B), strict=True):
            save_run(tmp_path / study / name, tags)
    assert cli("x", "y", "--output", "c.json")[0] == 0
    content = loaded("c.json")
    assert content["a"] == [f"x/{name}/predictions.jsonl" for name in names]
    assert len(content["b"]) == 2 and content["exact_p_values"] and content["arrangements"] == 6


# --- Models ---------------------------------------------------------------------------------


def test_models_tag_a_labelled_file(cli, tmp_path, tiny_tagger, look_up):
    """The model knows the gold tags, so only the other side errs."""
    rows = "".join(f"{w} {t}\n" for w, t in zip(WORDS, GOLD, strict=True))
    write_file(tmp_path, "test.conll", f"{rows}\n{rows}\n")
    without_paris = ["O" if word == "Paris" else tag for word, tag in zip(WORDS, GOLD, strict=True)]
    write_file(
        tmp_path,
        "b.txt",
        "".join(f"{w} {g} {t}\n" for w, g, t in zip(WORDS, GOLD, without_paris, strict=True))
        + "\n"
        + "".join(f"{w} {g} {t}\n" for w, g, t in zip(WORDS, GOLD, GOLD, strict=True)),
    )
    status, _, messages = cli(tiny_tagger, "b.txt", "--input", "test.conll", "--output", "c.json")
    assert (status, messages) == (0, "")
    content = loaded("c.json")
    f1 = content["differences"][2]
    assert f1["a"] == 1 and f1["b"] == pytest.approx(10 / 11)
    (change,) = content["mistakes"]["new"]
    assert (change["file"], change["line"], change["words"]) == ("test.conll", 5, ["Paris"])


def test_two_models_that_are_the_same(cli, tmp_path, tiny_tagger, look_up):
    write_file(tmp_path, "test.jsonl", json.dumps({"id": 5, "tokens": WORDS, "ner_tags": GOLD}))
    link = tmp_path / "link"
    link.symlink_to(tiny_tagger)
    status, output, _ = cli(tiny_tagger, link, "--input", "test.jsonl")
    assert status == 0 and "Neither side makes a mistake." in output


# --- The page -------------------------------------------------------------------------------


def test_the_page_says_what_the_terminal_says(cli, runs, snapshot):
    assert cli("a", "b", "--output", "c.html", "--resamples", 200, "--shuffles", 199)[0] == 0
    page = Page(Path("c.html").read_text(encoding="utf-8"))
    assert_inert(page)
    assert page.wording == snapshot


def test_a_page_with_many_changes_folds_them(cli, tmp_path):
    save_run(tmp_path / "a", GOLD, repeat=150)
    save_run(tmp_path / "b", TAGS_B, repeat=150)
    assert cli("a", "b", "--output", "c.html", "--shuffles", 9)[0] == 0
    page = Page(Path("c.html").read_text(encoding="utf-8"))
    assert len(page.root.all("article", "mistake")) == 200
    assert "The next 180 (300 in total, all of them in the JSON file)" in page.all_text


def test_texts_of_a_corpus_are_data(cli, tmp_path):
    words = [PAYLOAD, *WORDS[1:]]
    save_run(tmp_path / "a", TAGS_A, words=words)
    save_run(tmp_path / "b", TAGS_B, words=words)
    assert cli("a", "b", "--output", "c.html")[0] == 0
    page = Page(Path("c.html").read_text(encoding="utf-8"))
    assert_inert(page)
    assert PAYLOAD.split()[0] in page.all_text


# --- Errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("a",),
        ("a", "b", "b2"),
        ("a", "a"),
        ("a", "--against", "b", "./b"),
        ("a", "missing"),
        ("a", "--against"),
        ("a", "empty"),
        ("a", "validation-only"),
        ("a", "other-words.txt"),
        ("a", "other-gold.txt"),
        ("a", "shorter.txt"),
        ("shorter.txt", "a"),
        ("a", "broken.txt"),
        ("a", "b", "--output", "c.pdf"),
        ("a", "b", "--output", "missing/c.json"),
        ("a", "other.json", "--output", "other.json"),
        ("a", "b", "--resamples", "10", "--shuffles", "0", "--label_column_name", "ner"),
        ("a", "b", "--input", "missing.conll"),
        ("a", "b", "--shufles", "9"),
    ],
    ids=" ".join,
)
def test_user_errors_produce_one_message(cli, runs, tmp_path, argv, snapshot):
    save_run(tmp_path / "validation-only", GOLD, split="eval_predictions")
    (tmp_path / "empty").mkdir()
    rows = [f"{w} {t} {t}\n" for w, t in zip(WORDS, GOLD, strict=True)]
    sentence = "".join(rows)
    write_file(tmp_path, "other-words.txt", sentence + "\n" + sentence.replace("Paris", "Rome"))
    write_file(tmp_path, "other-gold.txt", sentence.replace("Paris B-LOC", "Paris B-PER"))
    write_file(tmp_path, "shorter.txt", "\n".join([sentence] * 3))
    write_file(tmp_path, "broken.txt", "Peter B-PER\n")
    write_file(tmp_path, "other.json", sentence)
    before = sorted(tmp_path.rglob("*"))
    status, output, messages = cli(*argv)
    assert (status, output) == (2, "")
    assert messages.count("error: ") == 1 and messages == snapshot
    assert sorted(tmp_path.rglob("*")) == before


def test_no_flag_is_named_that_the_script_does_not_have(cli, tmp_path, tiny_tagger):
    (tmp_path / "empty.conll").write_text("")
    status, _, errors = cli(tiny_tagger, tmp_path, "--input", "empty.conll")
    assert status == 2 and "no sentences" in errors and "--skip_errors" not in errors


def test_an_output_that_cannot_be_written_is_one_message(cli, runs, tmp_path, snapshot):
    status, output, messages = cli("a", "b", "--output", "x" * 300 + ".json")
    assert (status, output) == (2, "") and messages == snapshot


def test_help_states_each_flag():
    text = make_parser(ComparisonFlags, compare.__doc__).format_help()
    assert "None" not in text
    for name in ("--against", "--input", "--resamples", "--shuffles", "--output"):
        assert name in text
