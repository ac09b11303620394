"""Models of the Hub are checked like folders, once their files are in the cache."""

import json
from pathlib import Path

import pytest
import torch

from encoder.model import load_config, load_model
from encoder.tokenizer import load_run_tokenizer
from settings.run_settings import ModelSettings
from support.errors import UserError
from tagging.tagger import Tagger
from tests.helpers.messages import stable

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
PARTS = {"weight_map": {"classifier.bias": "part-1.safetensors"}}
OUTSIDE = {"weight_map": {"classifier.bias": "../../../part-1.safetensors"}}

# Files that replace those of a good model; None: the model has none.
DAMAGED: dict[str, dict[str, bytes | None]] = {
    "config": {"config.json": b'{"a": "\xe9"}'},
    "labels": {"config.json": b'{"architectures": ["BertForTokenClassification"]}'},
    "tokenizer": {"tokenizer.json": b'{"version": '},
    "weights": {"model.safetensors": b"\xff" * 100},
    "pointer": {"model.safetensors": POINTER},
    "pickle": {"model.safetensors": None, "pytorch_model.bin": b""},
    "index": {
        "model.safetensors": None,
        "model.safetensors.index.json": json.dumps(PARTS).encode(),
        "part-1.safetensors": b"",
    },
    "missing": {
        "model.safetensors": None,
        "model.safetensors.index.json": json.dumps(PARTS).encode(),
    },
    "outside": {
        "model.safetensors": None,
        "model.safetensors.index.json": json.dumps(OUTSIDE).encode(),
    },
}


def add_model(server, name: str, folder: Path, changes: dict[str, bytes | None]) -> str:
    """Add the model in a folder to the Hub, with changed files; return its name."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | changes
    server.add(f"tester/{name}", {file: data for file, data in files.items() if data is not None})
    return f"tester/{name}"


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_model_is_named_with_the_remedy(kind, server, tiny_tagger, tmp_path, snapshot):
    name = add_model(server, kind, tiny_tagger, DAMAGED[kind])
    source = ModelSettings(name, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError) as error:
        config = load_config(source, ["O"], do_train=False)
        load_run_tokenizer(source)
        load_model(source, config, torch.device("cpu"), do_train=False)
    message = stable(error.value, tmp_path)
    (repository,) = (tmp_path / "cache").glob("models--*")
    (commit,) = (repository / "snapshots").iterdir()
    assert message.replace(commit.name, "<commit>") == snapshot
    assert stable(repository, tmp_path) in message


def test_a_tagger_checks_too(server, tiny_tagger):
    name = add_model(server, "for-tagging", tiny_tagger, DAMAGED["pointer"])
    with pytest.raises(UserError, match="pointer of Git LFS"):
        Tagger(name)


@pytest.mark.parametrize("form", ["whole", "parts"])
def test_a_good_model_gives_the_tags_of_its_folder(form, server, tiny_tagger):
    changes: dict[str, bytes | None] = {}
    if form == "parts":
        from safetensors.numpy import load_file, save

        weights = load_file(tiny_tagger / "model.safetensors")
        names = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(weights)}
        changes = {"model.safetensors": None}
        for part in set(names.values()):
            values = {name: weights[name] for name in weights if names[name] == part}
            changes[part] = save(values, {"format": "pt"})
        changes["model.safetensors.index.json"] = json.dumps({"weight_map": names}).encode()
    name = add_model(server, f"good-{form}", tiny_tagger, changes)
    texts = ["Peter Blackburn went to Paris.", "EU rejects German call", ""]
    expected = [result["entities"] for result in Tagger(tiny_tagger)(texts)]
    for found, entities in zip(Tagger(name)(texts), expected, strict=True):
        assert found["entities"] == [
            {**entity, "score": pytest.approx(entity["score"], abs=1e-5)} for entity in entities
        ]
    requests = [request for request in server.requests if "model.safetensors" in request]
    assert len([request for request in requests if request.startswith("GET")]) <= 1
