"""From settings to splits: figures of real corpora, every format, the cache, memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pytest

import corpus.load
import corpus.words
from corpus.load import load_corpus
from corpus.problems import CorpusError, Place, ProblemKind
from corpus.splits import ORIGIN_FIELDS
from corpus.words import WORD_SPLITTER, installed_splitter
from support.errors import UserError
from tests.helpers.corpora import GOOD, numbered, split_words, tag_lists
from tests.helpers.corpus_files import FORMATS, TRICKY
from tests.helpers.messages import stable
from tests.helpers.script_runs import PRINT_PEAK

NER_CORPORA = os.environ.get("NER_CORPORA")
needs_corpora = pytest.mark.skipif(
    not NER_CORPORA, reason="NER_CORPORA, the folder of real corpora, is not set"
)
exhaustive = pytest.mark.exhaustive

# --- Real corpora -----------------------------------------------------------------------------

WNUT_ENTITIES = {  # from the paper (Derczynski et al. 2017): counts by type in train, dev and test
    "person": (660, 470, 429),
    "location": (548, 74, 150),
    "corporation": (221, 34, 66),
    "product": (142, 114, 127),
    "creative-work": (140, 105, 142),
    "group": (264, 39, 165),
}


def counts(split) -> tuple[int, int]:
    return len(split), sum(map(len, split["tokens"]))


def real(*parts: str) -> tuple[str, ...]:
    return (str(Path(NER_CORPORA, *parts)),)


def notes_on(corpus) -> list[str]:
    return [stable(note, Path(NER_CORPORA)) for note in corpus.notes]


@needs_corpora
def test_wnut17(corpus_settings, snapshot):
    corpus = load_corpus(
        corpus_settings(
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
            sum(sentence.count(f"B-{kind}") for sentence in tag_lists(corpus, split))
            for split in splits
        )
        for kind in WNUT_ENTITIES
    }
    assert entities == WNUT_ENTITIES
    assert notes_on(corpus) == snapshot


@needs_corpora
def test_sec(corpus_settings, snapshot):
    corpus = load_corpus(
        corpus_settings(train_file=real("sec", "FIN5.txt"), validation_file=real("sec", "FIN3.txt"))
    )
    train, validation = corpus.splits["train"], corpus.splits["validation"]
    assert counts(train) == (1164, 41010)
    assert counts(validation) == (303, 13246)
    assert (len(set(train["doc_id"])), len(set(validation["doc_id"]))) == (5, 3)
    assert {name[2:] for name in corpus.label_names if name != "O"} == {"PER", "LOC", "ORG", "MISC"}
    assert notes_on(corpus) == snapshot


@needs_corpora
@pytest.mark.parametrize("column", [None, "xpos"])
def test_english_web_treebank(corpus_settings, column):
    corpus = load_corpus(
        corpus_settings(
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
def test_universal_ner(corpus_settings):
    uner = real("uner-ewt", "en_ewt-ud-dev.iob2")
    corpus = load_corpus(corpus_settings(train_file=uner, validation_file=uner))
    assert counts(corpus.splits["train"]) == (2001, 25149)
    assert corpus.label_names == ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]


@needs_corpora
def test_litbank(corpus_settings):
    """The outer of four layers of entity tags is read; the rows of most files end in a tab."""
    files = tuple(map(str, sorted(Path(NER_CORPORA, "litbank", "tsv").glob("*.tsv"))))
    corpus = load_corpus(corpus_settings(train_file=files, hold_out=False))
    assert counts(corpus.splits["train"]) == (8562, 210532)
    assert {name[2:] for name in corpus.label_names if name != "O"} == {
        *("FAC", "GPE", "LOC", "ORG", "PER", "VEH")
    }
    by_request = load_corpus(
        corpus_settings(train_file=files, hold_out=False, label_column_name="1")
    )
    assert by_request.fingerprint == corpus.fingerprint


# --- From files to splits -----------------------------------------------------------------------


def test_every_format_is_the_same_corpus(corpus_settings, tmp_path):
    fingerprints = set()
    for name, write in FORMATS.items():
        content = write(TRICKY)
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        files = (str(path),)
        corpus = load_corpus(corpus_settings(train_file=files, validation_file=files))
        fingerprints.add(corpus.fingerprint)
        assert split_words(corpus, "train") == [words for words, _ in TRICKY]
        assert tag_lists(corpus, "train") == [sentence_tags for _, sentence_tags in TRICKY]
    assert len(fingerprints) == 1


def test_fingerprints_differ_with_the_content(corpus_settings):
    first = load_corpus(corpus_settings(train_file=GOOD, validation_file=GOOD))
    for changed in (GOOD + "x O\n", GOOD.replace("ORG", "LOC")):
        assert load_corpus(
            corpus_settings(train_file=changed, validation_file=changed)
        ).fingerprint != (first.fingerprint)
    joined = load_corpus(
        corpus_settings(train_file=GOOD.replace("\n\n", "\n"), validation_file=GOOD)
    )
    assert joined.fingerprint != first.fingerprint


def test_the_embedded_corpus(corpus_settings):
    for task, entity_tags in (("ner", True), ("chunk", True)):
        corpus = load_corpus(corpus_settings(sample=True, task_name=task))
        assert list(corpus.splits) == ["train", "validation", "test"]
        assert corpus.entity_tags is entity_tags
        assert corpus.label_names[0] == "O"


def test_a_corpus_of_raw_text_records_the_word_splitter(corpus_settings, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "In Rome.", "spans": [[3, 7, "LOC"]]}\n' * 2)
    assert load_corpus(corpus_settings(train_file=(str(path),))).word_splitter == WORD_SPLITTER
    assert load_corpus(corpus_settings(train_file=GOOD)).word_splitter == WORD_SPLITTER


THAI = '{"text": "นายสมชายทำงานที่กรุงเทพ", "spans": [[3, 8, "PER"], [16, 23, "LOC"]]}\n'


def test_a_corpus_without_spaces_records_its_dictionary(corpus_settings, tmp_path, monkeypatch):
    """With ICU and without: spans lie on words; a corpus of words in Thai needs ICU as well."""
    pytest.importorskip("icu4py")
    path = tmp_path / "a.jsonl"
    path.write_text(THAI * 2, encoding="utf-8")
    settings = corpus_settings(train_file=(str(path),))
    (words,) = split_words(load_corpus(settings), "train")
    assert words == ["นาย", "สมชาย", "ทำงาน", "ที่", "กรุงเทพ"]
    assert load_corpus(settings).word_splitter == installed_splitter() != WORD_SPLITTER
    columns = load_corpus(corpus_settings(train_file="กรุงเทพ B-LOC\n\nไป O\n"))
    assert columns.word_splitter == installed_splitter()
    monkeypatch.setattr(corpus.load, "installed_splitter", lambda: WORD_SPLITTER)
    monkeypatch.setattr(corpus.words, "installed_splitter", lambda: WORD_SPLITTER)
    corpus.words.word_splitter.cache_clear()
    by_character = load_corpus(settings)
    corpus.words.word_splitter.cache_clear()
    assert by_character.word_splitter == WORD_SPLITTER
    assert len(split_words(by_character, "train")[0]) == 20


def test_an_unlabelled_test_split(corpus_settings):
    corpus = load_corpus(corpus_settings(train_file=GOOD, test_file="EU\nrejects\n\nNo\n"))
    assert corpus.splits["test"].column_names == ["tokens", *ORIGIN_FIELDS]
    assert split_words(corpus, "test") == [["EU", "rejects"], ["No"]]


def test_a_test_split_alone(corpus_settings, tmp_path, snapshot):
    corpus = load_corpus(corpus_settings(test_file="EU\nrejects\n"))
    assert list(corpus.splits) == ["test"]
    # The notes do not mention a scheme.
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot


def test_each_sentence_knows_its_file_line_and_record(corpus_settings, tmp_path):
    """In several files and formats, held out or not, and whatever the limit on samples."""
    (tmp_path / "a.conllu").write_text(
        "# newdoc id = news\n# sent_id = s1\n1\tEU\t_\tPROPN\t_\t_\t_\t_\t_\t_\n\n"
        "# sent_id = s2\n1\tBonn\t_\tPROPN\t_\t_\t_\t_\t_\t_\n2\tsaid\t_\tVERB\t_\t_\t_\t_\t_\t_\n"
    )
    rows = [{"id": 70 + n, "doc_id": "d", "tokens": [f"w{n}"], "upos": ["X"]} for n in range(10)]
    (tmp_path / "b.jsonl").write_text("\n" + "".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "c.csv").write_text("sentence_id,token,upos\n5,Rome,PROPN\n5,said,VERB\n9,x,X\n")
    names = [str(tmp_path / name) for name in ("a.conllu", "b.jsonl", "c.csv")]
    expected = {
        ("EU",): Place(names[0], 3, "s1", "news"),
        ("Bonn", "said"): Place(names[0], 6, "s2", "news"),
        **{(f"w{n}",): Place(names[1], n + 2, str(70 + n), "d") for n in range(10)},
        ("Rome", "said"): Place(names[2], 2, "5"),
        ("x",): Place(names[2], 4, "9"),
    }
    settings = corpus_settings(task_name="pos", train_file=tuple(names), max_train_samples=3)
    corpus = load_corpus(settings)
    places = {}
    for split in ("train", "validation"):
        words = map(tuple, split_words(corpus, split))
        places |= dict(zip(words, corpus.places(split), strict=True))
    assert len(places) == 3 + len(corpus.splits["validation"])
    assert places == {words: expected[words] for words in places}
    everything = load_corpus(
        corpus_settings(task_name="pos", train_file=tuple(names), hold_out=False)
    )
    words = map(tuple, split_words(everything, "train"))
    assert dict(zip(words, everything.places("train"), strict=True)) == expected


def test_each_word_knows_its_line(corpus_settings, tmp_path):
    """Lines of CoNLL-U that hold no word lie between those of words; a record has one line."""
    row = "{}\t{}\t_\tX\t_\t_\t_\t_\t_\t_\n".format
    between = row("2-3", "zum")
    (tmp_path / "a.conllu").write_text(
        f"# sent_id = 1\n{row(1, 'geht')}{between}{row(2, 'zu')}{row(3, 'dem')}"
    )
    (tmp_path / "b.conllu").write_text(row(1, "x") + row(2, "y"))
    (tmp_path / "c.jsonl").write_text('\n{"tokens": ["u", "v"], "upos": ["X", "X"]}\n')
    names = tuple(str(tmp_path / name) for name in ("a.conllu", "b.conllu", "c.jsonl"))
    corpus = load_corpus(corpus_settings(task_name="pos", train_file=names, hold_out=False))
    lines = [
        [place.at(word).line for word in range(len(words))]
        for words, place in zip(split_words(corpus, "train"), corpus.places("train"), strict=True)
    ]
    assert lines == [[2, 4, 5], [1, 2], [2, 2]]


def test_nothing_is_held_out_unless_requested(corpus_settings):
    for hold_out, splits in ((False, ["train"]), (True, ["train", "validation"])):
        corpus = load_corpus(corpus_settings(train_file=numbered(20, 0), hold_out=hold_out))
        assert list(corpus.splits) == splits
        assert sum(map(len, corpus.splits.values())) == 20


def test_limits_on_samples_apply_last(corpus_settings):
    flags = {"max_train_samples": 1, "max_eval_samples": 2, "max_predict_samples": 1000}
    corpus = load_corpus(
        corpus_settings(train_file=GOOD, validation_file=GOOD, test_file=GOOD, **flags)
    )
    assert [len(split) for split in corpus.splits.values()] == [1, 2, 3]
    assert "B-PER" in corpus.label_names  # from the second sentence


# --- The cache ----------------------------------------------------------------------------------


def test_an_edited_file_is_read_again(corpus_settings, tmp_path):
    corpus = load_corpus(corpus_settings(train_file=GOOD, validation_file=GOOD))
    path = tmp_path / "train.conll"
    before = path.stat()
    path.write_text(path.read_text().replace("EU", "UN"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time
    flags = {"train_file": (str(path),), "validation_file": (str(tmp_path / "validation.conll"),)}
    edited = load_corpus(corpus_settings(**flags))
    assert edited.splits["train"]["tokens"][0][0] == "UN"
    assert corpus.splits["train"]["tokens"][0][0] == "EU"


def test_the_same_content_is_read_once(corpus_settings, monkeypatch):
    first = load_corpus(corpus_settings(train_file=GOOD))
    monkeypatch.setattr(corpus.load, "read_corpus", None)  # reading again would fail
    again = load_corpus(corpus_settings(train_file=GOOD))
    assert again.notes == first.notes
    assert again.splits["train"]._fingerprint == first.splits["train"]._fingerprint
    with pytest.raises(TypeError):
        load_corpus(corpus_settings(train_file=GOOD, label_column_name="1"))
    with pytest.raises(TypeError):
        load_corpus(corpus_settings(train_file=GOOD, overwrite_cache=True))


def test_a_new_version_of_the_reader_reads_again(corpus_settings, monkeypatch):
    load_corpus(corpus_settings(train_file=GOOD))
    monkeypatch.setattr(corpus.load, "read_corpus", None)
    load_corpus(corpus_settings(train_file=GOOD))
    monkeypatch.setattr(corpus.load, "READER_VERSION", corpus.load.READER_VERSION + 1)
    with pytest.raises(TypeError):
        load_corpus(corpus_settings(train_file=GOOD))


def test_two_simultaneous_runs_keep_one_copy(corpus_settings, monkeypatch):
    read, inner, inode = corpus.load.read_corpus, [], []

    def read_while_another_run_does(settings, *rest):
        if not inner:
            inner.append(None)
            inner[0] = load_corpus(settings)
            file = inner[0].splits["train"].cache_files[0]["filename"]
            inode.append(os.stat(file).st_ino)
        return read(settings, *rest)

    monkeypatch.setattr(corpus.load, "read_corpus", read_while_another_run_does)
    outer = load_corpus(corpus_settings(train_file=GOOD))
    kept = [run.splits["train"].cache_files[0]["filename"] for run in (inner[0], outer)]
    assert os.stat(kept[0]).st_ino == inode[0]  # the first copy stays
    assert kept[0] == kept[1]
    assert split_words(outer, "train") == split_words(inner[0], "train")
    folders = list(Path(kept[0]).parent.parent.iterdir())
    assert folders == [Path(kept[0]).parent]


@pytest.mark.parametrize("name", ["train.arrow", "validation.arrow", "corpus.json"])
@pytest.mark.parametrize("damage", ["truncated", "one byte changed", "empty", "deleted"])
def test_a_damaged_cache_is_read_again(corpus_settings, name, damage):
    settings = corpus_settings(train_file=numbered(40, 0))
    first = load_corpus(settings)
    words = {split: split_words(first, split) for split in first.splits}
    path = Path(first.splits["train"].cache_files[0]["filename"]).with_name(name)
    content = path.read_bytes()
    middle = len(content) // 2
    path.unlink()
    if damage != "deleted":
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"truncated": content[:middle], "empty": b""}.get(damage, changed))
    again = load_corpus(settings)
    assert {split: split_words(again, split) for split in again.splits} == words
    assert (again.notes, again.fingerprint) == (first.notes, first.fingerprint)
    assert path.read_bytes() == content  # the cache is whole again


def test_files_are_synced_before_the_folder_has_its_name(corpus_settings, monkeypatch):
    steps = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: steps.append("sync"))
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda *args: (steps.append("rename"), rename(*args)))
    load_corpus(corpus_settings(train_file=numbered(40, 0)))
    # train, validation, corpus.json, their folder; then the folder of all corpora.
    assert steps == [*["sync"] * 4, "rename", "sync"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_message(corpus_settings, tmp_path, monkeypatch, snapshot):
    """The error is pyarrow's, as it writes a split."""

    def read(*_arguments):
        with pa.OSFile("/dev/full", "wb") as file:
            file.write(b"words")

    monkeypatch.setattr(corpus.load, "read_corpus", read)
    with pytest.raises(UserError) as error:
        load_corpus(corpus_settings(train_file=GOOD))
    assert stable(error.value, tmp_path) == snapshot
    assert list((tmp_path / "cache" / "token-classification").iterdir()) == []


