"""What all tests share: a tiny encoder and a tiny tagger, and an environment of their own.

Nothing here needs the network. The user's caches are not touched: the libraries' folders are put
into a temporary one before any of them is imported, for this process and for those it starts.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from encoder.cpu import VARIABLE
from tests.helpers.models import ENTITY_LABELS, save_tiny_encoder, save_tiny_tagger

_HOME = tempfile.mkdtemp(prefix="ner-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["HF_HOME"] = _HOME
for _name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ENDPOINT", "HF_TOKEN", VARIABLE):
    os.environ.pop(_name, None)
# A name server that hangs would cost each test its three seconds; tests of the Hub say otherwise.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else a warning at every fork
for _name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "ACCELERATE_USE_CPU", "NO_COLOR", "FORCE_COLOR"):
    os.environ.pop(_name, None)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """Folder of a random BERT (2 layers of 32, 64 positions) with a fast cased tokenizer."""
    return save_tiny_encoder(tmp_path_factory.mktemp("tiny-encoder"))


@pytest.fixture(scope="session")
def tiny_tagger(tmp_path_factory) -> Path:
    """Folder of the same with a head for CoNLL-2003's entity labels; windows of 64 tokens."""
    return save_tiny_tagger(tmp_path_factory.mktemp("tiny-tagger"), ENTITY_LABELS)


@pytest.fixture(scope="session")
def tiny_pos_tagger(tmp_path_factory) -> Path:
    """The same with a head for four parts of speech."""
    labels = ["DET", "NOUN", "PUNCT", "VERB"]
    return save_tiny_tagger(tmp_path_factory.mktemp("tiny-pos-tagger"), labels, "pos", seed=1)


@pytest.fixture
def look_up(tiny_tagger, monkeypatch):
    """A tagger whose tags are known; every other `Tagger` of such a folder becomes one too."""
    from tagging.tagger import Tagger
    from tests.helpers.tagging import use_look_up

    use_look_up(monkeypatch)
    return Tagger(tiny_tagger)
