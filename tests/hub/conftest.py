"""A local Hub, a folder of results, and a pusher between them."""

import pytest
from huggingface_hub import close_session, constants

from hub import pusher as pusher_module
from hub.pusher import Pusher
from tests.helpers.hub_server import HubServer
from tests.helpers.pushes import REPO


@pytest.fixture
def server(monkeypatch, tmp_path):
    with HubServer() as server:
        for name, value in server.environment(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        address = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "home" / "token"))
        monkeypatch.setattr(pusher_module, "FIRST_WAIT", 0.05)
        monkeypatch.setattr(pusher_module, "LONGEST_WAIT", 0.3)
        close_session()
        yield server


@pytest.fixture
def repo(server):
    server.create(REPO)
    return REPO


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


@pytest.fixture
def lines():
    """The lines that the pusher prints for the user."""
    return []


@pytest.fixture
def pusher(repo, folder, lines):
    pusher = Pusher(repo, folder, timeout=1.0, say=lines.append)
    yield pusher
    pusher.abandon(quiet=True)
