"""Splits as read and as written: places of words, and what is held out for validation."""

import os
import subprocess
import sys

import pytest

from corpus.load import load_corpus
from corpus.problems import CorpusError, Place, ProblemKind
from tests.helpers.corpora import GOOD, numbered, split_words
from tests.helpers.messages import stable


def test_a_problem_names_the_file_it_is_in(corpus_settings, tmp_path, snapshot):
    for name, content in (("a", GOOD), ("b", GOOD + "x b-ORG\n"), ("c", GOOD)):
        (tmp_path / f"{name}.conll").write_text(content)
    with pytest.raises(CorpusError) as error:
        load_corpus(corpus_settings(train_file=(str(tmp_path / "*.conll"),)))
    (group,) = error.value.problems.groups
    assert (group.kind, group.count) == (ProblemKind.NOT_ENTITY_TAG, 1)
    assert group.shown[0].place == Place(str(tmp_path / "b.conll"), 9)
    assert stable(error.value, tmp_path) == snapshot


def test_a_tenth_of_the_sentences_is_held_out(corpus_settings, tmp_path, snapshot):
    corpus = load_corpus(corpus_settings(train_file=numbered(200, 0)))
    train, validation = (corpus.splits[split]["tokens"][:] for split in ("train", "validation"))
    assert (len(train), len(validation)) == (180, 20)
    assert sorted(train + validation) == sorted([[f"w{number}"] for number in range(200)])
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot
    again = load_corpus(corpus_settings(train_file=numbered(200, 0), overwrite_cache=True))
    assert split_words(again, "validation") == validation
    other = load_corpus(corpus_settings(train_file=numbered(200, 0), seed=1))
    assert split_words(other, "validation") != validation


def test_documents_are_held_out_whole(corpus_settings, tmp_path, snapshot):
    corpus = load_corpus(corpus_settings(train_file=numbered(200, 40)))
    train, validation = (set(corpus.splits[split]["doc_id"]) for split in ("train", "validation"))
    assert not train & validation
    assert (len(train), len(validation)) == (36, 4)
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot


def test_equal_sentences_are_held_out_together(corpus_settings, tmp_path, snapshot):
    """Some repeated often, some rarely, one so often that it fits into no tenth."""
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


def test_what_is_held_out_is_the_same_in_another_process(corpus_settings):
    """Hashes of texts differ there."""
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


def test_one_large_document_is_not_taken_for_a_tenth(corpus_settings):
    corpus = load_corpus(corpus_settings(train_file=numbered(40, 2) + "\n-DOCSTART- O\n\nlast O\n"))
    assert split_words(corpus, "validation") == [["last"]]
