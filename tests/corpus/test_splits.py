"""Splits as read: the places of words, and the part held out for validation."""

import os
import subprocess
import sys

import numpy as np
import pytest

import corpus.sources
from corpus.check import check_corpus
from corpus.load import load_corpus
from corpus.problems import CorpusError, Place, ProblemKind, Problems
from corpus.sources import find_sources
from corpus.splits import CorpusTags, PartOfSplit, read_split
from tests.helpers.corpora import GOOD, numbered, split_words
from tests.helpers.messages import stable

# --- Places -------------------------------------------------------------------------------------

CONLLU = """# sent_id = first
1\tEU\t_\tPROPN\t_\t_\t_\t_\t_\t_
2-3\tdoesn't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdoes\t_\tAUX\t_\t_\t_\t_\t_\t_
3\tn't\t_\tPART\t_\t_\t_\t_\t_\t_

# sent_id = second
1\tBonn\t_\tPROPN\t_\t_\t_\t_\t_\t_
"""
COLUMNS = "EU PROPN\ndoes AUX\n\nRome PROPN\n"


@pytest.fixture
def two_sources(corpus_settings, tmp_path):
    """Return a split of two files: one with gaps between word lines, one without."""
    paths = (tmp_path / "a.conllu", tmp_path / "b.conll")
    for path, content in zip(paths, (CONLLU, COLUMNS), strict=True):
        path.write_text(content)
    settings = corpus_settings(task_name="pos", train_file=tuple(map(str, paths)))
    sources = find_sources(settings).by_split["train"]
    return read_split(tmp_path / "raw", sources, CorpusTags(), None, Problems())


def proper_nouns(batch) -> np.ndarray:
    return batch.tag_ids == 0


def test_find_returns_words_with_their_places(two_sources, tmp_path):
    count, words = two_sources.find(proper_nouns, limit=3)
    assert count == 4
    assert [(word.place, word.word, word.tag, word.sentence) for word in words] == [
        (Place(str(tmp_path / "a.conllu"), 2, "first"), "EU", "PROPN", ["EU", "does", "n't"]),
        (Place(str(tmp_path / "a.conllu"), 8, "second"), "Bonn", "PROPN", ["Bonn"]),
        (Place(str(tmp_path / "b.conll"), 1, None), "EU", "PROPN", ["EU", "does"]),
    ]


def test_words_are_located_by_sentence_and_position(two_sources):
    located = two_sources.locate([(0, 2), (1, 0), (2, 1), (3, 0)])
    assert [(word.word, word.place.line) for word in located] == [
        ("n't", 5),
        ("Bonn", 8),
        ("does", 2),
        ("Rome", 4),
    ]
    assert two_sources.locate([]) == []


def test_a_part_of_a_split_has_its_own_counts_and_places(two_sources):
    part = PartOfSplit(two_sources, np.array([False, True, False, True]))
    assert (part.sentences, part.words, part.longest) == (2, 2, 1)
    assert part.tag_counts == {0: 2}
    assert [(word.word, word.place.line) for word in part.locate([(0, 0), (1, 0)])] == [
        ("Bonn", 8),
        ("Rome", 4),
    ]
    assert [word.word for word in part.find(proper_nouns)[1]] == ["Bonn", "Rome"]


def test_a_tag_is_shown_as_its_file_writes_it(corpus_settings, tmp_path):
    """An integer with a name, and a name within spaces."""
    settings = corpus_settings(train_file="EU\t0\nin\t1 \n")
    sources = find_sources(settings).by_split["train"]
    tags = CorpusTags()
    split = read_split(tmp_path / "raw", sources, tags, ["B-ORG", "O"], Problems())
    assert tags.names == ["B-ORG", "O"]
    assert [word.tag for word in split.locate([(0, 0), (0, 1)])] == ["0", "1 "]


@pytest.mark.parametrize("read", [load_corpus, check_corpus])
def test_each_source_is_opened_once(corpus_settings, monkeypatch, read):
    """Stray tags, rare types and shared sentences are still reported with their places."""
    opened = []
    open_file = corpus.sources.read

    def counting(name, *rest):
        opened.append(name)
        return open_file(name, *rest)

    monkeypatch.setattr(corpus.sources, "read", counting)
    settings = corpus_settings(train_file=GOOD, validation_file="EU B-ORG\nin O\nBonn I-PER\n")
    read(settings)
    assert opened == [*settings.train_file, *settings.validation_file]


