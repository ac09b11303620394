"""Tests of tagging/loading.py: models that are loaded and models that are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from support import reachability
from support.errors import UserError
from tagging.tagger import Tagger
from tests.helpers.architectures import ARCHITECTURES, Architecture, build
from tests.helpers.messages import stable
from tests.helpers.models import ENTITY_LABELS, save_tiny_tokenizer, tiny_vocabulary


def test_another_architecture_works(tmp_path):
    from transformers import DistilBertConfig, DistilBertForTokenClassification

    labels = dict(enumerate(ENTITY_LABELS))
    config = DistilBertConfig(
        vocab_size=len(tiny_vocabulary()), dim=32, n_layers=1, n_heads=2, hidden_dim=64,
        max_position_embeddings=64, id2label=labels, label2id={v: k for k, v in labels.items()},
    )  # fmt: skip
    DistilBertForTokenClassification(config).save_pretrained(tmp_path)
    save_tiny_tokenizer(tmp_path)
    tagger = Tagger(tmp_path)
    assert tagger.max_length == 64
    (result,) = tagger(["Peter went to Paris . " * 40], all_words=True)
    assert len(result["words"]) == 200


def save_tagger(architecture: Architecture, folder: Path, **changes) -> Path:
    """Save a tiny tagger of an architecture that this suite did not train."""
    from transformers import AutoConfig, AutoModelForTokenClassification

    build(architecture, folder)
    labels = {"id2label": dict(enumerate(ENTITY_LABELS)), "num_labels": len(ENTITY_LABELS)}
    config = AutoConfig.from_pretrained(folder, **labels)
    config.update(changes)
    torch.manual_seed(0)
    AutoModelForTokenClassification.from_config(config).save_pretrained(folder)
    return folder


def check_batches(tagger: Tagger) -> None:
    """Compare the probabilities of sentences in batches with those of each sentence alone."""
    sentences = [["Peter", "went", "to", "Paris", "."] * n for n in (1, 3, 2, 1, 3)]
    sentences += [["Anna"], ["Bank", "of", "Germany"]] * 2
    widths = []
    network = tagger.network

    def recording(batch):
        widths.append([len(window["input_ids"]) for window in batch])
        return network(batch)

    tagger.network = recording
    together = tagger.tag_words(sentences)
    assert len(widths) < len(sentences)
    if tagger.padding_leaks:
        assert all(len(set(lengths)) == 1 for lengths in widths)
    for sentence, (tags, probabilities) in zip(sentences, together, strict=True):
        ((tags_alone, alone),) = tagger.tag_words([sentence])
        assert tags == tags_alone
        np.testing.assert_allclose(probabilities, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "family", "leaks"),
    [
        *(("gpt2", "gpt2-left", False), ("xlnet", "xlnet", False), ("roberta", "roberta", False)),
        *(("convbert", "bert", True), ("fnet", "fnet", True), ("funnel", "funnel", True)),
    ],
)
def test_tags_do_not_depend_on_the_batch(model_type, family, leaks, tmp_path):
    tagger = Tagger(save_tagger(Architecture(model_type, family), tmp_path))
    assert tagger.padding_leaks == leaks
    check_batches(tagger)


@pytest.mark.exhaustive
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_tags_of_all_architectures_do_not_depend_on_the_batch(architecture, tmp_path):
    check_batches(Tagger(save_tagger(architecture, tmp_path)))


@pytest.mark.parametrize(("model_type", "leaks"), [("convbert", True), ("xlnet", False)])
def test_the_trait_is_observed_whatever_the_configuration_says(model_type, leaks, tmp_path):
    """The folders of version 0.3.0 state it, perhaps of other weights or another transformers."""
    family = "xlnet" if model_type == "xlnet" else "bert"
    architecture = Architecture(model_type, family)
    folder = save_tagger(architecture, tmp_path, padding_leaks=not leaks)
    assert Tagger(folder).padding_leaks == leaks


def test_half_precision_is_refused_where_a_model_has_none(tmp_path, snapshot):
    save_tagger(Architecture("fnet", "fnet"), tmp_path)
    with pytest.raises(UserError) as error:
        Tagger(tmp_path, dtype="bf16")
    assert stable(error.value, tmp_path) == snapshot


def test_the_trait_is_observed_in_full_precision(tmp_path):
    folder = save_tagger(Architecture("convbert", "bert"), tmp_path)
    assert Tagger(folder, dtype="bf16").padding_leaks


OWN_CODE = """
from transformers import BertConfig, BertForTokenClassification

class OwnConfig(BertConfig):
    model_type = "own"

class OwnModel(BertForTokenClassification):
    config_class = OwnConfig
"""


def test_a_model_with_its_own_code_runs_it_only_if_trusted(tmp_path, monkeypatch, snapshot):
    """By default, transformers would wait for an answer on standard input, where texts may be."""
    folder = save_tagger(Architecture("bert", "bert"), tmp_path)
    (folder / "own.py").write_text(OWN_CODE)
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.OwnConfig", "AutoModelForTokenClassification": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": own}))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on standard input"))
    with pytest.raises(UserError) as error:
        Tagger(folder)
    assert stable(error.value, tmp_path).splitlines()[0] == snapshot
    assert len(Tagger(folder, trust_remote_code=True)("Peter went to Paris.")) == 1


@pytest.mark.parametrize("name", ["/no/such", "a/b/c", "./x", "runs/x/", "~/x", "a b"])
def test_a_name_that_cannot_be_a_repository_is_a_missing_folder(monkeypatch, snapshot, name):
    monkeypatch.setattr(reachability, "hub_reachable", lambda: pytest.fail("the Hub was contacted"))
    with pytest.raises(UserError) as error:
        Tagger(name)
    assert str(error.value).startswith(f"{name}:")
    assert str(error.value) == snapshot


def test_a_file_is_not_a_model(tiny_tagger, snapshot):
    with pytest.raises(UserError) as error:
        Tagger(tiny_tagger / "model.safetensors")
    assert stable(error.value, tiny_tagger) == snapshot
