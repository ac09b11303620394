"""Secrets: no token in what is printed or written."""

import pytest

from support.secrets import scrub
from tests.helpers.hub_server import TOKEN


@pytest.mark.parametrize(
    "command",
    [
        f"train.py --hub_token {TOKEN} --x",
        f"train.py --hub-token={TOKEN} --x",
        "train.py --token 'mysecret' --x",
        f"HF_TOKEN={TOKEN} train.py --x",
    ],
)
def test_scrub_leaves_the_rest_of_a_command(command):
    scrubbed = scrub(command)
    assert TOKEN not in scrubbed
    assert "mysecret" not in scrubbed
    assert "train.py" in scrubbed
    assert scrubbed.endswith(" --x")
