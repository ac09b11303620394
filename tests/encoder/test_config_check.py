"""Tests of encoder/config_check.py: wrong values are named, those of real models pass."""

import json

import pytest
from transformers import CONFIG_MAPPING

from encoder.config_check import check_config, label_problems
from support.errors import UserError
from tests.helpers.architectures import ARCHITECTURES

NAMES = {"0": "O", "1": "B-PER", "2": "I-PER"}
HEAD = {"architectures": ["BertForTokenClassification"]}


@pytest.mark.parametrize(
    "values",
    [
        [1],
        None,
        "bert",
        {"model_type": 7},
        {"architectures": "BertModel"},
        {"architectures": [1]},
        {"auto_map": "x"},
        {"quantization_config": []},
        {"id2label": "O"},
        {"hidden_size": 0},
        {"hidden_size": True},
        {"hidden_size": "768"},
        {"hidden_size": 10**12},
        {"num_hidden_layers": 10**9},
        {"n_layers": -1},
        {"num_attention_heads": 0},
        {"text_config": {"vocab_size": 1.5}},
        {"layer_norm_eps": -1.0},
        {"layer_norm_eps": float("nan")},
        {"rms_norm_eps": "x"},
        {"score_temperature": 0},
        {"score_temperature": "1", "score_offset": True},
        {"score_temperature": float("nan"), "outside_bias": float("inf")},
        {"outside_bias": [1]},
        {"window_length": [64]},
        {"context": [8]},
        {"window_length": 65, "max_position_embeddings": 64},
        {"attn_implementation": "someone/kernel"},
        {"model_type": "bert\x1b[2J", "hidden_size": "\x1b[2J\u202e"},
        {f"{n}_layers": -1 for n in range(12)},
    ],
    ids=lambda values: json.dumps(values)[:60],
)
def test_a_value_that_cannot_work_is_named(values, snapshot):
    with pytest.raises(UserError) as error:
        check_config(values, "config.json")
    assert "\x1b" not in str(error.value)
    assert str(error.value) == snapshot


@pytest.mark.parametrize(
    ("id2label", "label2id"),
    [
        (None, None),
        ({}, None),
        (["O", "B-PER"], None),
        ("O", None),
        ({"0": "O", "2": "B-PER"}, None),
        ({"1": "O", "2": "B-PER"}, None),
        ({"O": "0"}, None),
        ({"0.0": "O"}, None),
        ({"-1": "O"}, None),
        ({"0": None, "1": 5, "2": " "}, None),
        (NAMES, {"O": 0, "B-PER": 2, "I-PER": 1}),
    ],
    ids=str,
)
def test_labels_without_a_name_are_refused(id2label, label2id, snapshot):
    problems = label_problems(id2label, label2id)
    assert problems == snapshot
    with pytest.raises(UserError):
        check_config({**HEAD, "id2label": id2label, "label2id": label2id}, "config.json")


def test_labels_are_needed_only_by_a_head_that_stays():
    assert check_config(HEAD, "config.json", labels_needed=False) == HEAD
    encoder = {"architectures": ["BertModel"], "id2label": {"7": None}}
    assert check_config(encoder, "config.json") == encoder


def test_code_from_the_hub_runs_only_if_trusted():
    values = {"_attn_implementation": {"": "sdpa", "text": "someone/kernel"}}
    with pytest.raises(UserError):
        check_config(values, "config.json")
    assert check_config(values, "config.json", trust_remote_code=True) == values


@pytest.mark.parametrize("label2id", [None, {"LABEL_0": 0}, {"O": 0, "B-PER": 1, "I-PER": 2}])
def test_labels_of_published_models_pass(label2id):
    assert label_problems(NAMES, label2id) == []
    assert label_problems({int(key): name for key, name in NAMES.items()}) == []


@pytest.mark.parametrize("model_type", sorted({a.model_type for a in ARCHITECTURES}))
def test_the_defaults_of_every_architecture_pass(model_type):
    values = json.loads(CONFIG_MAPPING[model_type]().to_json_string(use_diff=False))
    assert check_config(values, "config.json") == values
