"""What a push sends does not show the folders of this machine."""

import pytest

from results.shareable import shareable, without_folders


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with corpora in a folder of a customer."""
    (tmp_path / "customer x").mkdir()
    for name in ("train.conll", "dev.conll"):
        (tmp_path / "customer x" / name).write_text("")
    (tmp_path / "flags.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/home/anna/data/train.conll", "train.conll"),
        ("~/models/bert/", "bert"),
        ("../../secret/a.csv", "a.csv"),
        ("customer x/train.conll", "train.conll"),
        ("customer x/*.conll", "*.conll"),
        ("--train_file=customer x/train.conll", "--train_file=train.conll"),
        ("--output_dir=/scratch/anna/run", "--output_dir=run"),
        ("clients/acme/out/epoch_0", "epoch_0"),  # deleted meanwhile
        # Not paths of this machine.
        ("google-bert/bert-base-cased", "google-bert/bert-base-cased"),
        ("--hub_model_id=anna/tagger", "--hub_model_id=anna/tagger"),
        ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
        ('{"a": "b/c"}', '{"a": "b/c"}'),
        ("flags.yaml", "flags.yaml"),
        ("--seed=7", "--seed=7"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_words_of_a_command(word, expected):
    assert shareable(word) == expected


def test_arguments_of_any_type():
    assert without_folders(["/a b/c d.conll", "e.conll"]) == ["c d.conll", "e.conll"]
    assert [without_folders(value) for value in (None, 3, 0.5, True)] == [None, 3, 0.5, True]