def test_a_broken_corpus_is_never_cached(corpus_settings, tmp_path, snapshot):
    messages = []
    for _ in range(2):
        with pytest.raises(CorpusError) as error:
            load_corpus(corpus_settings(train_file=GOOD + "x\n"))
        (group,) = error.value.problems.groups
        assert (group.kind, group.shown[0].place.line) == (ProblemKind.ROW_WIDTH, 9)
        messages.append(stable(error.value, tmp_path))
    assert messages[0] == messages[1] == snapshot


def test_the_corpus_is_memory_mapped(corpus_settings):
    corpus = load_corpus(corpus_settings(train_file=GOOD))
    assert isinstance(corpus.splits["train"].data, datasets.table.MemoryMappedTable)


def test_a_cache_that_cannot_be_written_is_a_user_error(corpus_settings, tmp_path, snapshot):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="--cache_dir") as error:
        load_corpus(corpus_settings(train_file=GOOD, cache_dir=str(tmp_path / "file")))
    assert stable(error.value, tmp_path) == snapshot


MEMORY = """
import sys
from settings.run_settings import CorpusSettings
from corpus.load import load_corpus
load_corpus(CorpusSettings(train_file=(sys.argv[1],), cache_dir=sys.argv[2]))
"""


@pytest.mark.parametrize(
    "extension",
    ["conll", pytest.param("jsonl", marks=exhaustive), pytest.param("json", marks=exhaustive)],
)
def test_memory_does_not_grow_with_the_corpus(tmp_path, extension):
    words = [f"word{number}" for number in range(100)]
    sentence = {
        "conll": "".join(f"{word}\tO\n" for word in words) + "\n",
        "jsonl": json.dumps({"tokens": words, "ner_tags": ["O"] * 100}) + "\n",
        "json": json.dumps({"tokens": words, "ner_tags": ["O"] * 100}) + ",\n",
    }[extension]
    peaks = []
    for sentences in (1_000, 11_000):
        path = tmp_path / f"{sentences}.{extension}"
        text = sentence * sentences
        path.write_text(f"[{text.rstrip()[:-1]}]" if extension == "json" else text)
        command = [sys.executable, "-c", MEMORY + PRINT_PEAK, str(path), str(tmp_path / "cache")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    # A million more words; as lists of Python strings they would take 60 MB or more.
    assert peaks[1] - peaks[0] < 25_000
