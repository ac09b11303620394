"""The folder a run leaves: what is refused, what is kept, what other programs read of it."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import conlleval
import pytest
from hypothesis import given
from hypothesis import strategies as st

from results import outputs
from scoring.scores import count_tags, score_tags
from settings.flags import Arguments
from support.errors import UserError

LABELS = ["O", "B-PER", "I-PER"]
ALONE = SimpleNamespace(is_main_process=True, wait_for_everyone=lambda: None)


def run_of(folder, corpus="news", labels=LABELS, **changes):
    """Arguments and corpus of a run."""
    values = {"model_name_or_path": "bert-base-cased", "do_train": True, **changes}
    args = Arguments(output_dir=str(folder), **values)
    return args, SimpleNamespace(name=corpus, label_names=labels)


def leave_run(folder, **changes) -> None:
    """What a finished run leaves that a later one looks at."""
    folder.mkdir()
    outputs.write_json(folder / outputs.RUN_FILE, outputs.run_identity(*run_of(folder, **changes)))
    (folder / "config.json").write_text("{}")


# --- The folder that is there already -------------------------------------------------------


def test_new_empty_and_same_runs_are_allowed(tmp_path):
    outputs.check_output_dir(*run_of(tmp_path / "new"))
    assert not (tmp_path / "new").exists()  # nothing is written by looking
    (tmp_path / "empty").mkdir()
    outputs.check_output_dir(*run_of(tmp_path / "empty"))
    (tmp_path / "empty" / "notes.txt").write_text("mine")
    outputs.check_output_dir(*run_of(tmp_path / "empty"))
    leave_run(tmp_path / "same")
    outputs.check_output_dir(*run_of(tmp_path / "same"))
    # Other hyperparameters make no other run.
    outputs.check_output_dir(*run_of(tmp_path / "same", learning_rate=1.0, seed=3))


@pytest.mark.parametrize("changes", [{}, {"overwrite_output_dir": True}, {"do_train": False}])
def test_folder_that_is_a_file_is_refused(changes, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="expected a folder, found a file"):
        outputs.check_output_dir(*run_of(tmp_path / "file", **changes))
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"corpus": "web"}, "corpus: there news, now web"),
        ({"model_name_or_path": "roberta-base"}, "model: there bert-base-cased, now roberta-base"),
        ({"task_name": "pos"}, "task: there ner, now pos"),
        ({"labels": ["O", "B-LOC"]}, "label_names: there O, B-PER, I-PER, now O, B-LOC"),
        ({"labels": ["O", "I-PER", "B-PER"]}, "label_names"),  # the order is the head's
    ],
)
def test_folder_with_another_run_is_refused(changes, expected, tmp_path):
    leave_run(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(UserError) as error:
        outputs.check_output_dir(*run_of(tmp_path / "run", **changes))
    message = str(error.value)
    assert str(tmp_path / "run") in message
    assert expected in message
    assert "--overwrite_output_dir" in message
    assert len(message.splitlines()) == 3  # only what differs
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    outputs.check_output_dir(*run_of(tmp_path / "run", overwrite_output_dir=True, **changes))
    # Scores of another corpus or model would stand beside those of training.
    with pytest.raises(UserError, match="holds another run"):
        outputs.check_output_dir(*run_of(tmp_path / "run", do_train=False, **changes))


def test_a_model_s_own_folder_takes_its_scores(tmp_path):
    leave_run(tmp_path / "run")
    own = {"model_name_or_path": str(tmp_path / "run"), "do_train": False}
    outputs.check_output_dir(*run_of(tmp_path / "run", **own))
    with pytest.raises(UserError, match="corpus: there news, now web"):
        outputs.check_output_dir(*run_of(tmp_path / "run", corpus="web", **own))


@pytest.mark.parametrize("folder", ["/proc/nothing", "/proc/nothing/in"])
def test_a_folder_that_cannot_be_written_is_told_at_once(folder):
    with pytest.raises(UserError, match=f"--output_dir {folder}: cannot be written"):
        outputs.check_output_dir(*run_of(Path(folder)))


def test_trying_to_write_leaves_nothing(tmp_path):
    outputs.check_output_dir(*run_of(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []


def test_every_difference_is_told_at_once(tmp_path):
    leave_run(tmp_path / "run")
    with pytest.raises(UserError) as error:
        outputs.check_output_dir(
            *run_of(tmp_path / "run", corpus="web", labels=["O"], task_name="chunk")
        )
    assert len(str(error.value).splitlines()) == 5


def test_model_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a model that no run of this suite left"):
        outputs.check_output_dir(*run_of(tmp_path))
    outputs.check_output_dir(*run_of(tmp_path, overwrite_output_dir=True))


@pytest.mark.parametrize("content", ["", "{", "{}", b"\xff"])
def test_damaged_record_of_a_run_is_another_run(content, tmp_path):
    file = tmp_path / outputs.RUN_FILE
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match="holds another run"):
        outputs.check_output_dir(*run_of(tmp_path))


def test_long_label_lists_are_cut_in_the_message(tmp_path):
    leave_run(tmp_path / "run", labels=["O", *(f"B-TYPE-{i}" for i in range(500))])
    with pytest.raises(UserError) as error:
        outputs.check_output_dir(*run_of(tmp_path / "run"))
    assert len(str(error.value)) < 1000


# --- Replacing files ------------------------------------------------------------------------


def test_staged_files_arrive_together(tmp_path):
    folder = tmp_path / "deep" / "run"
    with outputs.staged(folder, ALONE, {}) as stage:
        (stage / "model.safetensors").write_text("new")
        (stage / "config.json").write_text("new")
        assert [path.name for path in folder.iterdir()] == [stage.name]
    names = ["config.json", "model.safetensors", "run.json"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_staged_keeps_the_old_files_when_saving_fails(tmp_path):
    for name in ("model.safetensors", "config.json", "notes.txt"):
        (tmp_path / name).write_text("old")
    with pytest.raises(UserError, match="disk"), outputs.staged(tmp_path, ALONE, {}) as stage:
        (stage / "config.json").write_text("new")
        raise OSError("disk full")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "model.safetensors": "old", "config.json": "old", "notes.txt": "old",
    }  # fmt: skip
    # What a killed run left half-written is gone from the next.
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "half").write_text("half")
    with outputs.staged(tmp_path, ALONE, {}) as stage:
        assert not list(stage.iterdir())
        (stage / "config.json").write_text("new")
    assert (tmp_path / "config.json").read_text() == "new"
    assert (tmp_path / "notes.txt").read_text() == "old"
    names = ["config.json", "model.safetensors", "notes.txt", "run.json"]
    assert sorted(os.listdir(tmp_path)) == names


def test_staged_is_left_to_the_main_process(tmp_path):
    waits = []
    other = SimpleNamespace(is_main_process=False, wait_for_everyone=lambda: waits.append(1))
    with outputs.staged(tmp_path / "run", other, {}):
        pass
    assert waits
    assert not (tmp_path / "run").exists()


def test_json_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "all_results.json"
    outputs.write_json(file, {"f1": 0.5, "name": "Łódź"})
    assert json.loads(file.read_text("utf-8")) == {"f1": 0.5, "name": "Łódź"}
    assert "Łódź" in file.read_text("utf-8")
    with pytest.raises(TypeError):
        outputs.write_json(file, {"f1": object()})
    before = file.read_bytes()

    def full_disk(self, *args, **kwargs):
        with open(self, "w") as partial:
            partial.write("{")
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.write_text", full_disk)
    with pytest.raises(OSError, match="disk full"):
        outputs.write_json(file, {"f1": 1.0})
    assert file.read_bytes() == before


# --- Scores ---------------------------------------------------------------------------------

GOLD = [["B-PER", "I-PER", "O"], ["B-LOC"], ["O", "O"]]
PREDICTED = [["B-PER", "I-PER", "O"], ["B-PER"], ["O", "B-LOC"]]


def test_results_of_splits_come_together(tmp_path):
    scores = score_tags(GOLD, PREDICTED, True) | {"loss": 0.25}
    flat = outputs.flat_metrics(scores)
    assert set(flat) == {"precision", "recall", "f1", "accuracy", "loss", "words"}
    assert flat["words"] == 6
    outputs.save_results(tmp_path, "eval", {f"eval_{k}": v for k, v in flat.items()})
    outputs.save_results(tmp_path, "predict", {"predict_f1": 0.75})
    outputs.save_results(tmp_path, "train", {"train_loss": 1.5})
    assert sorted(os.listdir(tmp_path)) == (
        ["all_results.json", "eval_results.json", "predict_results.json", "train_results.json"]
    )
    everything = json.loads((tmp_path / "all_results.json").read_text())
    assert everything.keys() == {f"eval_{k}" for k in flat} | {"predict_f1", "train_loss"}
    assert everything["eval_f1"] == scores["overall"]["f1"]
    assert json.loads((tmp_path / "predict_results.json").read_text()) == {"predict_f1": 0.75}


def test_results_by_type():
    scores = score_tags(GOLD, PREDICTED, True) | {"loss": 0.25}
    flat = outputs.flat_metrics(scores, per_type=True)
    assert flat["PER_precision"] == 0.5
    assert flat["PER_recall"] == 1.0
    assert flat["LOC_f1"] == 0.0
    assert flat["LOC_number"] == 1


# --- predictions.txt ------------------------------------------------------------------------


def rows_of(words, gold, predicted):
    columns = zip(words, gold, predicted, strict=True)
    return [(w, g, p, [1.0] * len(w)) for w, g, p in columns]


def test_predictions_are_columns_with_blank_lines(tmp_path):
    words = [["Peter", "Blackburn", "said"], ["Paris"], ["it", "."]]
    outputs.write_predictions(tmp_path / "predictions.txt", rows_of(words, GOLD, PREDICTED))
    assert (tmp_path / "predictions.txt").read_text("utf-8") == (
        "Peter B-PER B-PER\nBlackburn I-PER I-PER\nsaid O O\n\n"
        "Paris B-LOC B-PER\n\n"
        "it O O\n. O B-LOC\n\n"
    )
    assert os.listdir(tmp_path) == ["predictions.txt"]


def test_predictions_without_gold_have_two_columns(tmp_path):
    rows = [(["Peter", "said"], [], ["B-PER", "O"], [1.0, 1.0]), ([], [], [], [])]
    outputs.write_predictions(tmp_path / "predictions.txt", rows)
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
    lambda word: word != "-X-"  # where conlleval sees the end of a sentence
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
    outputs.write_predictions(file, rows_of(words, gold, predicted))
    with open(file, encoding="utf-8") as lines:
        theirs = conlleval.evaluate(lines)
    ours = score_tags(gold, predicted, True)
    counts = count_tags(gold, predicted, True)
    chunks = theirs["overall"]["chunks"]["stats"]
    for name, kind in (("gold", "gold"), ("pred", "predicted"), ("correct", "correct")):
        assert chunks[name] == sum(n for key, n in counts.items() if key[0] == kind)
    assert theirs["overall"]["tags"]["stats"]["gold"] == ours["words"] == sum(map(len, words))
    assert theirs["overall"]["tags"]["stats"]["correct"] == counts["words right"]


def test_predictions_that_fail_leave_the_old_file(tmp_path):
    file = tmp_path / "predictions.txt"
    file.write_text("old")

    def rows():
        yield from rows_of([["a"]], [["O"]], [["O"]])
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        outputs.write_predictions(file, rows())
    assert file.read_text() == "old"
    with pytest.raises(ValueError):  # a word too few is no sentence
        outputs.write_predictions(file, [(["a", "b"], ["O", "O"], ["O"], [1.0])])
    assert file.read_text() == "old"


# --- Old results and odd tags ----------------------------------------------------------------


def test_tags_with_blanks_stay_one_column(tmp_path):
    rows = rows_of([["Hamlet"]], [["B-work of art"]], [["O"]])
    outputs.write_predictions(tmp_path / "predictions.txt", rows)
    line = (tmp_path / "predictions.txt").read_text().splitlines()[0]
    assert len(line.split()) == 3


def test_all_results_are_those_of_this_run(tmp_path):
    outputs.save_results(tmp_path, "eval", {"eval_f1": 0.5, "eval_OLD_f1": 0.1})
    outputs.save_results(tmp_path, "eval", {"eval_f1": 0.6})
    assert json.loads((tmp_path / "all_results.json").read_text()) == {"eval_f1": 0.6}


def test_damaged_results_of_an_earlier_run_are_replaced(tmp_path):
    (tmp_path / "all_results.json").write_text("{")
    outputs.save_results(tmp_path, "eval", {"eval_f1": 0.6})
    assert json.loads((tmp_path / "all_results.json").read_text()) == {"eval_f1": 0.6}


def test_folder_inside_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError):
        outputs.check_output_dir(*run_of(tmp_path / "file" / "run"))
