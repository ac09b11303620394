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


def test_entity_tags_in_place_of_parts_of_speech_are_a_warning(corpus_settings, snapshot):
    file = "Ada B-PER\nleft O\n"
    corpus = load_corpus(corpus_settings(task_name="pos", train_file=file, validation_file=file))
    assert corpus.entity_tags
    assert [note for note in corpus.notes if note.startswith("WARNING")] == snapshot
    for task, content in (("ner", file), ("pos", "Ada PROPN\nleft VERB\n"), ("pos", "Ada O\n")):
        settings = corpus_settings(task_name=task, train_file=content, validation_file=content)
        assert not any("WARNING" in note for note in load_corpus(settings).notes)


def test_types_without_prefixes_are_entities_in_io_or_plain_tags(
    corpus_settings, tmp_path, snapshot
):
    content = "New LOC\nYork LOC\nis O\n\nAnna PER\n"
    flags = {"train_file": content, "validation_file": content}
    with pytest.raises(CorpusError) as error:
        load_corpus(corpus_settings(**flags))
    assert stable(error.value, tmp_path) == snapshot
    plain = load_corpus(corpus_settings(**flags, label_column_name="-1"))
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


@pytest.mark.parametrize(
    "content",
    [
        "New b-loc\nYork i-loc\nis o\n",
        "New LOC-B\nYork LOC-I\nis O\n",
        "New\tB\u2013LOC\nYork\tI\u2013LOC\nis\tO\n",
        "New B\nYork I\nis O\n",
        "word\tplace\nNew\tB\nYork\tI\nis\tO\n",
        "New B-Ort\u0308\nYork I-Ort\u0308\nis O\n",
        "New B-O\u0308rt\nYork I-\u00d6rt\nis O\n",
    ],
)
def test_tags_in_other_spellings_are_entity_tags(corpus_settings, tmp_path, snapshot, content):
    corpus = load_corpus(corpus_settings(train_file=content, hold_out=False))
    assert corpus.entity_tags
    (tags,) = tag_lists(corpus, "train")
    assert [tag[:1] for tag in tags] == ["B", "I", "O"]
    assert len(corpus.label_names) == 3
    assert (corpus.label_names, [stable(note, tmp_path) for note in corpus.notes]) == snapshot


def test_labels_of_spans_that_are_tags_are_read_as_tags(corpus_settings, tmp_path):
    """Texts whose words were labelled with tags, as from a converted CoNLL file."""
    spans = '[[0, 4, "B-PER"], [5, 9, "I-PER"], [10, 13, "O"], [14, 18, "B-LOC"]]'
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "Anna Bell saw Rome", "spans": ' + spans + "}\n")
    corpus = load_corpus(corpus_settings(train_file=(str(path),), hold_out=False))
    assert tag_lists(corpus, "train") == [["B-PER", "I-PER", "O", "B-LOC"]]
    assert corpus.label_names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert any("Labels of spans are tags" in note for note in corpus.notes)


def test_a_scheme_is_obeyed_in_another_spelling(corpus_settings):
    content = "New i_loc\nYork i_loc\nis o\n\nRome b_loc\n"
    flags = {"train_file": content, "hold_out": False, "tag_scheme": "iob1"}
    corpus = load_corpus(corpus_settings(**flags))
    assert tag_lists(corpus, "train") == [["B-loc", "I-loc", "O"], ["B-loc"]]


def test_types_spelled_alike_are_reported_in_training(corpus_settings, tmp_path, snapshot):
    content = "a B-PRODUCT\nb B-Product\n\nc B-art_work\nd B-art-work\ne B-LOC\n"
    corpus = load_corpus(corpus_settings(train_file=content, hold_out=False))
    assert [stable(note, tmp_path) for note in corpus.notes] == snapshot
    names = ["O", "B-PRODUCT", "B-Product", "B-art_work", "B-art-work", "B-LOC"]
    flags = {"train_file": content, "hold_out": False, "label_names": names}
    assert not any(
        "learned as different" in note for note in load_corpus(corpus_settings(**flags)).notes
    )
