"""Tests of encoder/model_folder.py: damaged files are named before a library reads them."""

import json
import os
import shutil
import struct

import pytest

from encoder.model_folder import check_tokenizer_files, check_weights, read_config
from support.errors import UserError
from tests.helpers.messages import stable

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        POINTER,
        b"{",
        b"[]",
        b'{"a": "\xe9"}',
        '{"a": 1}'.encode("utf-16"),
        b'{"a":' * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
    ids=["empty", "pointer", "cut", "list", "latin1", "utf16", "deep", "digits"],
)
def test_a_damaged_json_file_is_named(content, tmp_path, snapshot):
    for check, name in ((read_config, "config.json"), (check_tokenizer_files, "tokenizer.json")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as error:
            check(tmp_path)
        assert stable(error.value, tmp_path) == snapshot(name=name)


def test_a_folder_in_place_of_a_file_is_named(tmp_path, snapshot):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(UserError) as error:
        read_config(tmp_path)
    assert stable(error.value, tmp_path) == snapshot


@pytest.mark.parametrize(
    "post_processor",
    [
        {"single": 5, "special_tokens": {}},
        {"single": [], "special_tokens": []},
        {"single": [{"SpecialToken": {"id": "[CLS]"}}], "special_tokens": {"[SEP]": {}}},
    ],
)
def test_a_template_of_unknown_special_tokens_is_refused(post_processor, tmp_path, snapshot):
    """The library would end the thread, and print a message of its own."""
    values = {"post_processor": {"type": "TemplateProcessing", **post_processor}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(UserError) as error:
        check_tokenizer_files(tmp_path)
    assert stable(error.value, tmp_path) == snapshot


def test_weights_are_counted(tiny_tagger):
    from safetensors.numpy import load_file

    expected = sum(v.size for v in load_file(tiny_tagger / "model.safetensors").values())
    assert check_weights(tiny_tagger) == expected


@pytest.mark.parametrize(
    "content",
    [b"", POINTER, b"<html>", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"{}"],
    ids=["empty", "pointer", "html", "long header", "no tensors"],
)
def test_damaged_weights_are_named(content, tmp_path, snapshot):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError) as error:
        check_weights(tmp_path)
    assert stable(error.value, tmp_path) == snapshot


@pytest.mark.parametrize(
    "index",
    [
        {},
        {"weight_map": []},
        {"weight_map": {"a": 1}},
        {"weight_map": {"a": "absent.safetensors"}, "metadata": []},
        {"metadata": {}, "weight_map": {"a": "absent.safetensors"}},
        {"metadata": {}, "weight_map": {"a": "../out.safetensors"}},
        {"metadata": {}, "weight_map": {"a": "/out.safetensors"}},
    ],
)
def test_an_index_names_files_of_its_folder(index, tmp_path, snapshot):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError) as error:
        check_weights(tmp_path)
    assert stable(error.value, tmp_path) == snapshot


def test_a_pointer_in_place_of_a_pickle_is_named(tmp_path, snapshot):
    (tmp_path / "pytorch_model.bin").write_bytes(POINTER)
    with pytest.raises(UserError) as error:
        check_weights(tmp_path)
    assert stable(error.value, tmp_path) == snapshot


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_in_the_folder_is_refused(kind, tiny_tagger, tmp_path, snapshot):
    """Its reader would wait or read without end."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_tagger, folder)
    if kind == "pipe":
        os.mkfifo(folder / "vocab.txt")
    else:
        (folder / "vocab.txt").symlink_to("/dev/zero")
    with pytest.raises(UserError) as error:
        read_config(folder)
    assert stable(error.value, tmp_path) == snapshot
