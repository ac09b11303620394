"""Configuration, labels and weights of a model: what is refused, whose labels count."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, BertConfig

from corpus.words import WORD_SPLITTER
from encoder.cpu.embeddings import OccurringEmbedding
from encoder.model import (
    load_config,
    load_model,
    match_labels,
    remember_encoding,
    splitter_to_keep,
)
from settings.run_settings import ModelSettings
from support.errors import UserError
from tests.helpers.messages import stable
from tests.helpers.models import ENTITY_LABELS
from tests.helpers.sub_words import corpus_of

CPU = torch.device("cpu")


def load_on_cpu(model: ModelSettings, config, **options):
    return load_model(model, config, CPU, **{"do_train": True, **options})


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(
            lambda model: load_config(model, ENTITY_LABELS, do_train=True), id="configuration"
        ),
        pytest.param(lambda model: load_on_cpu(model, BertConfig()), id="model"),
    ],
)
@pytest.mark.parametrize("name", ["no/such-model", "no/such/folder", "bert-base-cased"])
def test_unknown_model_is_named(load, name, snapshot):
    with pytest.raises(UserError) as error:
        load(ModelSettings(name))
    assert str(error.value).startswith(f"{name}: ")
    first_line, _ = str(error.value).splitlines()  # the second is the library's reason
    assert first_line == snapshot


# --- Labels of a model and of a corpus ------------------------------------------------------

OTHER_LABELS = ["O", "B-GENE", "I-GENE"]
AS_MANY_LABELS = ["O", *(f"{p}-{t}" for t in "ABCD" for p in "BI")]  # as many as ENTITY_LABELS


def test_encoder_gets_the_labels_of_the_corpus(tiny_encoder, tmp_path):
    settings = ModelSettings(str(tiny_encoder))
    config = load_config(settings, OTHER_LABELS, do_train=True)
    assert config.id2label == {0: "O", 1: "B-GENE", 2: "I-GENE"}
    assert config.label2id == {"O": 0, "B-GENE": 1, "I-GENE": 2}
    torch.manual_seed(1)
    model = load_on_cpu(settings, config)
    assert model.classifier.weight.shape == (3, 32)
    assert model.dtype == torch.float32
    torch.manual_seed(1)
    same_seed = load_on_cpu(settings, config)
    assert torch.equal(model.classifier.weight, same_seed.classifier.weight)
    model.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).label2id == config.label2id


@pytest.mark.parametrize(
    ("changes", "do_train", "labels"),
    [
        ({}, True, OTHER_LABELS),
        ({}, True, AS_MANY_LABELS),
        ({}, True, [*ENTITY_LABELS, "B-GPE", "I-GPE"]),  # one more type
        ({}, False, OTHER_LABELS),
        # Nothing is trained, so a new head would be worth nothing.
        ({"ignore_mismatched_sizes": True}, False, OTHER_LABELS),
    ],
)
def test_head_of_other_labels_is_refused_with_both_lists(
    changes, do_train, labels, tiny_tagger, snapshot
):
    settings = ModelSettings(str(tiny_tagger), **changes)
    with pytest.raises(UserError) as error:
        load_config(settings, labels, do_train=do_train)
    message = str(error.value)
    assert ", ".join(ENTITY_LABELS) in message
    assert ", ".join(labels) in message
    assert {"9", str(len(labels))} <= set(re.findall(r"\d+", message))
    assert stable(message, Path(tiny_tagger.name)) == snapshot


def test_encoder_without_a_head_scores_nothing(tiny_encoder, snapshot):
    with pytest.raises(UserError) as error:
        load_config(ModelSettings(str(tiny_encoder)), OTHER_LABELS, do_train=False)
    assert stable(error.value, Path(tiny_encoder.name)) == snapshot


@pytest.mark.parametrize("labels", [OTHER_LABELS, AS_MANY_LABELS])
def test_new_head_is_new(labels, tiny_tagger):
    """A new head, of the same size or not, keeps no weight of the old labels."""
    settings = ModelSettings(str(tiny_tagger))
    old = load_on_cpu(settings, load_config(settings, ENTITY_LABELS, do_train=True))
    settings = ModelSettings(str(tiny_tagger), ignore_mismatched_sizes=True)
    config = load_config(settings, labels, do_train=True)
    assert list(config.id2label.values()) == labels
    torch.manual_seed(3)
    model = load_on_cpu(settings, config)
    torch.manual_seed(3)
    same_seed = load_on_cpu(settings, config)
    assert model.classifier.weight.shape == (len(labels), 32)
    assert not torch.isin(model.classifier.weight, old.classifier.weight).any()
    assert model.classifier.weight.std() < 0.2  # the old one's is 0.5
    assert torch.equal(model.classifier.weight, same_seed.classifier.weight)
    kept = dict(old.bert.named_parameters())
    assert all(torch.equal(p, kept[name]) for name, p in model.bert.named_parameters())


def test_head_of_these_labels_or_more_is_kept(tiny_tagger):
    settings = ModelSettings(str(tiny_tagger))
    for labels in (ENTITY_LABELS, ENTITY_LABELS[::-1], ["O", "B-LOC", "I-LOC"]):
        config = load_config(settings, labels, do_train=False)
        assert list(config.id2label.values()) == ENTITY_LABELS
        model = load_on_cpu(settings, config, do_train=False)
        loaded_again = load_on_cpu(settings, config, do_train=False)
        assert torch.equal(model.classifier.weight, loaded_again.classifier.weight)
        assert model.classifier.weight.std() > 0.4  # as published


def test_labels_of_the_corpus_are_mapped_by_name(tiny_tagger):
    labels = ["O", "B-LOC", "I-LOC", "B-PER"]
    corpus = corpus_of(
        labels,
        train=[(["in", "New", "York"], [0, 1, 2]), (["Anna"], [3])],
        test=[(["Paris"], None)],
    )
    config = load_config(ModelSettings(str(tiny_tagger)), labels, do_train=True)
    matched = match_labels(corpus, config)
    assert matched.label_names == ENTITY_LABELS
    assert matched.splits["train"]["labels"][:] == [[0, 5, 6], [1]]
    assert matched.splits["train"]["tokens"][:] == [["in", "New", "York"], ["Anna"]]
    assert "labels" not in matched.splits["test"].column_names
    assert corpus.splits["train"]["labels"][:] == [[0, 1, 2], [3]]
    assert (matched.name, matched.fingerprint) == (corpus.name, corpus.fingerprint)
    # If the lists agree, nothing is copied.
    same_labels = corpus_of(ENTITY_LABELS, train=[(["Anna"], [1])])
    assert match_labels(same_labels, config) is same_labels


def test_model_whose_config_lists_labels_one_way_only(tiny_tagger, tmp_path):
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    values = json.loads((folder / "config.json").read_text())
    del values["label2id"]
    (folder / "config.json").write_text(json.dumps(values))
    corpus = corpus_of(["O", "B-LOC"], train=[(["in", "Paris"], [0, 1])])
    config = load_config(ModelSettings(str(folder)), corpus.label_names, do_train=True)
    assert match_labels(corpus, config).splits["train"]["labels"][:] == [[0, 5]]


def test_settings_of_the_encoding_are_saved_with_the_model(tiny_encoder, tmp_path):
    config = load_config(ModelSettings(str(tiny_encoder)), OTHER_LABELS, do_train=True)
    before = config.to_dict()
    remember_encoding(config, 16, "chunk", WORD_SPLITTER)
    remembered = {"word_splitter": WORD_SPLITTER, "window_length": 16, "task_name": "chunk"}
    assert config.to_dict() == before | remembered
    config.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert {name: saved[name] for name in remembered} == remembered


# --- Weights --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, b"", b"no weights", "half"])
def test_damaged_weights_are_named(content, tiny_tagger, tmp_path, snapshot):
    folder = shutil.copytree(tiny_tagger, tmp_path / "tagger")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    if content is not None:
        weights.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    settings = ModelSettings(str(folder))
    config = load_config(settings, ENTITY_LABELS, do_train=True)
    with pytest.raises(UserError) as error:
        load_on_cpu(settings, config)
    assert str(folder) in str(error.value)
    assert stable(error.value, folder).splitlines()[0] == snapshot


def test_model_of_a_kind_without_token_classification_is_named(tmp_path, snapshot):
    (tmp_path / "config.json").write_text('{"model_type": "whisper"}')
    settings = ModelSettings(str(tmp_path))
    config = load_config(settings, OTHER_LABELS, do_train=True)
    with pytest.raises(UserError) as error:
        load_on_cpu(settings, config)
    assert stable(error.value, tmp_path).splitlines()[0] == snapshot


TRAIN_TOKEN_IDS = np.array([2, 3, 7, 8, 20, 21, 40])


@pytest.mark.parametrize(
    ("options", "whole"),
    [
        ({}, False),
        ({"do_train": False}, True),
        ({"sharded_by": "FSDP"}, True),
        ({"sharded_by": "DeepSpeed"}, True),
        ({"train_token_ids": None}, True),
        ({"occurring_rows_only": False}, True),
    ],
)
def test_only_occurring_rows_are_trained_unless_sharded(options, whole, tiny_tagger):
    settings = ModelSettings(str(tiny_tagger))
    config = AutoConfig.from_pretrained(tiny_tagger)
    options = {"train_token_ids": TRAIN_TOKEN_IDS, **options}
    model = load_on_cpu(settings, config, **options)
    table = model.get_input_embeddings()
    assert type(table) is (nn.Embedding if whole else OccurringEmbedding)
    assert whole or table.token_ids.tolist() == TRAIN_TOKEN_IDS.tolist()


def test_a_model_that_is_only_scored_keeps_its_word_splitter(tmp_path):
    config = BertConfig()
    remember_encoding(config, 64, "ner", "words-1")
    config.save_pretrained(tmp_path)
    model = ModelSettings(str(tmp_path))
    assert splitter_to_keep(model, do_train=False) == "words-1"
    assert splitter_to_keep(model, do_train=True) is None
