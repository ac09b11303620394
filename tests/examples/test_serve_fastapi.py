"""The web service: `examples/serve_fastapi.py` as a process of its own, with clients in threads."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.helpers.examples import FOLDER, load_example, need, run_example
from tests.helpers.tagging import TEXT, cached_tagger

pytestmark = pytest.mark.exhaustive
need("fastapi", "uvicorn")

CLIENTS = 64
BODY_BYTES = 20_000
TOKEN = "gehéim"
HEAD = b"POST /tag HTTP/1.1\r\nHost: localhost\r\n"


class Service:
    """A running service."""

    def __init__(self, process: subprocess.Popen, port: int):
        self.process, self.port = process, port

    def ask(self, body: Any, **headers: str) -> tuple[int, Any]:
        """Return status and content of the answer to a body: bytes, or values for JSON."""
        status, content, _ = self.request("POST", "/tag", body, **headers)
        return status, content

    def request(self, method: str, path: str, body: Any = None, **headers: Any):
        """Return status, content and headers of an answer; an iterator is sent in chunks."""
        if not isinstance(body, bytes | Iterator | None):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), answer.headers
        finally:
            connection.close()

    def connect(self, content: bytes) -> socket.socket:
        """Return a connection on which `content` was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.sendall(content)
        return connection


@contextmanager
def service(model, *flags: str, **environment: str) -> Iterator[Service]:
    """Run the service on a free port."""
    process = subprocess.Popen(
        [sys.executable, FOLDER / "serve_fastapi.py", "--model", model, "--port", "0", *flags],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | environment,
    )
    try:
        messages = []
        for line in process.stderr:
            messages.append(line)
            if started := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise AssertionError("".join(messages))
        # A full pipe would stop the service.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Service(process, int(started[1]))
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tiny_tagger) -> Iterator[Service]:
    """A service with small limits."""
    with service(tiny_tagger, "--body_bytes", str(BODY_BYTES), "--seconds", "3") as running:
        yield running


def same(answer: Any, expected: Any) -> bool:
    """Return whether results are equal except for the rounding of scores, which batches change."""
    if isinstance(expected, float):
        return abs(answer - expected) < 1e-4
    if isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(
            map(same, answer.values(), expected.values())
        )
    if isinstance(expected, list):
        return len(answer) == len(expected) and all(map(same, answer, expected))
    return answer == expected


# --- Answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [TEXT, "", [], [TEXT, "", "Anna"], "中 é \U0001f600 \u2028"])
def test_a_text_gets_its_result_and_a_list_gets_results(server, tiny_tagger, texts):
    expected = cached_tagger(tiny_tagger)(texts)
    status, answer = server.ask({"text": texts})
    assert status == 200
    assert same(answer, expected[0] if isinstance(texts, str) else expected)


def test_clients_at_the_same_time_get_their_own_answers(server, tiny_tagger):
    """Each sends other texts, and another number of them."""
    places = ("Paris", "New York", "Brooklyn", "EU")
    questions = [
        [f"Peter {client} went from {places[n]} to {client * n}." for n in range(client % 4 + 1)]
        for client in range(CLIENTS)
    ]
    ready = threading.Barrier(CLIENTS)

    def ask(texts: list[str]) -> list[Any]:
        ready.wait()
        return [server.ask({"text": texts}) for _ in range(5)]

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(ask, questions))
    tagger = cached_tagger(tiny_tagger)
    for texts, own in zip(questions, answers, strict=True):
        expected = tagger(texts)
        assert all(status == 200 and same(results, expected) for status, results in own)


def test_requests_that_wait_are_tagged_together_and_a_failure_stays_alone(tiny_tagger):
    """In this process, with a function in place of the tagger."""
    calls = []

    def tag(texts):
        calls.append(texts)
        time.sleep(0.05)
        if "bad" in texts:
            raise ValueError("bad")
        return [{"text": text} for text in texts]

    async def ask_all() -> list[Any]:
        batches = load_example("serve_fastapi").Batches(tag, 10)
        running = asyncio.create_task(batches.run())
        questions = [["first"], ["a", "b"], [], ["bad"], ["c"]]
        answers = await asyncio.gather(*map(batches.results, questions), return_exceptions=True)
        running.cancel()
        return answers

    first, second, empty, bad, last = asyncio.run(ask_all())
    assert first == [{"text": "first"}] and second == [{"text": "a"}, {"text": "b"}]
    assert empty == [] and last == [{"text": "c"}]
    assert isinstance(bad, ValueError)
    assert calls[0] == ["first", "a", "b", "bad", "c"]


def test_health(server):
    assert server.request("GET", "/health")[:2] == (200, {"status": "ok"})


# --- Refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body,status,message",
    [
        (b"", 422, "JSON"),
        (b"Anna went to Paris.", 422, "JSON"),
        (b'{"text": "Malm\xf6"}', 422, "JSON"),
        (b'{"text": "\\ud800"}', 422, "JSON"),
        (b"[" * 10_000, 422, "JSON"),
        (b'"Anna"', 422, "body: "),
        ({}, 422, "body.text: Field required"),
        ({"text": None}, 422, "body.text"),
        ({"text": ["Anna", 5]}, 422, "body.text"),
        ({"text": list(range(1000))}, 422, "body.text"),
        ({"text": {"Anna": 1}}, 422, "body.text"),
        ({"text": "Anna", "texts": []}, 422, "body.texts"),
        ({"text": "a" * BODY_BYTES}, 413, f"{BODY_BYTES} bytes"),
    ],
)
def test_a_wrong_request_gets_the_reason(server, body, status, message):
    given, answer = server.ask(body)
    assert given == status
    assert message in answer["detail"] and len(answer["detail"]) < 500


