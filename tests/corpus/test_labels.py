"""Labels: names of integers, declared names, plain and entity tags, the scheme, misspelt types."""

import pytest

from corpus.load import load_corpus
from corpus.problems import CorpusError, Place, ProblemKind
from tests.helpers.corpora import GOOD, tag_lists
from tests.helpers.messages import stable


@pytest.mark.parametrize(
    "label_names",
    [["O", "B-PER", "I-PER"], "O\nB-PER\nI-PER\n", '["O", "B-PER", "I-PER"]',
     '{"id2label": {"0": "O", "1": "B-PER", "2": "I-PER"}}',
     '{"label2id": {"I-PER": 2, "B-PER": 1, "O": 0}}', '{"O": 0, "I-PER": 2, "B-PER": 1}'],
)  # fmt: skip
@pytest.mark.parametrize(
    "content", ['{"tokens": ["Al", "B"], "ner_tags": [1, 2]}\n' * 2, "Al 1\nB 2\n\n" * 2]
)
def test_integers_with_names(corpus_settings, tmp_path, label_names, content):
    if isinstance(label_names, str):
        (tmp_path / "labels.txt").write_text(label_names)
        label_names = (str(tmp_path / "labels.txt"),)
    corpus = load_corpus(corpus_settings(train_file=content, label_names=label_names))
    assert tag_lists(corpus, "train") == [["B-PER", "I-PER"]]


def test_declared_names_are_among_the_labels(corpus_settings):
    names = ["O", "B-PER", "I-PER", "B-ORG", "B-MISC", "B-LOC"]
    corpus = load_corpus(corpus_settings(train_file=GOOD, label_names=names))
    assert {"B-LOC", "I-LOC"} <= set(corpus.label_names)


def test_a_declared_label_may_be_missing_from_training(corpus_settings, tmp_path, snapshot):
    flags = {"train_file": GOOD, "validation_file": "Rome B-LOC\n"}
    with pytest.raises(CorpusError) as error:
        load_corpus(corpus_settings(**flags))
    (group,) = error.value.problems.groups
    assert (group.kind, group.count) == (ProblemKind.UNTRAINED_LABEL, 1)
    assert group.shown[0].place == Place(str(tmp_path / "validation.conll"), 1)
    assert stable(error.value, tmp_path) == snapshot
    names = ["O", "B-PER", "B-ORG", "B-MISC", "B-LOC"]
    corpus = load_corpus(corpus_settings(**flags, label_names=names))
    assert tag_lists(corpus, "validation") == [["B-LOC"]]


def test_a_test_split_may_have_labels_that_training_lacks(corpus_settings, tmp_path, snapshot):
    corpus = load_corpus(
        corpus_settings(train_file=GOOD, validation_file=GOOD, test_file="Rome B-LOC\n")
    )
    assert tag_lists(corpus, "test") == [["B-LOC"]]
    assert sum("test.conll:1: 'B-LOC'" in note for note in corpus.notes) == 1
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot


def test_plain_tags(corpus_settings):
    corpus = load_corpus(
        corpus_settings(task_name="pos", train_file="A DET\ndog NOUN\n\nruns VERB\n")
    )
    assert corpus.label_names == ["DET", "NOUN", "VERB"]
    assert not corpus.entity_tags


def test_bare_types_are_plain_unless_the_scheme_is_io(corpus_settings):
    content = "New LOC\nYork LOC\nis O\n\nAnna PER\n"
    plain = load_corpus(corpus_settings(train_file=content, validation_file=content))
    assert not plain.entity_tags
    assert plain.label_names == ["O", "LOC", "PER"]
    flags = {"train_file": content, "validation_file": content, "tag_scheme": "io"}
    entities = load_corpus(corpus_settings(**flags))
    assert tag_lists(entities, "train") == [["B-LOC", "I-LOC", "O"], ["B-PER"]]


def test_the_scheme_is_detected_from_all_splits_together(corpus_settings, tmp_path, snapshot):
    only_i, with_b = "EU I-ORG\nin O\n\nBonn I-ORG\n", "EU I-ORG\nUN B-ORG\n"
    corpus = load_corpus(corpus_settings(train_file=only_i, validation_file=with_b))
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot  # IOB1
    assert tag_lists(corpus, "validation") == [["B-ORG", "B-ORG"]]


def test_stray_tags_are_reported_and_read_as_in_conlleval(corpus_settings, tmp_path, snapshot):
    content = "EU B-ORG\nin O\nBonn I-LOC\n\nUN B-ORG\n"
    corpus = load_corpus(corpus_settings(train_file=content, validation_file=content))
    assert tag_lists(corpus, "train")[0] == ["B-ORG", "O", "B-LOC"]
    assert sum("train.conll:3: 'I-LOC' of 'Bonn'" in note for note in corpus.notes) == 1
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot
