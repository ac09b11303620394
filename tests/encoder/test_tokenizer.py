"""Tokenizers: which are refused, how byte-level ones read words, how long a window may be."""

import json
import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, processors
from tokenizers import models as tokenizer_models
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoTokenizer,
    BertConfig,
    ModernBertConfig,
    RobertaConfig,
    T5Config,
    XLNetConfig,
)

import common
from encoder.tokenizer import load_run_tokenizer, load_tokenizer, window_length
from settings.run_settings import ModelSettings
from support.errors import UserError
from tests.helpers.architectures import FAMILIES
from tests.helpers.messages import stable


@pytest.mark.parametrize("model_type", ["canine", "byt5"])
def test_slow_tokenizer_is_refused(model_type, tmp_path, snapshot):
    name = {"canine": "CanineTokenizer", "byt5": "ByT5Tokenizer"}[model_type]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    with pytest.raises(UserError) as error:
        load_tokenizer(str(tmp_path))
    message = str(error.value)
    assert str(tmp_path) in message
    assert name in message
    assert stable(message, tmp_path) == snapshot


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"config.json": "{}"},
        {"config.json": "{"},
        {"config.json": '{"model_type": "no-such-model"}'},
        {"config.json": '{"model_type": "bert"}', "tokenizer.json": "{"},
    ],
)
def test_folder_without_a_tokenizer_is_named(files, tmp_path, snapshot):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        load_tokenizer(str(tmp_path))
    assert str(tmp_path) in str(error.value)
    assert stable(error.value, tmp_path).splitlines()[0] == snapshot


@pytest.mark.parametrize("name", ["no/such-model", "no/such/folder", "bert-base-cased"])
def test_unknown_model_is_named(name, snapshot):
    with pytest.raises(UserError) as error:
        load_tokenizer(name)
    assert str(error.value).startswith(f"{name}: ")
    first_line, _ = str(error.value).splitlines()  # the second is the library's reason
    assert first_line == snapshot


def test_tokenizer_of_a_run_is_the_named_one_or_that_of_the_model(tiny_encoder):
    nowhere = ModelSettings(str(tiny_encoder), tokenizer_name="no/such-tokenizer")
    with pytest.raises(UserError, match=r"^no/such-tokenizer: "):
        load_run_tokenizer(nowhere)
    assert load_run_tokenizer(ModelSettings(str(tiny_encoder))).is_fast


def byte_level_files(folder: Path, tokenizer_class: str, model_type: str) -> Path:
    """Save a byte-level tokenizer such as RoBERTa's, without a space before the first word."""
    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet]
    merges = []
    for word in ("Ġthe", "Ġword", "Ġhere", "the", "word"):
        for end in range(1, len(word)):
            if word[: end + 1] not in vocabulary:
                vocabulary.append(word[: end + 1])
                merges.append((word[:end], word[end]))
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    backend = Tokenizer(tokenizer_models.BPE(vocab=ids, merges=merges))
    backend.pre_tokenizer = ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    names |= {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": tokenizer_class, **names})
    )
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return folder


@pytest.mark.parametrize(
    ("tokenizer_class", "model_type"),
    [
        ("RobertaTokenizer", "roberta"),
        ("GPT2Tokenizer", "gpt2"),
        # The generic class takes no notice of `add_prefix_space`: ModernBERT is published so.
        ("PreTrainedTokenizerFast", "modernbert"),
    ],
)
def test_byte_level_tokenizer_reads_words_as_in_running_text(tokenizer_class, model_type, tmp_path):
    name = str(byte_level_files(tmp_path / "model", tokenizer_class, model_type))
    words = ["the", "word", "here", "U.S.", "the"]
    plain = AutoTokenizer.from_pretrained(name)
    assert plain.tokenize(" the word here") == ["Ġthe", "Ġword", "Ġhere"]

    tokenizer = load_tokenizer(name)
    tokenizer.save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")  # as a pipeline loads it
    for loaded in (tokenizer, load_tokenizer(str(tmp_path / "saved")), saved):
        ((_, columns, owned),) = common.encode([words], loaded, 512)
        pieces = loaded.convert_ids_to_tokens(columns["input_ids"])
        assert [p for p in pieces if p not in ("<s>", "</s>")] == (
            ["Ġthe", "Ġword", "Ġhere", "Ġ", "U", ".", "S", ".", "Ġthe"]
        )
        content = [word for word in owned if word is not None]
        assert content == [0, 1, 2, 3, 3, 3, 3, 3, 4]


def test_word_piece_tokenizer_is_left_as_it_is(tiny_encoder):
    as_published = json.loads((tiny_encoder / "tokenizer.json").read_text())
    tokenizer = load_tokenizer(str(tiny_encoder))
    assert (
        json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"]
        == (as_published["normalizer"])
    )


@pytest.mark.parametrize(
    ("tokenizer_limit", "config", "max_seq_length", "expected"),
    [
        (512, BertConfig(), None, 512),
        (10**30, RobertaConfig(max_position_embeddings=514), None, 512),
        (10**30, RobertaConfig(max_position_embeddings=512), None, 510),
        (512, RobertaConfig(max_position_embeddings=512), None, 510),
        (10**30, BertConfig(), None, 512),
        (256, BertConfig(), None, 256),
        (256, BertConfig(), 512, 512),  # the tokenizer states less than the model can compute
        (512, BertConfig(max_position_embeddings=128), None, 128),
        (10**30, T5Config(), None, 512),
        (10**30, XLNetConfig(), None, 512),  # states -1
        (512, T5Config(), 4096, 4096),
        (512, ModernBertConfig(num_hidden_layers=1), None, 512),
        (10**30, ModernBertConfig(num_hidden_layers=1), None, 8192),
        (10**30, ModernBertConfig(num_hidden_layers=1), 10_000, 10_000),  # rotary: no limit
        (512, BertConfig(), 128, 128),
        (512, BertConfig(), 3, 3),
    ],
)
def test_window_length(tokenizer_limit, config, max_seq_length, expected, tiny_encoder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder, model_max_length=tokenizer_limit)
    assert window_length(tokenizer, config, max_seq_length) == expected


@pytest.mark.parametrize("max_seq_length", [-1, 0, 2, 513, 10**6])
def test_window_length_beyond_the_model_is_refused(max_seq_length, tiny_encoder, snapshot):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder, model_max_length=512)
    with pytest.raises(UserError) as error:
        window_length(tokenizer, BertConfig(), max_seq_length)
    numbers = re.findall(r"-?\d+", str(error.value))
    assert numbers == [str(max_seq_length), "3", "512"]
    assert str(error.value) == snapshot


@pytest.mark.parametrize("max_seq_length", [0, 2])
def test_window_without_room_is_refused_for_a_model_without_a_limit(
    max_seq_length, tiny_encoder, snapshot
):
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    with pytest.raises(UserError) as error:
        window_length(tokenizer, T5Config(), max_seq_length)
    assert str(error.value) == snapshot


@pytest.mark.parametrize("family", ["luke", "markuplm", "layoutlmv3", "layoutlmv2"])
def test_tokenizer_that_needs_more_than_words_is_refused(family, tmp_path, snapshot):
    FAMILIES[family]().save_pretrained(tmp_path)
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError) as error:
        load_tokenizer(str(tmp_path))
    assert "does not read words" in str(error.value)
    assert stable(error.value, tmp_path) == snapshot
