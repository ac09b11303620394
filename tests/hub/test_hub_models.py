"""Models of the Hub are checked like folders, once their files are in the cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tagging.tagger import Tagger
from tests.helpers.hub_server import HubServer
from tests.helpers.messages import stable
from tests.helpers.models import ROOT

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
PARTS = {"metadata": {}, "weight_map": {"classifier.bias": "part-1.safetensors"}}
OUTSIDE = {"metadata": {}, "weight_map": {"classifier.bias": "../../../part-1.safetensors"}}

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


# Loads models by name, in a process of its own: the libraries read the address of the Hub once.
PROGRAM = """
import json, sys
import torch
from encoder.model import load_config, load_model
from encoder.tokenizer import load_run_tokenizer
from settings.run_settings import ModelSettings
from support.errors import UserError
from tagging.tagger import Tagger

texts = ["Peter Blackburn went to Paris.", "EU rejects German call", ""]
answers = {}
for name in sys.argv[1:]:
    try:
        if "good" in name or "tagged" in name:
            answers[name] = [result["entities"] for result in Tagger(name)(texts)]
            continue
        source = ModelSettings(name)
        config = load_config(source, ["O"], do_train=False)
        load_run_tokenizer(source)
        load_model(source, config, torch.device("cpu"), do_train=False)
    except UserError as error:
        answers[name] = str(error)
print(json.dumps(answers))
"""


def in_parts(folder: Path) -> dict[str, bytes | None]:
    """Return the weights of a model in two files, with their index."""
    from safetensors.numpy import load_file, save

    weights = load_file(folder / "model.safetensors")
    names = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(weights)}
    changes: dict[str, bytes | None] = {"model.safetensors": None}
    for part in set(names.values()):
        values = {name: weights[name] for name in weights if names[name] == part}
        changes[part] = save(values, {"format": "pt"})
    index = json.dumps({"metadata": {}, "weight_map": names})
    changes["model.safetensors.index.json"] = index.encode()
    return changes


@pytest.fixture(scope="module")
def answers(tiny_tagger, tmp_path_factory) -> dict:
    """Return what the program says about each model, by name without its owner."""
    home = tmp_path_factory.mktemp("home")
    good = {"good": {}, "good-parts": in_parts(tiny_tagger)}
    models = DAMAGED | {"tagged": DAMAGED["pointer"], **good}
    with HubServer() as server:
        for name, changes in models.items():
            files = {path.name: path.read_bytes() for path in tiny_tagger.iterdir()} | changes
            kept = {file: data for file, data in files.items() if data is not None}
            server.add(f"tester/{name}", kept)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *(f"tester/{name}" for name in models)],
            cwd=ROOT,
            env=os.environ | server.environment(home),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {"home": home} | {name.removeprefix("tester/"): found.get(name) for name in found}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_model_is_named_with_the_remedy(kind, answers, snapshot):
    repository = answers["home"] / "hub" / f"models--tester--{kind}"
    (commit,) = (repository / "snapshots").iterdir()
    message = answers[kind]
    assert stable(message, answers["home"]).replace(commit.name, "<commit>") == snapshot
    assert f"delete {repository}." in message


def test_a_tagger_checks_too(answers):
    assert "pointer of Git LFS" in answers["tagged"]


@pytest.mark.parametrize("name", ["good", "good-parts"])
def test_a_good_model_gives_the_tags_of_its_folder(name, answers, tiny_tagger):
    texts = ["Peter Blackburn went to Paris.", "EU rejects German call", ""]
    expected = [result["entities"] for result in Tagger(tiny_tagger)(texts)]
    assert answers[name] == [
        [{**entity, "score": pytest.approx(entity["score"], abs=1e-5)} for entity in entities]
        for entities in expected
    ]
    assert any(expected)
