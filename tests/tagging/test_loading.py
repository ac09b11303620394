"""Tests of tagging/loading.py: models that are loaded and models that are refused."""

import pytest

from support import reachability
from support.errors import UserError
from tagging.tagger import Tagger
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
