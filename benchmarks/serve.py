"""Compare `Tagger` with transformers' `pipeline` behind the same web service.

    python benchmarks/serve.py --model all-MiniLM-L6-v2-finetuned-ner

The service is examples/serve_fastapi.py with all its checks. Each side has a process of its own.
The clients are in another process; each keeps its connection open and sends one text per request.
The sides take turns. The table has requests per second, and the median and 99th percentile of the
latency. The pipeline runs with its defaults, and with batches.
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import describe
from tagging_speed import sample_texts

ROOT = Path(__file__).resolve().parent.parent
# Serves one side. Arguments: the root of the suite, the side, the model, the descriptor of a
# socket that listens.
SERVER = """
import sys
root, side, model, descriptor = sys.argv[1:]
sys.path[:0] = [root, root + "/examples"]
import uvicorn
from serve_fastapi import Limits, create_app
if side == "Tagger":
    from infer import Tagger
    tag = Tagger(model)
else:
    from transformers import pipeline
    run = pipeline("token-classification", model, aggregation_strategy="simple")
    size = int(side.split()[-1]) if "batches" in side else 1
    def tag(texts):
        results = []
        for text, entities in zip(texts, run(texts, batch_size=size)):
            entities = [entity | {"score": float(entity["score"])} for entity in entities]
            results.append({"text": text, "entities": entities})
        return results
uvicorn.run(
    create_app(tag, Limits()), fd=int(descriptor), http="h11", log_level="warning", access_log=False
)
"""
SIDES = ("Tagger", "pipeline, defaults", "pipeline, batches of 16")


def main():
    """Read the command line, start the servers and measure them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="folder of a trained model")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--requests", type=int, default=500, help="of all clients, in a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = sample_texts(options.requests)
    print(f"{describe()}; {time.strftime('%Y-%m-%d')}")
    processes, ports = [], {}
    try:
        for side in SIDES:
            with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
                ports[side] = listener.getsockname()[1]
                command = [sys.executable, "-c", SERVER, ROOT, side, options.model]
                processes.append(
                    subprocess.Popen(
                        [*command, str(listener.fileno())], pass_fds=[listener.fileno()]
                    )
                )
        for port in ports.values():  # answered once the model is loaded
            asyncio.run(load(port, texts[:50], 8))
        print("| clients | side | requests/s | ratio to Tagger | median, ms | 99 %, ms |")
        print("| --- | --- | --- | --- | --- | --- |")
        for clients in options.clients:
            print_rows(clients, ports, texts, options.rounds)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def print_rows(clients: int, ports: dict[str, int], texts: list[str], rounds: int) -> None:
    """Measure all sides in turn and print their rows."""
    rates = {side: [] for side in SIDES}
    latencies = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            began = time.perf_counter()
            latencies[side] += asyncio.run(load(ports[side], texts, clients))
            rates[side].append(len(texts) / (time.perf_counter() - began))
    medians = {side: statistics.median(values) for side, values in rates.items()}
    for side in SIDES:
        ordered = sorted(latencies[side])
        middle, late = ordered[len(ordered) // 2], ordered[int(0.99 * len(ordered))]
        print(
            f"| {clients} | {side} | {medians[side]:.1f} | {medians[side] / medians['Tagger']:.2f} "
            f"| {1000 * middle:.0f} | {1000 * late:.0f} |"
        )


async def load(port: int, texts: list[str], clients: int) -> list[float]:
    """Return the seconds that each request took."""
    waiting = iter(texts)
    seconds = []

    async def ask_all() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for text in waiting:
            body = json.dumps({"text": text}).encode()
            head = f"POST /tag HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            began = time.perf_counter()
            writer.write(head.encode() + body)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                sys.exit(f"a request failed: {head.decode()}")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            seconds.append(time.perf_counter() - began)
            if answer["text"] != text:
                sys.exit("a client got the response to another client")
        writer.close()

    await asyncio.gather(*(ask_all() for _ in range(clients)))
    return seconds


if __name__ == "__main__":
    main()
