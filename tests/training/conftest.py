"""The corpus and the encoder of the tests of training."""

import pytest

from tests.helpers.checkpoints import SETTINGS
from tests.helpers.script_runs import write_corpus


@pytest.fixture(scope="session")
def flags(tiny_encoder, tmp_path_factory) -> list:
    """Return the flags of a run with dropout; 10 steps an epoch of batch 8."""
    corpus = write_corpus(tmp_path_factory.mktemp("corpus"))
    return ["--model_name_or_path", tiny_encoder, *corpus, *SETTINGS]
