"""One commit on the Hub, and errors of the Hub's client."""

from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download

from hub.client import one_line
from results.card import write_card
from tests.helpers.cards import FACTS, problems_the_hub_would_find
from tests.helpers.pushes import REPO, save

# huggingface_hub uploads in a way that its HTTP library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


def test_an_error_is_shown_without_the_signature_of_an_address():
    error = ValueError("PUT http://x/lfs/1?signature=secret failed")
    assert one_line(error) == "ValueError: PUT http://x/lfs/1 failed"


def test_only_weights_in_another_number_of_shards_are_deleted_from_the_repository(
    server, pusher, folder
):
    names = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "notes.txt"]
    server.add(REPO, dict.fromkeys([*names, "other/model.safetensors"], b"old"))
    save(folder, 0)
    pusher.finish(folder)
    files = set(server.commits(REPO)[-1].files)
    assert {"notes.txt", "other/model.safetensors", "model.safetensors"} <= files
    assert not files & set(names[:2])


def test_the_card_is_read_back_from_the_hub(server, pusher, folder):
    server.validate_card = problems_the_hub_would_find
    write_card(folder, FACTS)
    pusher.finish(folder)
    path = hf_hub_download(REPO, "README.md")
    assert Path(path).read_bytes() == (folder / "README.md").read_bytes()
    assert any("validate-yaml" in request for request in server.requests)


def test_edits_of_a_person_on_the_hub_survive_a_push(server, pusher, folder):
    card = write_card(folder, FACTS).read_text()
    edited = card.replace("license: apache-2.0", "license: mit") + "\n## Limits\n\nNews only.\n"
    server.add(REPO, {"README.md": edited.encode()})
    changed = {**FACTS, "corpus_fingerprint": "fedcba9876543210"}
    local = write_card(folder, changed).read_bytes()
    pusher.push(folder, "Training in progress epoch 0")
    pusher.finish(folder)
    for commit in server.commits(REPO)[-1:]:
        pushed_card = commit.files["README.md"].decode()
        assert "## Limits\n\nNews only." in pushed_card
        assert "license: mit" in pushed_card
        assert "fedcba9876543210" in pushed_card
        assert "0123456789abcdef" not in pushed_card
        assert problems_the_hub_would_find(pushed_card) == []
    assert (folder / "README.md").read_bytes() == local


def test_a_card_without_edits_on_the_hub_is_pushed_byte_for_byte(server, pusher, folder):
    write_card(folder, FACTS)
    pusher.push(folder, "Training in progress epoch 0")
    write_card(folder, {**FACTS, "corpus_fingerprint": "fedcba9876543210"})
    pusher.finish(folder)
    assert server.commits(REPO)[-1].files["README.md"] == (folder / "README.md").read_bytes()
