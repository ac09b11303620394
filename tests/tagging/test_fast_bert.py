"""Tests of tagging/fast_bert.py: the same results as transformers."""

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import common
from encoder.tokenizer import load_tokenizer
from tagging import fast_bert
from tagging.tagger import Tagger
from tests.helpers.tagging import TEXT, cached_tagger


def test_the_network_equals_that_of_transformers(tiny_tagger):
    """Compare the logits of batches with those of transformers, window by window."""
    import torch
    from transformers import AutoModelForTokenClassification

    _, _, ours = fast_bert.load(tiny_tagger, torch.float32, "cpu")
    theirs = AutoModelForTokenClassification.from_pretrained(tiny_tagger).eval()
    random = np.random.default_rng(0)
    for lengths in ([1], [64], [40, 17, 17, 17, 3, 1], [5] * 9):
        windows, expected = [], []
        for number, length in enumerate(lengths):
            window = {
                "input_ids": random.integers(0, 100, length).tolist(),
                "token_type_ids": random.integers(0, 2, length).tolist(),
                "word_index": [
                    common.IGNORED if i % 3 == 1 else 1000 * number + i for i in range(length)
                ],
            }
            windows.append(window)
            inputs = {name: torch.tensor([window[name]]) for name in list(window)[:2]}
            with torch.inference_mode():
                logits = theirs(**inputs).logits[0]
            expected.append(logits[torch.tensor(window["word_index"]) != common.IGNORED])
        with torch.inference_mode():
            logits, words = ours(windows)
        torch.testing.assert_close(logits, torch.cat(expected), rtol=0, atol=2e-6)
        flat = [i for window in windows for i in window["word_index"] if i != common.IGNORED]
        assert words.tolist() == flat


def test_matrix_products_have_few_sizes(tiny_tagger, monkeypatch):
    """Each size needs one more kernel to compile and keep, several hundred kilobytes in bf16."""
    import torch

    rows = set()
    linear = torch.nn.functional.linear

    def recording_linear(x, *args):
        rows.add(len(x))
        return linear(x, *args)

    monkeypatch.setattr(torch.nn.functional, "linear", recording_linear)
    tagger = cached_tagger(tiny_tagger)
    for number in range(513, 1025):
        tagger.tag_words([["Peter"] * 7] * (number // 7) + [["Anna"] * (number % 7 + 1)])
    assert len(rows) < 70  # for 512 different numbers of words and of sub-words


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.text(max_size=8), min_size=1, max_size=6), min_size=1, max_size=4))
def test_the_tokenizer_equals_that_of_transformers(tiny_tagger, sentences):
    ours, theirs = both_tokenizers(tiny_tagger)
    for max_length in (64, 8):
        assert list(common.encode(sentences, ours, max_length)) == list(
            common.encode(sentences, theirs, max_length)
        )
    pads = [(t.pad_token_id, t.pad_token_type_id) for t in (ours, theirs)]
    assert pads[0] == pads[1]


@cache
def both_tokenizers(folder: Path) -> tuple:
    """Return the tokenizers of `fast_bert` and of transformers."""
    import torch

    _, tokenizer, _ = fast_bert.load(folder, torch.float32, "cpu")
    return tokenizer, load_tokenizer(str(folder))


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_act": "relu"},
        {"word_splitter": None},
        {"window_length": None},
        {"position_embedding_type": "relative_key"},
    ],
)
def test_other_models_are_left_to_transformers(tiny_tagger, tmp_path, change):
    import torch

    folder = tmp_path / "model"
    shutil.copytree(tiny_tagger, folder)
    config = json.loads((folder / "config.json").read_text()) | change
    config = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    assert fast_bert.load(folder, torch.float32, "cpu") is None
    assert fast_bert.load(tiny_tagger, torch.float32, "cpu") is not None
    texts = [TEXT, "", "Anna"]
    results = Tagger(folder)(texts, all_words=True)
    assert [result["text"] for result in results] == texts
    if "word_splitter" in change:  # the same network, trained elsewhere
        expected = Tagger(tiny_tagger)(texts, all_words=True)
        for result, wanted in zip(results, expected, strict=True):
            assert [w["tag"] for w in result["words"]] == [w["tag"] for w in wanted["words"]]


@pytest.mark.parametrize(
    "settings",
    [
        *({"do_lower_case": True}, {"strip_accents": True}, {"tokenize_chinese_chars": False}),
        *({"unk_token": "[MASK]"}, {"cls_token": "[SEP]"}, {"split_special_tokens": True}),
        *({"extra_special_tokens": {"x": "lamb"}}, {"additional_special_tokens": ["lamb"]}),
        {"model_input_names": ["input_ids", "attention_mask"]},
        {"tokenizer_class": "DistilBertTokenizer"},
    ],
    ids=str,
)
def test_settings_that_change_the_tokenizer_are_left_to_transformers(
    settings, tiny_tagger, tmp_path
):
    """Transformers builds a BERT tokenizer from its settings, whatever else tokenizer.json says."""
    import torch

    folder = tmp_path / "model"
    shutil.copytree(tiny_tagger, folder)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))
    assert fast_bert.load(folder, torch.float32, "cpu") is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("adapter_config.json", {"peft_type": "LORA"}),
        ("added_tokens.json", {"lamb": 300}),
        ("special_tokens_map.json", {"pad_token": "[UNK]"}),
    ],
)
def test_files_that_change_the_model_are_left_to_transformers(file, content, tiny_tagger, tmp_path):
    import torch

    folder = tmp_path / "model"
    shutil.copytree(tiny_tagger, folder)
    assert fast_bert.load(folder, torch.float32, "cpu") is not None
    (folder / file).write_text(json.dumps(content))
    assert fast_bert.load(folder, torch.float32, "cpu") is None
