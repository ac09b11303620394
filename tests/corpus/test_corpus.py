"""Corpora: real ones counted, every way to name one, splits, labels, the cache, the check."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest

from corpus import labels as corpus_labels
from corpus import load as corpus_module
from corpus.check import check_corpus
from corpus.load import load_corpus
from settings.flags import Arguments
from support.errors import UserError
from tests.corpus.test_readers import FORMATS, TRICKY
from tests.helpers.script_runs import PRINT_PEAK

NER_CORPORA = os.environ.get("NER_CORPORA")
needs_corpora = pytest.mark.skipif(
    not NER_CORPORA, reason="NER_CORPORA, the folder of real corpora, is not set"
)
GOOD = "EU B-ORG\nrejects O\nGerman B-MISC\n\nPeter B-PER\nBlackburn I-PER\n\nBonn B-ORG\n"


@pytest.fixture
def arguments(tmp_path):
    """Arguments with a cache of their own; file flags take text, which is written to files."""

    def make(**flags) -> Arguments:
        for split in ("train", "validation", "test"):
            content = flags.get(f"{split}_file")
            if isinstance(content, str):
                path = tmp_path / f"{split}.conll"
                path.write_text(content, encoding="utf-8")
                flags[f"{split}_file"] = [str(path)]
        return Arguments(**{"cache_dir": str(tmp_path / "cache"), **flags})

    return make


def tags(corpus, split: str) -> list[list[str]]:
    return [[corpus.label_names[i] for i in labels] for labels in corpus.splits[split]["labels"]]


# --- Real corpora -----------------------------------------------------------------------------

WNUT_ENTITIES = {  # of the paper (Derczynski et al. 2017): types in train, dev and test
    "person": (660, 470, 429),
    "location": (548, 74, 150),
    "corporation": (221, 34, 66),
    "product": (142, 114, 127),
    "creative-work": (140, 105, 142),
    "group": (264, 39, 165),
}


def counts(split) -> tuple[int, int]:
    return len(split), sum(map(len, split["tokens"]))


def real(*parts: str) -> list[str]:
    return [str(Path(NER_CORPORA, *parts))]


@needs_corpora
def test_wnut17(arguments):
    corpus = load_corpus(
        arguments(
            train_file=real("wnut17", "wnut17train.conll"),
            validation_file=real("wnut17", "emerging.dev.conll"),
            test_file=real("wnut17", "emerging.test.annotated"),
        )
    )
    splits = ("train", "validation", "test")
    assert [counts(corpus.splits[split]) for split in splits] == [
        (3394, 62730),
        (1009, 15733),
        (1287, 23394),
    ]
    entities = {
        kind: tuple(
            sum(sentence.count(f"B-{kind}") for sentence in tags(corpus, split)) for split in splits
        )
        for kind in WNUT_ENTITIES
    }
    assert entities == WNUT_ENTITIES
    assert "Entity tags in IOB2." in corpus.notes


@needs_corpora
def test_sec(arguments):
    corpus = load_corpus(
        arguments(train_file=real("sec", "FIN5.txt"), validation_file=real("sec", "FIN3.txt"))
    )
    train, validation = corpus.splits["train"], corpus.splits["validation"]
    assert counts(train) == (1164, 41010)
    assert counts(validation) == (303, 13246)
    assert (len(set(train["doc_id"])), len(set(validation["doc_id"]))) == (5, 3)
    assert {name[2:] for name in corpus.label_names if name != "O"} == {"PER", "LOC", "ORG", "MISC"}
    assert any(note.startswith("Entity tags in IO (or IOB1") for note in corpus.notes)


@needs_corpora
@pytest.mark.parametrize("column", [None, "xpos"])
def test_english_web_treebank(arguments, column):
    corpus = load_corpus(
        arguments(
            task_name="pos",
            label_column_name=column,
            train_file=real("ewt", "en_ewt-ud-dev.conllu"),
            test_file=real("ewt", "en_ewt-ud-test.conllu"),
            validation_file=real("ewt", "en_ewt-ud-dev.conllu"),
        )
    )
    assert counts(corpus.splits["train"]) == (2001, 25147)
    assert counts(corpus.splits["test"]) == (2077, 25094)
    assert not corpus.entity_tags
    assert ("NNP" if column else "PROPN") in corpus.label_names


@needs_corpora
def test_universal_ner(arguments):
    uner = real("uner-ewt", "en_ewt-ud-dev.iob2")
    corpus = load_corpus(arguments(train_file=uner, validation_file=uner))
    assert counts(corpus.splits["train"]) == (2001, 25149)
    assert corpus.label_names == ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]


# --- Ways to name a corpus ----------------------------------------------------------------------


def test_every_format_is_the_same_corpus(arguments, tmp_path):
    fingerprints = set()
    for name, write in FORMATS.items():
        content = write(TRICKY)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        files = [str(path)]
        corpus = load_corpus(arguments(train_file=files, validation_file=files))
        fingerprints.add(corpus.fingerprint)
        assert corpus.splits["train"]["tokens"][:] == [words for words, _ in TRICKY]
        assert tags(corpus, "train") == [sentence_tags for _, sentence_tags in TRICKY]
    assert len(fingerprints) == 1


def test_fingerprints_differ_with_the_content(arguments):
    first = load_corpus(arguments(train_file=GOOD, validation_file=GOOD))
    for other in (GOOD.replace("EU", "E U".replace(" ", "")) + "x O\n", GOOD.replace("ORG", "LOC")):
        assert load_corpus(arguments(train_file=other, validation_file=other)).fingerprint != (
            first.fingerprint
        )
    joined = load_corpus(arguments(train_file=GOOD.replace("\n\n", "\n"), validation_file=GOOD))
    assert joined.fingerprint != first.fingerprint


def test_the_embedded_corpus(arguments):
    for task, entity_tags in (("ner", True), ("chunk", True)):
        corpus = load_corpus(arguments(sample=True, task_name=task))
        assert list(corpus.splits) == ["train", "validation", "test"]
        assert corpus.entity_tags is entity_tags
        assert corpus.label_names[0] == "O"


def test_globs_and_several_files(arguments, tmp_path):
    for number in range(3):
        (tmp_path / f"part{number}.conll").write_text(f"word{number} O\n")
    (tmp_path / "dev.conll").write_text("EU O\n")
    flags = {"validation_file": [str(tmp_path / "dev.conll")]}
    corpus = load_corpus(arguments(train_file=[str(tmp_path / "part*.conll")], **flags))
    assert corpus.splits["train"]["tokens"][:] == [["word0"], ["word1"], ["word2"]]
    two = [str(tmp_path / "part2.conll"), str(tmp_path / "part0.conll")]
    corpus = load_corpus(arguments(train_file=two, **flags))
    assert corpus.splits["train"]["tokens"][:] == [["word2"], ["word0"]]


def test_a_problem_names_the_file_it_is_in(arguments, tmp_path):
    for name, content in (("a", GOOD), ("b", GOOD + "x b-ORG\n"), ("c", GOOD)):
        (tmp_path / f"{name}.conll").write_text(content)
    with pytest.raises(UserError, match=r"no entity tags:\n  \S*/b\.conll:9: 'b-ORG'"):
        load_corpus(arguments(train_file=[str(tmp_path / "*.conll")]))


@pytest.mark.parametrize(
    "names",
    [
        ("train.conll", "dev.conll", "test.conll"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("data/train-00000-of-00001.txt", "data/validation-00000-of-00001.txt", "data/test-0.txt"),
        ("train/a.conll", "valid/a.conll", "test/a.conll"),
    ],
)
def test_a_folder_of_split_files(arguments, tmp_path, names):
    for name, word in zip(names, ("one", "two", "three"), strict=True):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{word} O\n")
    (tmp_path / "corpus" / "README.md").write_text("how to train")
    corpus = load_corpus(arguments(dataset_name=str(tmp_path / "corpus")))
    words = {split: found["tokens"][0][0] for split, found in corpus.splits.items()}
    assert words == {"train": "one", "validation": "two", "test": "three"}


def test_a_folder_with_two_formats_of_a_split_is_refused(arguments, tmp_path):
    for name in ("train.conll", "train.jsonl"):
        (tmp_path / name).write_text("EU O\n")
    with pytest.raises(
        UserError, match=r"several formats of one split: train\.conll, train\.jsonl"
    ):
        load_corpus(arguments(dataset_name=str(tmp_path)))


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


def test_a_folder_saved_by_datasets(arguments, tmp_path, dataset_dict):
    dataset_dict.save_to_disk(tmp_path / "saved")
    corpus = load_corpus(arguments(dataset_name=str(tmp_path / "saved")))
    assert tags(corpus, "train") == [["B-PER", "I-PER"], ["O"]]
    corpus = load_corpus(arguments(dataset_name=str(tmp_path / "saved"), task_name="pos"))
    assert tags(corpus, "validation") == [["NOUN", "NOUN"], ["VERB"]]


@pytest.fixture
def hub(monkeypatch, tmp_path, dataset_dict):
    """A Hub with one data set: `load_dataset` as `datasets` has it, of parquet files."""
    for split, dataset in dataset_dict.items():
        dataset.to_parquet(tmp_path / "hub" / f"{split}.parquet")
    asked = []
    real_load = datasets.load_dataset

    def load(name, config=None, *, revision=None, cache_dir=None, token=None):
        asked.append((name, config, revision, token))
        if name == "conll2003" and revision is None:
            raise RuntimeError("Dataset scripts are no longer supported, but found conll2003.py")
        if name == "nobody/nothing":
            raise datasets.exceptions.DatasetNotFoundError("Dataset 'nobody/nothing' doesn't exist")
        return real_load(str(tmp_path / "hub"), cache_dir=str(tmp_path / "hub-cache"))

    monkeypatch.setattr(datasets, "load_dataset", load)
    return asked


def test_a_data_set_of_the_hub(arguments, hub):
    corpus = load_corpus(
        arguments(
            dataset_name="someone/corpus",
            dataset_config_name="en",
            dataset_revision="v1",
            hub_token="hf_secret",
        )
    )
    assert hub == [("someone/corpus", "en", "v1", "hf_secret")]
    assert corpus.name == "someone/corpus"
    assert corpus.label_names == ["O", "B-PER", "I-PER"]
    assert tags(corpus, "validation") == [["B-PER", "I-PER"], ["O"]]


def test_a_script_on_the_hub_is_read_from_its_parquet_copy(arguments, hub, monkeypatch):
    moved = SimpleNamespace(id="eriktks/conll2003")
    monkeypatch.setattr("corpus.load.HfApi.dataset_info", lambda api, name: moved)
    corpus = load_corpus(arguments(dataset_name="conll2003"))
    assert [(name, revision) for name, _, revision, _ in hub] == [
        ("conll2003", None),
        ("eriktks/conll2003", "refs/convert/parquet"),
    ]
    notes = [
        note for note in corpus.notes if "parquet copy at revision refs/convert/parquet" in note
    ]
    assert len(notes) == 1


def test_what_the_hub_says_no_to_is_a_user_s_error(arguments, hub):
    with pytest.raises(UserError, match="nobody/nothing: Dataset 'nobody/nothing' doesn't"):
        load_corpus(arguments(dataset_name="nobody/nothing"))


# --- Labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label_names",
    [["O", "B-PER", "I-PER"], "O\nB-PER\nI-PER\n", '["O", "B-PER", "I-PER"]',
     '{"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}'],
)  # fmt: skip
@pytest.mark.parametrize(
    "content", ['{"tokens": ["Al", "B"], "ner_tags": [1, 2]}\n' * 2, "Al 1\nB 2\n\n" * 2]
)
def test_integers_with_names(arguments, tmp_path, label_names, content):
    if isinstance(label_names, str):
        (tmp_path / "labels.txt").write_text(label_names)
        label_names = [str(tmp_path / "labels.txt")]
    corpus = load_corpus(arguments(train_file=content, label_names=label_names))
    assert tags(corpus, "train") == [["B-PER", "I-PER"]]


def test_names_that_are_declared_belong_to_the_labels(arguments):
    names = ["O", "B-PER", "I-PER", "B-ORG", "B-MISC", "B-LOC"]
    corpus = load_corpus(arguments(train_file=GOOD, label_names=names))
    assert {"B-LOC", "I-LOC"} <= set(corpus.label_names)


def test_a_declared_label_may_be_missing_from_training(arguments):
    flags = {"train_file": GOOD, "validation_file": "Rome B-LOC\n"}
    with pytest.raises(UserError, match="labels of the validation split that training lacks"):
        load_corpus(arguments(**flags))
    names = ["O", "B-PER", "B-ORG", "B-MISC", "B-LOC"]
    corpus = load_corpus(arguments(**flags, label_names=names))
    assert tags(corpus, "validation") == [["B-LOC"]]


def test_a_test_split_may_have_labels_of_its_own(arguments):
    corpus = load_corpus(arguments(train_file=GOOD, validation_file=GOOD, test_file="Rome B-LOC\n"))
    assert tags(corpus, "test") == [["B-LOC"]]
    assert any(
        note.startswith("Labels of the test split that training lacks: 1") for note in corpus.notes
    )


def test_plain_tags(arguments):
    corpus = load_corpus(arguments(task_name="pos", train_file="A DET\ndog NOUN\n\nruns VERB\n"))
    assert corpus.label_names == ["DET", "NOUN", "VERB"]
    assert not corpus.entity_tags


def test_bare_types_are_plain_unless_the_scheme_is_io(arguments):
    content = "New LOC\nYork LOC\nis O\n\nAnna PER\n"
    plain = load_corpus(arguments(train_file=content, validation_file=content))
    assert not plain.entity_tags
    assert plain.label_names == ["O", "LOC", "PER"]
    flags = {"train_file": content, "validation_file": content, "tag_scheme": "io"}
    entities = load_corpus(arguments(**flags))
    assert tags(entities, "train") == [["B-LOC", "I-LOC", "O"], ["B-PER"]]


def test_the_scheme_is_that_of_all_splits_together(arguments):
    only_i, with_b = "EU I-ORG\nin O\n\nBonn I-ORG\n", "EU I-ORG\nUN B-ORG\n"
    corpus = load_corpus(arguments(train_file=only_i, validation_file=with_b))
    assert "Entity tags in IOB1, converted to IOB2." in corpus.notes
    assert tags(corpus, "validation") == [["B-ORG", "B-ORG"]]


def test_strays_are_reported_and_read_as_conlleval_reads_them(arguments):
    content = "EU B-ORG\nin O\nBonn I-LOC\n\nUN B-ORG\n"
    corpus = load_corpus(arguments(train_file=content, validation_file=content))
    assert tags(corpus, "train")[0] == ["B-ORG", "O", "B-LOC"]
    strays = [note for note in corpus.notes if note.startswith("Tags out of place in IOB2")]
    assert len(strays) == 1
    assert "train.conll:3: 'I-LOC' of 'Bonn'" in strays[0]


def test_raw_text_names_the_splitter(arguments, tmp_path):
    from corpus.words import WORD_SPLITTER

    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "In Rome.", "spans": [[3, 7, "LOC"]]}\n' * 2)
    assert load_corpus(arguments(train_file=[str(path)])).word_splitter == WORD_SPLITTER
    assert load_corpus(arguments(train_file=GOOD)).word_splitter is None


def test_an_unlabelled_test_split(arguments):
    corpus = load_corpus(arguments(train_file=GOOD, test_file="EU\nrejects\n\nNo\n"))
    assert corpus.splits["test"].column_names == ["tokens"]
    assert corpus.splits["test"]["tokens"][:] == [["EU", "rejects"], ["No"]]


def test_a_test_split_alone(arguments):
    corpus = load_corpus(arguments(test_file="EU\nrejects\n"))
    assert list(corpus.splits) == ["test"]
    assert not any("tags in" in note and "IOB2" in note for note in corpus.notes)


# --- No validation split ------------------------------------------------------------------------


def numbered(sentences: int, documents: int) -> str:
    lines = []
    for number in range(sentences):
        if documents and number % (sentences // documents) == 0:
            lines.append("-DOCSTART- O\n")
        lines.append(f"w{number} O\n")
    return "\n".join(lines)


def test_nothing_is_held_out_where_no_epoch_is_scored(arguments):
    for flags, splits in (
        ({"do_train": True}, ["train"]),
        ({"do_train": True, "do_eval": True}, ["train", "validation"]),
        ({}, ["train", "validation"]),
    ):
        corpus = load_corpus(arguments(train_file=numbered(20, 0), **flags))
        assert list(corpus.splits) == splits
        assert sum(map(len, corpus.splits.values())) == 20


def test_a_tenth_of_the_sentences_is_held_out(arguments):
    corpus = load_corpus(arguments(train_file=numbered(200, 0)))
    train, validation = (corpus.splits[split]["tokens"][:] for split in ("train", "validation"))
    assert (len(train), len(validation)) == (180, 20)
    assert sorted(train + validation) == sorted([[f"w{number}"] for number in range(200)])
    assert any("20 of 200 training sentences are held out" in note for note in corpus.notes)
    again = load_corpus(arguments(train_file=numbered(200, 0), overwrite_cache=True))
    assert again.splits["validation"]["tokens"][:] == validation
    other = load_corpus(arguments(train_file=numbered(200, 0), seed=1))
    assert other.splits["validation"]["tokens"][:] != validation


def test_documents_are_held_out_whole(arguments):
    corpus = load_corpus(arguments(train_file=numbered(200, 40)))
    train, validation = (set(corpus.splits[split]["doc_id"]) for split in ("train", "validation"))
    assert not train & validation
    assert (len(train), len(validation)) == (36, 4)


def test_equal_sentences_are_held_out_together(arguments):
    """Some repeated often, some rarely, one so often that it fits into no tenth."""
    repeated = [[f"w{number}"] for number in range(100) for _ in range(1 + number % 4)]
    repeated += [["Yes"]] * 60
    text = "\n".join(f"{word} O\n" for (word,) in repeated)
    for seed in range(5):
        corpus = load_corpus(arguments(train_file=text, seed=seed))
        train, validation = (corpus.splits[split]["tokens"][:] for split in ("train", "validation"))
        assert not {*map(tuple, train)} & {*map(tuple, validation)}
        assert sorted(train + validation) == sorted(repeated)
        assert 0 < len(validation) <= 31
        assert len({*map(tuple, validation)}) <= 10
        (note,) = (note for note in corpus.notes if "held out" in note)
        assert f"(chosen by sentence, equal ones together, seed {seed})" in note


def test_what_is_held_out_is_the_same_in_another_process(arguments):
    """Texts have other hashes there."""
    args = arguments(train_file="\n".join(f"w{number % 60} O\n" for number in range(100)))
    here = load_corpus(args).splits["validation"]["tokens"][:]
    for hash_seed in ("1", "2"):
        command = (
            "import sys; from settings.flags import Arguments; "
            "from corpus.load import load_corpus; "
            "print(load_corpus(Arguments(train_file=sys.argv[1:2], cache_dir=sys.argv[2]))"
            ".splits['validation']['tokens'][:])"
        )
        cache = f"{args.cache_dir}{hash_seed}"
        done = subprocess.run(
            [sys.executable, "-c", command, args.train_file[0], cache],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert done.stdout.strip() == str(here)


def test_one_large_document_is_not_taken_for_a_tenth(arguments):
    corpus = load_corpus(arguments(train_file=numbered(40, 2) + "\n-DOCSTART- O\n\nlast O\n"))
    assert corpus.splits["validation"]["tokens"][:] == [["last"]]


def test_samples_are_limited_last(arguments):
    flags = {"max_train_samples": 1, "max_eval_samples": 2, "max_predict_samples": 1000}
    corpus = load_corpus(arguments(train_file=GOOD, validation_file=GOOD, test_file=GOOD, **flags))
    assert [len(split) for split in corpus.splits.values()] == [1, 2, 3]
    assert "B-PER" in corpus.label_names  # of the second sentence


# --- Kept by content --------------------------------------------------------------------------


def test_an_edited_file_is_read_anew(arguments, tmp_path):
    corpus = load_corpus(arguments(train_file=GOOD, validation_file=GOOD))
    path = tmp_path / "train.conll"
    before = path.stat()
    path.write_text(path.read_text().replace("EU", "UN"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time
    flags = {"train_file": [str(path)], "validation_file": [str(tmp_path / "validation.conll")]}
    edited = load_corpus(arguments(**flags))
    assert edited.splits["train"]["tokens"][0][0] == "UN"
    assert corpus.splits["train"]["tokens"][0][0] == "EU"


def test_the_same_content_is_read_once(arguments, monkeypatch):
    first = load_corpus(arguments(train_file=GOOD))
    monkeypatch.setattr(corpus_module, "read_corpus", None)  # reading again would fail
    again = load_corpus(arguments(train_file=GOOD))
    assert again.notes == first.notes
    assert again.splits["train"]._fingerprint == first.splits["train"]._fingerprint
    with pytest.raises(TypeError):
        load_corpus(arguments(train_file=GOOD, label_column_name="1"))
    with pytest.raises(TypeError):
        load_corpus(arguments(train_file=GOOD, overwrite_cache=True))


def test_two_runs_at_the_same_time_keep_one(arguments, monkeypatch):
    read, inner, inode = corpus_module.read_corpus, [], []

    def read_while_another_run_does(args, *rest):
        if not inner:
            inner.append(None)
            inner[0] = load_corpus(args)
            file = inner[0].splits["train"].cache_files[0]["filename"]
            inode.append(os.stat(file).st_ino)
        return read(args, *rest)

    monkeypatch.setattr(corpus_module, "read_corpus", read_while_another_run_does)
    outer = load_corpus(arguments(train_file=GOOD))
    kept = [corpus.splits["train"].cache_files[0]["filename"] for corpus in (inner[0], outer)]
    assert os.stat(kept[0]).st_ino == inode[0]  # the first to be there stays
    assert kept[0] == kept[1]
    assert outer.splits["train"]["tokens"][:] == inner[0].splits["train"]["tokens"][:]
    folders = list(Path(kept[0]).parent.parent.iterdir())
    assert folders == [Path(kept[0]).parent]


def test_a_broken_corpus_is_never_kept(arguments):
    for _ in range(2):
        with pytest.raises(UserError, match="rows of another width"):
            load_corpus(arguments(train_file=GOOD + "x\n"))


def test_the_corpus_is_memory_mapped(arguments):
    corpus = load_corpus(arguments(train_file=GOOD))
    assert isinstance(corpus.splits["train"].data, datasets.table.MemoryMappedTable)


def test_a_cache_that_cannot_be_written_is_a_user_s_error(arguments, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--cache_dir names another place"):
        load_corpus(arguments(train_file=GOOD, cache_dir=str(tmp_path / "file")))


MEMORY = """
import sys
from arguments import Arguments
from corpus import load_corpus
load_corpus(Arguments(train_file=[sys.argv[1]], cache_dir=sys.argv[2]))
"""


exhaustive = pytest.mark.exhaustive


@pytest.mark.parametrize(
    "ending",
    ["conll", pytest.param("jsonl", marks=exhaustive), pytest.param("json", marks=exhaustive)],
)
def test_memory_does_not_grow_with_the_corpus(tmp_path, ending):
    words = [f"word{number}" for number in range(100)]
    one = {
        "conll": "".join(f"{word}\tO\n" for word in words) + "\n",
        "jsonl": json.dumps({"tokens": words, "ner_tags": ["O"] * 100}) + "\n",
        "json": json.dumps({"tokens": words, "ner_tags": ["O"] * 100}) + ",\n",
    }[ending]
    peaks = []
    for sentences in (1_000, 11_000):
        path = tmp_path / f"{sentences}.{ending}"
        text = one * sentences
        path.write_text(f"[{text.rstrip()[:-1]}]" if ending == "json" else text)
        command = [sys.executable, "-c", MEMORY + PRINT_PEAK, str(path), str(tmp_path / "cache")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    # A million words more; as lists of Python strings they would be 60 MB and more.
    assert peaks[1] - peaks[0] < 25_000


# --- --check ----------------------------------------------------------------------------------


def test_the_check_counts(arguments, tiny_encoder):
    from transformers import AutoTokenizer

    test = "rejects O\n\x07 O\nla O\n☃ O\nEU B-ORG\n\nEU B-ORG\nrejects O\nGerman B-MISC\n"
    args = arguments(
        train_file="-DOCSTART- O\n\n" + GOOD,
        validation_file="\tO\nEU\tB-ORG\nBonn\tI-PER\n",
        test_file=test,
    )
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    text, would_start = check_corpus(args, tokenizer, max_seq_length=5)
    lines = [
        " ".join(line.split())
        for line in text.replace(f"{args.train_file[0][:-11]}", "").split("\n")
    ]
    assert would_start
    assert lines[-1] == "The corpus can be trained on."
    for expected in (
        "split sentences words documents longest words beyond one window",
        "train 3 6 1 3 16.67 % of 3 sub-words",  # Bl ##a ##c ... : one word is not whole
        "longest sentence: 5 words, test.conll:1",
        "entities by type train validation test",
        "MISC 1 0 1",
        "ORG 2 1 2",
        "PER 1 1 0",
        "Tags out of place in IOB2, read as conlleval reads them:".lower(),
        "validation.conll:3: 'I-PER' of 'Bonn'",
        "empty words:",
        "validation.conll:1: an empty word, tag 'O'",
        "words that the tokenizer has no piece for (3):",
        "test.conll:4: '☃'",
        "sentences of the test split that stand in the train split too:",
        "test.conll:7: 'EU rejects German'",
    ):
        assert expected in [line.lower() if "out of place" in line else line for line in lines], (
            expected
        )


def squeezed(text: str, folder) -> list[str]:
    return [" ".join(line.split()) for line in text.replace(f"{folder}/", "").split("\n")]


def test_the_check_groups_what_has_no_piece_by_word(arguments, tiny_encoder, tmp_path):
    from transformers import AutoTokenizer

    args = arguments(
        train_file="EU B-ORG\n\n☃ O\nin O\n☃ O\n\n" + 30 * "☃ O\n",
        validation_file="EU B-ORG\n☂ O\n☃ O\n\n" + 40 * "☂ O\n",
    )
    text, _ = check_corpus(args, AutoTokenizer.from_pretrained(tiny_encoder))
    lines = squeezed(text, tmp_path)
    first = lines.index("words that the tokenizer has no piece for (2):")
    assert lines[first + 1 : first + 4] == [
        "validation.conll:2: '☂', 41 times",
        "train.conll:3: '☃', 33 times",
        "",
    ]


def test_the_check_shows_the_held_out_split_and_what_it_shares(arguments, tmp_path):
    document = "-DOCSTART- O\n\nReuters B-ORG\n\n"
    text = "".join(f"{document}w{number} O\nin O\n\n" for number in range(20))
    args = arguments(train_file=text, test_file="w7 O\nin O\n")
    report, without_fault = check_corpus(args)
    assert without_fault
    lines = squeezed(report, tmp_path)
    held_out = load_corpus(args).splits["validation"]
    assert len(held_out) == 4
    for expected in (
        "train 36 54 18 2",
        "validation 4 6 2 2",
        "test 1 2 0 2",
        "entities by type train validation test",
        "ORG 18 2 0",
    ):
        assert expected in lines, expected
    first = lines.index("sentences of the validation split that stand in the train split too (2):")
    # Each document has seven lines, the third of which is the sentence that they share.
    documents = sorted(int(name[1:]) for (name, *_) in held_out["tokens"] if name != "Reuters")
    assert lines[first + 1 : first + 3] == [
        f"train.conll:{7 * number + 3}: 'Reuters'" for number in documents
    ]


def test_the_check_of_sentences_repeated_more_than_a_tenth(arguments, tmp_path):
    """They cannot all stand on one side: then it is said."""
    text = 10 * "EU B-ORG\n\nin O\nit O\n\n"
    lines = squeezed(check_corpus(arguments(train_file=text))[0], tmp_path)
    assert any(line.startswith("train 18 ") for line in lines)
    assert any(line.startswith("validation 2 ") for line in lines)
    assert "sentences of the validation split that stand in the train split too (2):" in lines
    assert not any("equal ones together" in line for line in lines)


def words_of_types(**counts) -> str:
    return "".join(f"x B-{kind}\nin O\n\n" for kind, n in counts.items() for _ in range(n))


def test_the_check_tells_of_a_corpus_without_an_entity(arguments):
    report, without_fault = check_corpus(arguments(train_file="EU O\nrejects O\n\nit O\n"))
    assert without_fault and "no entity to learn from" in report
    assert "no entity" not in check_corpus(arguments(train_file=GOOD))[0]


def test_the_check_names_a_misspelt_type_of_training(arguments, tmp_path):
    args = arguments(train_file=words_of_types(PER=200, PRE=1, per=2, ORG=150, OGR=3))
    report, without_fault = check_corpus(args)
    assert without_fault
    lines = squeezed(report.split("Worth a look")[1], tmp_path)
    first = lines.index("entity types that are very rare and almost spelt like another (6):")
    assert lines[first + 1 : first + 8] == [
        *(f"train.conll:{3 * n + 1}: 'B-OGR' of 'x'; perhaps B-ORG" for n in (353, 354, 355)),
        "train.conll:601: 'B-PRE' of 'x'; perhaps B-PER",
        *(f"train.conll:{3 * n + 1}: 'B-per' of 'x'; perhaps B-PER" for n in (201, 202)),
        "expected: a type as it is spelt elsewhere; --label_names declares others",
    ]
    assert any("'B-OGR' of 'x'; perhaps B-ORG" in note for note in load_corpus(args).notes)


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        pytest.param(words_of_types(PER=100, PRE=3), {}, id="not so rare beside the other"),
        pytest.param(words_of_types(PER=1000, PRE=4), {}, id="more than a slip or two"),
        pytest.param(words_of_types(PER=1000, PRQ=1, LOC=1), {}, id="two letters"),
        pytest.param(words_of_types(ENT1=1000, ENT2=1, ENT=1), {}, id="numbered types"),
        pytest.param(words_of_types(NP=1000, VP=1, PP=1), {"task_name": "chunk"}, id="chunks"),
        pytest.param(
            200 * "x NN\n" + "\nx NNS\n" + 200 * "x PRP\n" + "x PRP$\n",
            {"task_name": "pos"},
            id="parts of speech",
        ),
        pytest.param(
            words_of_types(PER=200, PET=1),
            {"label_names": ["O", "B-PER", "I-PER", "B-PET", "I-PET"]},
            id="declared",
        ),
    ],
)
def test_the_check_takes_no_type_for_misspelt_that_may_be_meant(arguments, content, flags):
    report, without_fault = check_corpus(arguments(train_file=content, **flags))
    assert without_fault
    assert "almost spelt like" not in report


def test_the_check_names_a_misspelt_type_without_prefixes(arguments):
    text = 200 * "x PER\nin O\n\n" + "x PRE\n"
    report, _ = check_corpus(arguments(train_file=text, tag_scheme="io"))
    assert "'PRE' of 'x'; perhaps PER" in report


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("PER", "PER", False),
        ("PRE", "PER", True),
        ("PR", "PER", True),
        ("PERR", "PER", True),
        ("PEX", "PER", True),
        ("XER", "PER", True),
        ("", "P", True),
        ("REP", "PER", False),
        ("P", "PER", False),
        ("ERP", "PER", False),
        ("LOCATOIN", "LOCATION", True),
        ("LCOATOIN", "LOCATION", False),
    ],
)
def test_one_edit_apart_by_hand(one, other, apart):
    assert corpus_labels.one_edit_apart(one, other) == apart
    assert corpus_labels.one_edit_apart(other, one) == apart


def test_the_check_of_a_test_split_alone_does_not_speak_of_training(arguments):
    report, without_fault = check_corpus(arguments(test_file=GOOD))
    assert without_fault
    assert report.endswith("The corpus has no training split; nothing is wrong with it.")


def test_the_check_needs_no_tokenizer_and_keeps_nothing(arguments, tmp_path):
    text, would_start = check_corpus(arguments(train_file=GOOD))
    assert would_start
    assert "sub-words" not in text
    assert "held out" in text
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_the_check_tells_figures_and_problems_together(arguments):
    text, would_start = check_corpus(arguments(train_file=20 * GOOD + 30 * "x\n"))
    assert not would_start
    assert "rows of another width (30):" in text
    assert "  ... and 10 more" in text
    assert "train" in text.split("To be mended")[0]