def test_paths_and_methods_that_do_not_exist(server):
    assert server.request("GET", "/tag")[0] == 405
    assert server.request("POST", "/", {"text": ""})[0] == 404


@pytest.mark.parametrize("line", [b"nonsense\r\n\r\n", HEAD + b"Content-Length: ten\r\n\r\n"])
def test_what_is_not_http_gets_a_status_of_400(server, line):
    with server.connect(line) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_a_body_without_a_length_is_refused_once_it_is_too_long(server):
    """The client would send chunks for ever; the service does not read them all first."""
    with server.connect(HEAD + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        connection.settimeout(0.01)
        answer = b""
        sent = 0
        while not answer and sent < 100 * BODY_BYTES:
            connection.sendall(b"3e8\r\n" + b"a" * 1000 + b"\r\n")
            sent += 1000
            try:
                answer = connection.recv(1000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 413")
        assert sent < 3 * BODY_BYTES


def test_slow_clients_are_cut_off_and_nobody_waits_for_them(server, tiny_tagger):
    began = time.monotonic()
    slow = [server.connect(HEAD + b"Content-Length: 1000\r\n\r\n{") for _ in range(CLIENTS)]
    slower = [server.connect(HEAD[: n % len(HEAD)]) for n in range(CLIENTS)]
    expected = cached_tagger(tiny_tagger)(TEXT)[0]
    for _ in range(10):
        status, answer = server.ask({"text": TEXT})
        assert status == 200 and same(answer, expected)
    assert time.monotonic() - began < 3, "the answers came after the slow clients"
    for connection in slow:
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        while connection.recv(1000):  # until the service closes it
            pass
    assert time.monotonic() - began > 2.5
    for connection in slow + slower:
        connection.close()


def test_a_client_that_leaves_harms_nobody(server):
    for content in (HEAD, HEAD + b"Content-Length: 1000\r\n\r\n{"):
        server.connect(content).close()
    body = json.dumps({"text": TEXT}).encode()
    server.connect(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body).close()
    assert server.ask({"text": TEXT})[0] == 200


def test_more_requests_than_may_wait_are_refused(tiny_tagger):
    """While a long text is tagged, one request may wait."""
    with service(tiny_tagger, "--waiting", "1", "--body_bytes", "3000000") as server:
        ready = threading.Barrier(CLIENTS)

        def ask(client: int) -> tuple[int, Any, Any]:
            ready.wait()
            return server.request("POST", "/tag", {"text": "Anna went to Paris. " * 3000})

        with ThreadPoolExecutor(CLIENTS) as clients:
            answers = list(clients.map(ask, range(CLIENTS)))
        statuses = {status for status, _, _ in answers}
        assert statuses == {200, 503}
        refusals = [(answer, headers) for status, answer, headers in answers if status == 503]
        assert all("try again" in answer["detail"] for answer, _ in refusals)
        assert all(headers["Retry-After"] == "1" for _, headers in refusals)
        assert server.ask({"text": TEXT})[0] == 200


def test_a_request_that_takes_too_long_is_refused(tiny_tagger):
    flags = ("--body_bytes", "30000000", "--seconds", "0.5")
    with service(tiny_tagger, *flags) as server:
        status, answer = server.ask({"text": "Anna went to Paris. " * 100_000})
        assert status == 503 and "try again" in answer["detail"]


# --- Token ------------------------------------------------------------------------------------


def test_a_token_is_asked_for(tiny_tagger):
    with service(tiny_tagger, TAGGER_TOKEN=TOKEN) as server:
        given = f"Bearer {TOKEN}".encode()
        for wrong in ({}, {"Authorization": "Bearer"}, {"Authorization": given + b"x"}):
            status, answer, headers = server.request("POST", "/tag", {"text": TEXT}, **wrong)
            assert status == 401 and "token" in answer["detail"]
            assert headers["WWW-Authenticate"] == "Bearer"
        assert server.ask({"text": TEXT}, Authorization=given)[0] == 200
        assert server.request("GET", "/health")[0] == 200


def test_the_token_is_asked_for_before_the_body(tiny_tagger):
    with (
        service(tiny_tagger, "--token", "secret") as server,
        server.connect(HEAD + b"Content-Length: 1000\r\n\r\n") as connection,
    ):
        assert connection.recv(1000).startswith(b"HTTP/1.1 401")


# --- Start and stop ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service_once_its_requests_are_answered(tiny_tagger, number):
    text = "Anna went to Paris. " * 20_000
    with service(tiny_tagger, "--body_bytes", "3000000", "--seconds", "60") as server:
        with ThreadPoolExecutor(1) as client:
            answer = client.submit(server.ask, {"text": text})
            time.sleep(0.5)  # the text takes seconds
            assert not answer.done()
            server.process.send_signal(number)
            status, result = answer.result(60)
        assert status == 200 and result["text"] == text
        server.process.wait(10)
        with pytest.raises(ConnectionError):
            server.ask({"text": TEXT})


def test_a_model_that_cannot_be_loaded_is_one_message(tmp_path):
    process = run_example("serve_fastapi", "--model", tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith("error: ") and "Traceback" not in process.stderr
