"""Measure the time that training loses by pushing to a Hub that takes 30 s for a push.

    python benchmarks/push.py                       # about 7 minutes
    python benchmarks/push.py --epochs 2 --steps 50 --delay 5

Epochs of the same steps are trained in turn without and with a push, in one process; both kinds
save the model. The encoder has the shape of all-MiniLM-L6-v2 (90 MB of weights). The Hub is that of
the tests, in a process of its own. Training loses the time inside `push`, which copies files, and
its steps may be slower while the pushing thread works. On a machine with other load, the processor
time of the pushing thread is more reliable than the times of the steps: without a spare core,
training loses at most that time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parents[1]
SERVER = """
import math, sys
from tests.helpers.hub_server import HubServer
with HubServer() as server:
    server.fail("POST .*/commit/", delay=float(sys.argv[1]), times=math.inf)
    print(server.url, flush=True)
    sys.stdin.read()
"""


def main():
    """Start the Hub, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4, help="epochs of each kind")
    parser.add_argument("--steps", type=int, default=300, help="steps of an epoch")
    parser.add_argument(
        "--delay", type=float, default=30.0, help="seconds that the Hub takes for a push"
    )
    args = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(args.delay)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with tempfile.TemporaryDirectory() as work:
            measure(args, server.stdout.readline().strip(), Path(work))
    finally:
        server.stdin.close()
        server.wait()


def measure(args, url: str, work: Path) -> None:
    """Train epochs with and without a push in turn, and print what a push costs."""
    sys.path.insert(0, str(ROOT))
    from tests.helpers.hub_server import TOKEN

    os.environ |= {"HF_ENDPOINT": url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    import torch
    import transformers
    from accelerate import PartialState

    from hub.pusher import start_pushing
    from settings.run_settings import HubSettings

    transformers.logging.disable_progress_bar()

    torch.set_num_threads(1)  # leaves a core to the pushing thread, as most machines do
    output_dir = work / "model"
    output_dir.mkdir()
    pusher = start_pushing(HubSettings(push_to_hub=True), output_dir, PartialState(cpu=True))
    model, optimizer, batch = make_encoder(torch)
    train(model, optimizer, batch, 20)  # warm-up
    steps = {False: [], True: []}
    seconds_in_push, epochs = [], {False: [], True: []}
    other_threads = {False: [], True: []}  # processor time of all threads but this one
    for epoch in range(2 * args.epochs):
        pushing = bool(epoch % 2)
        began, before = time.perf_counter(), time.process_time() - time.thread_time()
        if pushing:
            # At the start of the epoch, so that the push runs during the steps that are timed.
            pusher.push(output_dir, f"Training in progress epoch {epoch}")
            seconds_in_push.append(time.perf_counter() - began)
        steps[pushing] += train(model, optimizer, batch, args.steps)
        epochs[pushing].append(time.perf_counter() - began)
        model.save_pretrained(output_dir)
        while not pusher.idle:  # the next epoch must have the machine to itself
            time.sleep(0.1)
        other_threads[pushing].append(time.process_time() - time.thread_time() - before)
    pusher.finish(output_dir)
    without, with_push = mean(epochs[False]), mean(epochs[True])
    print(f"epochs without a push: {', '.join(f'{s:.2f}' for s in epochs[False])} s")
    print(f"epochs with a push:    {', '.join(f'{s:.2f}' for s in epochs[True])} s")
    print(f"a step: median {1000 * median(steps[False]):.2f} ms without a push, "
          f"{1000 * median(steps[True]):.2f} ms with one")  # fmt: skip
    print(f"inside push(): {', '.join(f'{1000 * s:.1f}' for s in seconds_in_push)} ms")
    print(f"lost to push() itself: {100 * mean(seconds_in_push) / without:.3f} % of an epoch")
    pushing_thread = mean(other_threads[True]) - mean(other_threads[False])
    print(f"processor time of the pushing thread: {pushing_thread:.3f} s per push, "
          f"{100 * pushing_thread / without:.2f} % of an epoch")  # fmt: skip
    print(
        f"lost in total: {100 * (with_push / without - 1):.2f} % of an epoch, by its mean duration"
    )
    slower = median(steps[True]) / median(steps[False]) - 1
    print(f"               {100 * slower:.2f} %, by the median step")


def make_encoder(torch):
    """Return a model with random weights, its optimizer and a batch."""
    from transformers import BertConfig, BertForTokenClassification

    torch.manual_seed(0)
    shape = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
    config = BertConfig(**shape, intermediate_size=1536, num_labels=9)
    model = BertForTokenClassification(config)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    ids = torch.randint(1000, 2000, (8, 24))
    return model, optimizer, {"input_ids": ids, "labels": ids % 9}


def train(model, optimizer, batch, steps: int) -> list[float]:
    """Train for a number of steps; return the seconds of each."""
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()
