"""Fixtures that all tests share, and an isolated environment.

Nothing here needs the network. The user's caches stay untouched: before any library is imported,
this process and its children get a temporary folder for caches.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from encoder.cpu import VARIABLE
from tests.helpers.models import ENTITY_LABELS, save_tiny_encoder, save_tiny_tagger

_HOME = tempfile.mkdtemp(prefix="ner-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["HF_HOME"] = _HOME
for _name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT", "HF_TOKEN", VARIABLE):
    os.environ.pop(_name, None)
# A name server that hangs would cost each test three seconds. Tests of the Hub turn this off.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # avoids a warning at every fork
os.environ["OMP_NUM_THREADS"] = "1"  # two files are tested at a time; models are tiny
for _name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "ACCELERATE_USE_CPU", "NO_COLOR", "FORCE_COLOR"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """Folder of a random BERT (2 layers of 32, 64 positions) with a fast cased tokenizer."""
    return save_tiny_encoder(tmp_path_factory.mktemp("tiny-encoder"))


@pytest.fixture(scope="session")
def tiny_tagger(tmp_path_factory) -> Path:
    """Folder of a random BERT with a head for the entity labels of CoNLL-2003, windows of 64."""
    return save_tiny_tagger(tmp_path_factory.mktemp("tiny-tagger"), ENTITY_LABELS)


@pytest.fixture(scope="session")
def tiny_pos_tagger(tmp_path_factory) -> Path:
    """Folder of a random BERT with a head for four parts of speech."""
    labels = ["DET", "NOUN", "PUNCT", "VERB"]
    return save_tiny_tagger(tmp_path_factory.mktemp("tiny-pos-tagger"), labels, "pos", seed=1)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: with tiny models, several only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def look_up(tiny_tagger, monkeypatch):
    """Return a tagger with known tags; during the test, each new `Tagger` of its kind has them."""
    from tagging.tagger import Tagger
    from tests.helpers.tagging import use_look_up

    use_look_up(monkeypatch)
    return Tagger(tiny_tagger)
