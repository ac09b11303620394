"""Every way to name a corpus: files, globs, folders, data sets on disk and on the Hub."""

from types import SimpleNamespace

import datasets
import pytest

from corpus.load import load_corpus
from support.errors import UserError
from tests.helpers.corpora import split_words, tag_lists
from tests.helpers.messages import stable


def error_message(settings, folder) -> str:
    """Return the message of the error that a corpus raises, without the test's folder."""
    with pytest.raises(UserError) as error:
        load_corpus(settings)
    return stable(error.value, folder)


def test_globs_and_several_files(corpus_settings, tmp_path):
    for number in range(3):
        (tmp_path / f"part{number}.conll").write_text(f"word{number} O\n")
    (tmp_path / "dev.conll").write_text("EU O\n")
    flags = {"validation_file": (str(tmp_path / "dev.conll"),)}
    corpus = load_corpus(corpus_settings(train_file=(str(tmp_path / "part*.conll"),), **flags))
    assert split_words(corpus, "train") == [["word0"], ["word1"], ["word2"]]
    two = (str(tmp_path / "part2.conll"), str(tmp_path / "part0.conll"))
    corpus = load_corpus(corpus_settings(train_file=two, **flags))
    assert split_words(corpus, "train") == [["word2"], ["word0"]]


@pytest.mark.parametrize(
    "names",
    [
        ("train.conll", "dev.conll", "test.conll"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("data/train-00000-of-00001.txt", "data/validation-00000-of-00001.txt", "data/test-0.txt"),
        ("train/a.conll", "valid/a.conll", "test/a.conll"),
    ],
)
def test_a_folder_of_split_files(corpus_settings, tmp_path, names):
    for name, word in zip(names, ("one", "two", "three"), strict=True):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{word} O\n")
    (tmp_path / "corpus" / "README.md").write_text("how to train")
    corpus = load_corpus(corpus_settings(dataset_name=str(tmp_path / "corpus")))
    words = {split: rows["tokens"][0][0] for split, rows in corpus.splits.items()}
    assert words == {"train": "one", "validation": "two", "test": "three"}


def test_a_folder_with_two_formats_of_a_split_is_rejected(corpus_settings, tmp_path, snapshot):
    for name in ("train.conll", "train.jsonl"):
        (tmp_path / name).write_text("EU O\n")
    message = error_message(corpus_settings(dataset_name=str(tmp_path)), tmp_path)
    assert "train.conll, train.jsonl" in message
    assert message == snapshot


def labelled_dataset(**columns) -> datasets.Dataset:
    features = {"tokens": datasets.List(datasets.Value("string"))}
    names = {"ner_tags": ["O", "B-PER", "I-PER"], "pos_tags": ["NOUN", "VERB"]}
    for column in columns:
        if column in names:
            features[column] = datasets.List(datasets.ClassLabel(names=names[column]))
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


@pytest.fixture
def dataset_dict() -> datasets.DatasetDict:
    rows = {
        "tokens": [["Peter", "Blackburn"], ["runs"]],
        "ner_tags": [[1, 2], [0]],
        "pos_tags": [[0, 0], [1]],
    }
    return datasets.DatasetDict(train=labelled_dataset(**rows), validation=labelled_dataset(**rows))


def test_a_folder_saved_by_datasets(corpus_settings, tmp_path, dataset_dict):
    dataset_dict.save_to_disk(tmp_path / "saved")
    corpus = load_corpus(corpus_settings(dataset_name=str(tmp_path / "saved")))
    assert tag_lists(corpus, "train") == [["B-PER", "I-PER"], ["O"]]
    corpus = load_corpus(corpus_settings(dataset_name=str(tmp_path / "saved"), task_name="pos"))
    assert tag_lists(corpus, "validation") == [["NOUN", "NOUN"], ["VERB"]]


@pytest.fixture
def hub(monkeypatch, tmp_path, dataset_dict):
    """Replace `load_dataset` with a Hub of one data set in parquet files; return the calls."""
    for split, dataset in dataset_dict.items():
        dataset.to_parquet(tmp_path / "hub" / f"{split}.parquet")
    calls = []
    real_load = datasets.load_dataset

    def load(name, config=None, *, revision=None, cache_dir=None, token=None):
        calls.append((name, config, revision, token))
        if name == "conll2003" and revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found conll2003.py")
        if name == "nobody/nothing":
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'nobody/nothing' doesn't exist")
        return real_load(str(tmp_path / "hub"), cache_dir=str(tmp_path / "hub-cache"))

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


def test_a_data_set_on_the_hub(corpus_settings, hub):
    corpus = load_corpus(
        corpus_settings(
            dataset_name="someone/corpus",
            dataset_config_name="en",
            dataset_revision="v1",
            hub_token="hf_secret",
        )
    )
    assert hub == [("someone/corpus", "en", "v1", "hf_secret")]
    assert corpus.name == "someone/corpus"
    assert corpus.label_names == ["O", "B-PER", "I-PER"]
    assert tag_lists(corpus, "validation") == [["B-PER", "I-PER"], ["O"]]


def test_a_script_on_the_hub_is_read_from_its_parquet_copy(
    corpus_settings, hub, monkeypatch, snapshot
):
    moved = SimpleNamespace(id="eriktks/conll2003")
    monkeypatch.setattr("corpus.sources.HfApi.dataset_info", lambda api, name: moved)
    corpus = load_corpus(corpus_settings(dataset_name="conll2003"))
    assert [(name, revision) for name, _, revision, _ in hub] == [
        ("conll2003", None),
        ("eriktks/conll2003", "refs/convert/parquet"),
    ]
    assert sum("refs/convert/parquet" in note for note in corpus.notes) == 1
    assert corpus.notes == snapshot


def test_an_error_of_the_hub_is_a_user_error(corpus_settings, hub, tmp_path, snapshot):
    message = error_message(corpus_settings(dataset_name="nobody/nothing"), tmp_path)
    assert "Dataset 'nobody/nothing' doesn't exist" in message  # the Hub's own words
    assert message == snapshot


# --- Names without a corpus --------------------------------------------------------------------


def test_all_missing_files_are_reported_with_suggestions(corpus_settings, tmp_path, snapshot):
    (tmp_path / "train.conll").write_text("EU O\n")
    (tmp_path / "folder").mkdir()
    files = {
        "train_file": (str(tmp_path / "trian.conll"),),
        "validation_file": (str(tmp_path / "nothing*.conll"),),
        "test_file": (str(tmp_path / "folder"),),
    }
    message = error_message(corpus_settings(**files), tmp_path)
    assert "<folder>/train.conll" not in message.split("train.conll")[0]
    assert [line.split()[0] for line in message.split("\n")] == [
        "--train_file",
        "--validation_file",
        "--test_file",
    ]
    assert message == snapshot


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param({}, id="no names"),
        pytest.param({"task_name": "parsing"}, id="unknown task"),
        pytest.param({"dataset_name": "FOLDER/file.conll"}, id="a file instead of a folder"),
        pytest.param({"dataset_name": "FOLDER"}, id="a folder without splits"),
    ],
)
def test_names_that_do_not_lead_to_a_corpus(corpus_settings, tmp_path, snapshot, flags):
    (tmp_path / "file.conll").write_text("EU O\n")
    flags = {flag: value.replace("FOLDER", str(tmp_path)) for flag, value in flags.items()}
    assert error_message(corpus_settings(**flags), tmp_path) == snapshot
