"""Reachability of the Hub, decided in time."""

import http.server
import os
import socket
import threading
import time

import pytest

from support import reachability
from support.end_of_run import one_run
from support.reachability import go_offline, hub_reachable


@pytest.fixture
def hub_at(monkeypatch):
    from huggingface_hub import constants

    def point(endpoint: str):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setenv("no_proxy", "127.0.0.1")

    return point


@pytest.mark.parametrize("status", [200, 404, 503])
def test_any_answer_means_that_the_hub_is_reachable(status, hub_at):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            """Silence."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        hub_at(f"http://127.0.0.1:{server.server_port}")
        assert hub_reachable() is True


def test_no_server_a_silent_one_and_offline_are_unreachable_in_time(hub_at, monkeypatch):
    assert reachability.HUB_TIMEOUT_S <= 3
    monkeypatch.setattr(reachability, "HUB_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hub_at(f"http://127.0.0.1:{port}")
        started = time.monotonic()
        assert hub_reachable() is False
        assert time.monotonic() - started < 2
    hub_at(f"http://127.0.0.1:{port}")  # closed by now
    assert hub_reachable() is False
    hub_at("no address")
    assert hub_reachable() is False

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        reachability.urllib.request, "urlopen", lambda *a, **k: pytest.fail("asked")
    )
    assert hub_reachable() is False


def test_the_next_run_asks_again(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "0")

    @one_run
    def main():
        go_offline()
        assert constants.HF_HUB_OFFLINE and os.environ["HF_HUB_OFFLINE"] == "1"

    main()
    assert not constants.HF_HUB_OFFLINE
