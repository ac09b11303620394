"""Secrets: no token in what is printed or written."""

import shlex

import pytest

from support.secrets import scrub, scrubbed_command
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


@pytest.mark.parametrize("secret", ["plain", "a$b", "a b", "a'b", 'a"b', "", TOKEN])
def test_a_scrubbed_command_can_still_be_read_by_a_shell(secret):
    words = ["train.py", "--hub_token", secret, f"--hub_token={secret}", "--train_file", "a b.txt"]
    shown = scrubbed_command(words)
    expected = ["train.py", "--hub_token", "***", "--hub_token=***", "--train_file", "a b.txt"]
    assert shlex.split(shown) == expected
    assert shlex.split(scrub(shown)) == expected  # it is scrubbed again where it is shown