def test_a_problem_names_the_file_it_is_in(corpus_settings, tmp_path, snapshot):
    for name, content in (("a", GOOD), ("b", GOOD + "x b-ORG\n"), ("c", GOOD)):
        (tmp_path / f"{name}.conll").write_text(content)
    with pytest.raises(CorpusError) as error:
        load_corpus(corpus_settings(train_file=(str(tmp_path / "*.conll"),)))
    (group,) = error.value.problems.groups
    assert (group.kind, group.count) == (ProblemKind.NOT_ENTITY_TAG, 1)
    assert group.shown[0].place == Place(str(tmp_path / "b.conll"), 9)
    assert stable(error.value, tmp_path) == snapshot


# --- Held out for validation ----------------------------------------------------------------------


def test_a_tenth_of_the_sentences_is_held_out(corpus_settings, tmp_path, snapshot):
    corpus = load_corpus(corpus_settings(train_file=numbered(200, 0)))
    train, validation = (corpus.splits[split]["tokens"][:] for split in ("train", "validation"))
    assert (len(train), len(validation)) == (180, 20)
    assert sorted(train + validation) == sorted([[f"w{number}"] for number in range(200)])
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot
    again = load_corpus(corpus_settings(train_file=numbered(200, 0), overwrite_cache=True))
    assert split_words(again, "validation") == validation
    reseeded = load_corpus(corpus_settings(train_file=numbered(200, 0), seed=1))
    assert split_words(reseeded, "validation") != validation


def test_documents_are_held_out_whole(corpus_settings, tmp_path, snapshot):
    corpus = load_corpus(corpus_settings(train_file=numbered(200, 40)))
    train, validation = (set(corpus.splits[split]["doc_id"]) for split in ("train", "validation"))
    assert not train & validation
    assert (len(train), len(validation)) == (36, 4)
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot


def test_equal_sentences_are_held_out_together(corpus_settings, tmp_path, snapshot):
    """Some are repeated often, some rarely, and one too often to fit into a tenth."""
    repeated = [[f"w{number}"] for number in range(100) for _ in range(1 + number % 4)]
    repeated += [["Yes"]] * 60
    text = "\n".join(f"{word} O\n" for (word,) in repeated)
    for seed in range(5):
        corpus = load_corpus(corpus_settings(train_file=text, seed=seed))
        train, validation = (corpus.splits[split]["tokens"][:] for split in ("train", "validation"))
        assert not {*map(tuple, train)} & {*map(tuple, validation)}
        assert sorted(train + validation) == sorted(repeated)
        assert 0 < len(validation) <= 31
        assert len({*map(tuple, validation)}) <= 10
        assert [stable(note, tmp_path) for note in corpus.notes] == snapshot


def test_another_process_holds_out_the_same_sentences(corpus_settings):
    """Hashes of strings differ between processes."""
    settings = corpus_settings(train_file="\n".join(f"w{number % 60} O\n" for number in range(100)))
    here = load_corpus(settings).splits["validation"]["tokens"][:]
    for hash_seed in ("1", "2"):
        command = (
            "import sys; from settings.run_settings import CorpusSettings; "
            "from corpus.load import load_corpus; "
            "print(load_corpus(CorpusSettings(train_file=(sys.argv[1],), cache_dir=sys.argv[2]))"
            ".splits['validation']['tokens'][:])"
        )
        cache = f"{settings.cache_dir}{hash_seed}"
        done = subprocess.run(
            [sys.executable, "-c", command, settings.train_file[0], cache],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        assert done.stdout.strip() == str(here)


def test_a_document_larger_than_a_tenth_is_not_held_out(corpus_settings):
    corpus = load_corpus(corpus_settings(train_file=numbered(40, 2) + "\n-DOCSTART- O\n\nlast O\n"))
    assert split_words(corpus, "validation") == [["last"]]


def test_files_of_several_annotators_are_a_problem(corpus_settings, tmp_path, snapshot):
    text = "Anna\tB-PER\nleft\tO\n\nBob\tB-PER\ncame\tO\nback\tO\n"
    for name, content in {
        "anna": text,
        "bob": text.replace("B-PER", "B-ORG"),
        "copy": text,
        "short": "Anna\tB-LOC\n",
        "other": "Anna\tB-ORG\n",
    }.items():
        (tmp_path / f"{name}.conll").write_text(content)
    names = ("anna", "copy", "short", "other")
    files = tuple(str(tmp_path / f"{name}.conll") for name in names)
    corpus = load_corpus(corpus_settings(train_file=files, hold_out=False))
    assert [note for note in corpus.notes if "read twice" in note]
    files = (*files, str(tmp_path / "bob.conll"))
    with pytest.raises(CorpusError) as error:
        load_corpus(corpus_settings(train_file=files, hold_out=False))
    assert stable(error.value, tmp_path) == snapshot
