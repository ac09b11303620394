"""The embedded corpus is well-formed and reproducible, and its splits share nothing."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"
sys.path.insert(0, str(DATA))

import make_sample  # noqa: E402

from corpus.words import split_words  # noqa: E402

SPLITS = ("train", "validation", "test")
ENTITY_TYPES = {"PER", "ORG", "LOC", "MISC"}
CHUNK_TYPES = {"ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP"}
NOT_IN_DATA = ("syl" + "vain", "hug" + "ging")


def read(split):
    """Return the documents of a split: sentences, each a list of (word, pos, chunk, entity)."""
    documents, sentence = [], []
    text = (DATA / "sample" / f"{split}.conll").read_text(encoding="utf-8")
    assert text.startswith("-DOCSTART-") and text.endswith("\n\n")
    for line in text.splitlines():
        if line.startswith("-DOCSTART-"):
            assert line == "-DOCSTART- -X- -X- O"
            documents.append([])
        elif line:
            row = tuple(line.split(" "))
            assert len(row) == 4 and all(row), line
            sentence.append(row)
        elif sentence:
            documents[-1].append(sentence)
            sentence = []
    return documents


def sentences(split):
    return [sentence for document in read(split) for sentence in document]


def entities(sentence):
    """Return (type, text) of each entity of a sentence."""
    open_entities = []
    for word, _, _, tag in sentence:
        if tag.startswith("B-"):
            open_entities.append((tag[2:], [word]))
        elif tag.startswith("I-"):
            open_entities[-1][1].append(word)
    return [(kind, " ".join(words)) for kind, words in open_entities]


def invalid_iob2(tags, types):
    """Return the first unknown tag or illegal transition, else None."""
    previous = "O"
    for tag in tags:
        prefix, _, kind = tag.partition("-")
        if tag != "O" and (prefix not in ("B", "I") or kind not in types):
            return tag
        if prefix == "I" and previous[2:] != kind:
            return f"{previous} {tag}"
        previous = tag
    return None


@pytest.mark.parametrize("split", SPLITS)
def test_tags_are_those_of_conll_2003(split):
    for sentence in sentences(split):
        _, tags, chunks, entity_tags = zip(*sentence, strict=True)
        assert set(tags) <= make_sample.POS_TAGS, sentence
        assert invalid_iob2(chunks, CHUNK_TYPES) is None, sentence
        assert invalid_iob2(entity_tags, ENTITY_TYPES) is None, sentence


@pytest.mark.parametrize(
    ("split", "minimum"), [("train", 3700), ("validation", 400), ("test", 400)]
)
def test_counts(split, minimum):
    documents = read(split)
    count = sum(map(len, documents))
    assert minimum <= count < minimum + 20
    assert all(documents)
    kinds = [kind for s in sentences(split) for kind, _ in entities(s)]
    assert all(kinds.count(kind) >= minimum // 12 for kind in ENTITY_TYPES), kinds
    assert sum(not entities(s) for s in sentences(split)) >= minimum // 10


def test_regenerating_gives_the_same_bytes(tmp_path):
    make_sample.main(tmp_path)
    for split in SPLITS:
        name = f"{split}.conll"
        assert (tmp_path / name).read_bytes() == (DATA / "sample" / name).read_bytes()


def test_long_sentences_are_unique():
    texts = [" ".join(row[0] for row in s).lower() for split in SPLITS for s in sentences(split)]
    repeated = {t for t, n in Counter(texts).items() if n > 1 and len(t.split()) > 7}
    assert not repeated


def frames(split):
    """Return the frames of a split without parts of speech, with slots and names blanked."""
    blanked = set()
    for _, lines in make_sample.read_frames(split):
        for line in lines:
            line = re.sub(r"\[(PER|ORG|LOC|MISC) [^\]]+\]|\{[^}]+\}", "_", line)
            blanked.add(re.sub(r"/[A-Z$]+(?= |$)", "", line).lower())
    return blanked


@pytest.mark.parametrize("split", ["validation", "test"])
def test_no_frame_is_shared_with_training(split):
    def has_two_words(frame):
        return len(re.findall(r"[a-z]{2,}", frame)) > 1

    assert not {f for f in frames(split) & frames("train") if has_two_words(f)}


def test_no_frame_is_shared_between_validation_and_test():
    shared = frames("validation") & frames("test")
    assert not {frame for frame in shared if len(re.findall(r"[a-z]{2,}", frame)) > 1}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_no_name_occurs_in_training(split):
    training = {text.lower() for s in sentences("train") for _, text in entities(s)}
    names = {text.lower() for s in sentences(split) for _, text in entities(s)}
    assert not names & training


@pytest.mark.parametrize(
    "path", sorted(p for p in DATA.rglob("*") if p.suffix in (".txt", ".py", ".md", ".conll"))
)
def test_names_of_the_probe_sentence_are_absent(path):
    text = path.read_text(encoding="utf-8").lower()
    assert not [name for name in NOT_IN_DATA if name in text]


def test_everyday_sentences_are_well_formed_and_not_in_the_corpus():
    """`benchmarks/sample.py everyday` scores a model on these thirty texts with gold spans."""
    rows = (Path(__file__).parent / "everyday.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 30
    known = {" ".join(word for word, *_ in s) for split in SPLITS for s in sentences(split)}
    for row in map(json.loads, rows):
        text, end = row["text"], 0
        assert " ".join(word for word, _, _ in split_words(text)) not in known
        edges = {n for _, *span in split_words(text) for n in span}
        for span in row["spans"]:
            assert span["label"] in ENTITY_TYPES
            assert end <= span["start"] < span["end"] <= len(text), "in order, none overlapping"
            assert {span["start"], span["end"]} <= edges, "of whole words"
            end = span["end"]
