"""Serve a model over HTTP, with FastAPI and uvicorn.

    pip install "fastapi>=0.165,<1" "uvicorn>=0.54,<1"
    TAGGER_TOKEN=secret python examples/serve_fastapi.py --model all-MiniLM-L6-v2-finetuned-ner
    curl localhost:8000/tag -H "Authorization: Bearer secret" -d '{"text": "Anna went to Paris."}'
    curl localhost:8000/health

The response to a text is the result of `Tagger`; the response to a list of texts is a list of
results. While one batch is tagged, the texts of other requests wait; together they are the next
batch. A refused request gets status 4xx or 503 and the reason as `detail`. SIGTERM and Ctrl-C stop
the server once all requests have a response. uvicorn waits without a limit for the first line and
the headers of a request: on a public network, put a reverse proxy in front.
"""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from infer import Tagger
from support.errors import run_script

BATCH_CHARACTERS = 20_000  # a batch of this size takes no more requests
Results = list[dict[str, Any]]


class TagRequest(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid")
    text: str | list[str]


class Limits(NamedTuple):
    """Limits of requests; what exceeds them is refused."""

    body_bytes: int = 100_000
    seconds: float = 30.0
    waiting: int = 256
    connections: int = 1000


LIMITS = {
    "body_bytes": "bytes of a body",
    "seconds": "seconds to send the body, and again to wait for the answer",
    "waiting": "requests that wait for the tagger",
    "connections": "open connections",
}


class Batches:
    """The texts of waiting requests, tagged together by one thread: nothing else uses `tag`."""

    def __init__(self, tag: Callable[[list[str]], Results], waiting: int) -> None:
        self.tag, self.thread = tag, ThreadPoolExecutor(1)
        self.waiting: asyncio.Queue[tuple[list[str], asyncio.Future[Results]]]
        self.waiting = asyncio.Queue(waiting)

    async def results(self, texts: list[str]) -> Results:
        """Return the results of texts; raise QueueFull where too many requests wait."""
        answer: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait((texts, answer))
        return await answer

    async def run(self) -> None:
        """Tag the waiting texts, batch after batch."""
        while True:
            batch = [await self.waiting.get()]
            characters = sum(map(len, batch[0][0]))
            while not self.waiting.empty() and characters < BATCH_CHARACTERS:
                batch.append(self.waiting.get_nowait())
                characters += sum(map(len, batch[-1][0]))
            await self._answer([(texts, answer) for texts, answer in batch if not answer.done()])

    async def _answer(self, batch: list[tuple[list[str], asyncio.Future[Results]]]) -> None:
        texts = [text for texts, _ in batch for text in texts]
        loop = asyncio.get_running_loop()
        try:
            results = iter(await loop.run_in_executor(self.thread, self.tag, texts))
        except Exception as error:
            for waiting in batch if len(batch) > 1 else ():  # only one of them fails
                await self._answer([waiting])
            if len(batch) == 1 and not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for texts, answer in batch:
            own = list(islice(results, len(texts)))
            if not answer.done():  # the request may have timed out
                answer.set_result(own)


def create_app(
    tag: Callable[[list[str]], Results], limits: Limits, token: str | None = None
) -> FastAPI:
    """Return the application; `tag` gets texts and returns a result for each."""
    batches = Batches(tag, limits.waiting)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with batches.thread:
            app.state.running = asyncio.create_task(batches.run())
            yield
            app.state.running.cancel()

    def check_token(request: Request) -> None:
        given = request.headers.get("Authorization", "").encode("latin-1")
        if token is not None and not secrets.compare_digest(given, f"Bearer {token}".encode()):
            raise HTTPException(401, "wrong or missing token", {"WWW-Authenticate": "Bearer"})

    async def tag_request_of(request: Request) -> TagRequest:
        body = bytearray()
        try:
            async with asyncio.timeout(limits.seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > limits.body_bytes:
                        raise HTTPException(
                            413, f"body: expected {limits.body_bytes} bytes or less"
                        )
            return TagRequest.model_validate_json(bytes(body))
        except TimeoutError:
            message = f"body: not complete after {limits.seconds:g} s"
            raise HTTPException(408, message, {"Connection": "close"}) from None
        except ClientDisconnect:
            raise HTTPException(400, "body: not complete") from None
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            places = (".".join(map(str, ["body", *problem["loc"]])) for problem in problems)
            messages = [f"{place}: {p['msg']}" for place, p in zip(places, problems, strict=True)]
            raise HTTPException(422, "; ".join(messages[:3])) from None

    app = FastAPI(title="Token classification", lifespan=lifespan)
    body = {"content": {"application/json": {"schema": TagRequest.model_json_schema()}}}

    @app.post("/tag", dependencies=[Depends(check_token)], openapi_extra={"requestBody": body})
    async def answer(request: Request) -> JSONResponse:
        text = (await tag_request_of(request)).text
        try:
            async with asyncio.timeout(limits.seconds):
                results = await batches.results([text] if isinstance(text, str) else text)
        except (asyncio.QueueFull, TimeoutError):
            message = "too many requests are waiting: try again later"
            raise HTTPException(503, message, {"Retry-After": "1"}) from None
        return JSONResponse(results[0] if isinstance(text, str) else results)

    @app.get("/health")
    async def health() -> dict[str, str]:
        if app.state.running.done():
            raise HTTPException(503, "the tagger has stopped")
        return {"status": "ok"}

    return app


def main() -> None:
    """Load the model, then serve it until a signal arrives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a folder, or a name on the Hub")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--token",
        default=os.environ.get("TAGGER_TOKEN"),
        help="token that requests must have; TAGGER_TOKEN is safer: other users cannot see it",
    )
    for name, default in Limits()._asdict().items():
        meaning = f"{LIMITS[name]} (default: {default})"
        parser.add_argument(f"--{name}", type=type(default), default=default, help=meaning)
    flags = parser.parse_args()
    limits = Limits(*(getattr(flags, name) for name in Limits._fields))
    uvicorn.run(
        create_app(Tagger(flags.model), limits, flags.token),
        host=flags.host,
        port=flags.port,
        http="h11",
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=int(2 * limits.seconds) + 1,
    )


if __name__ == "__main__":
    run_script(main)
