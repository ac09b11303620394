"""Pushes in the background to a local Hub: order, faults, interruption."""

import hashlib
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hub import contents as contents_module
from hub import pusher as pusher_module
from hub.client import set_timeouts
from hub.pusher import LAST_TRIES, Pusher, PushFailed
from support.errors import UserError
from support.manifests import MANIFEST
from support.work_folder import LOCK_FILE
from tests.helpers.hub_server import TOKEN
from tests.helpers.pushes import (
    COMMIT,
    REPO,
    WEIGHTS,
    contents,
    events,
    pushed,
    run_epochs,
    save,
    stable_message,
    wait_until,
)

ROOT = Path(__file__).parents[2]
# huggingface_hub uploads in a way that its HTTP library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


def copies(folder: Path) -> list[Path]:
    """Return the copies that wait to be pushed, and the folder of them."""
    return [path for path in (folder / ".run").glob("*") if path.name != LOCK_FILE]


# --- Commits and their order ------------------------------------------------------------------


def test_each_commit_has_the_files_of_its_epoch_although_they_changed_later(server, pusher, folder):
    server.fail("POST .*/preupload", delay=0.3, times=1)
    saved = run_epochs(pusher, folder)
    url = pusher.finish(folder)
    assert pushed(server) == saved
    assert list(pushed(server)) == list(saved)
    assert url == f"{server.url}/{REPO}/commit/{server.commits(REPO)[-1].oid}"
    assert server.most_uploads_under_way == 1
    assert not server.authorized_uploads
    assert contents(folder) == saved["Training complete"]
    assert not copies(folder)


def test_training_never_waits_for_a_push(server, pusher, folder):
    released = threading.Event()
    fault = server.fail(COMMIT, hold=released)
    saved = run_epochs(pusher, folder, between=lambda _: wait_until(lambda: fault.seen))
    assert not server.commits(REPO)  # training is done, the first push is not
    released.set()
    pusher.finish(folder)
    assert pushed(server) == saved


def test_the_oldest_of_more_than_three_waiting_pushes_is_dropped_and_reported(
    server, pusher, folder, lines, snapshot
):
    released = threading.Event()
    fault = server.fail(COMMIT, hold=released)
    saved = run_epochs(pusher, folder, 6, lambda _: wait_until(lambda: fault.seen))
    threading.Timer(0.3, released.set).start()
    pusher.finish(folder)
    # Epochs 1 to 5 and the last push were queued during the push of epoch 0: three may wait.
    kept = ["Training in progress epoch 0", "Training in progress epoch 4"]
    kept += ["Training in progress epoch 5", "Training complete"]
    assert pushed(server) == {message: saved[message] for message in kept}
    assert [re.search(r"epoch (\d)", line)[1] for line in events(lines)] == ["1", "2", "3"]
    assert events(lines)[0] == snapshot


def test_strategy_checkpoint_pushes_the_model_and_the_checkpoint(server, repo, folder, tmp_path):
    """The scripts push a checkpoint's folder: its model goes to both places."""
    pusher = Pusher(repo, tmp_path, strategy="checkpoint")
    model = save(folder, 0)
    files = {**model, "optimizer.pt": b"state"}
    (folder / "optimizer.pt").write_bytes(b"state")
    manifest = {"identity": {}, "conditions": {}, "files": dict.fromkeys(files, 0)}
    manifest["progress"] = {"run_id": "a", "step": 1}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    pusher.push(folder, "epoch 0", folder)
    pusher.finish(folder)
    files[MANIFEST] = (folder / MANIFEST).read_bytes()
    copy = {f"last-checkpoint/{name}": content for name, content in files.items()}
    assert pushed(server)["epoch 0"] == model | copy


def test_strategy_end_makes_one_commit(server, repo, folder, lines):
    pusher = Pusher(repo, folder, strategy="end", say=lines.append)
    saved = run_epochs(pusher, folder)
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved["Training complete"]}


@pytest.mark.parametrize(
    "problem",
    [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")],
    ids=["disk full", "not permitted"],
)
def test_a_failed_copy_loses_the_push_but_does_not_stop_training(
    server, pusher, folder, lines, monkeypatch, problem, snapshot
):
    def failing_copy(*_):
        raise problem

    save(folder, 0)
    with monkeypatch.context() as patch:
        patch.setattr(contents_module.shutil, "copyfile", failing_copy)
        pusher.push(folder, "Training in progress epoch 0")
    assert problem.strerror in "".join(lines)
    assert stable_message("\n".join(events(lines)), server, folder) == snapshot
    saved = save(folder, 1)
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}


def test_a_folder_without_a_model_is_not_pushed(server, pusher, folder, lines, snapshot):
    pusher.push(folder, "Training in progress epoch 0")
    assert stable_message("\n".join(lines), server, folder) == snapshot
    with pytest.raises(PushFailed) as failure:
        pusher.finish(folder / "nowhere")
    assert failure.value.status == UserError.status  # 3 says that the model is complete
    assert stable_message(failure.value, server, folder) == snapshot
    assert not server.commits(REPO)


def test_folders_of_a_user_are_not_touched(server, repo, folder, lines):
    (folder / ".push").mkdir()
    (folder / ".push" / "notes.txt").write_text("mine")
    pusher = Pusher(repo, folder, say=lines.append)
    save(folder, 0)
    pusher.finish(folder)
    assert (folder / ".push" / "notes.txt").read_text() == "mine"


def test_a_work_folder_of_a_user_is_not_touched(server, repo, folder, lines):
    (folder / ".run" / "push").mkdir(parents=True)
    (folder / ".run" / "push" / "notes.txt").write_text("mine")
    pusher = Pusher(repo, folder, say=lines.append)
    save(folder, 0)
    with pytest.raises(UserError):
        pusher.finish(folder)
    pusher.abandon()
    assert (folder / ".run" / "push" / "notes.txt").read_text() == "mine"


# --- Faults -----------------------------------------------------------------------------------

FAULTS = {
    "slow": (COMMIT, {"delay": 0.5}),
    "hangs before the upload": ("POST .*/preupload", {"hang": True}),
    "hangs in the upload": (WEIGHTS, {"hang": True}),
    "hangs in the commit": (COMMIT, {"hang": True}),
    "hangs while listing": ("GET .*/tree", {"hang": True}),
    "cut in mid-upload": (WEIGHTS, {"cut": True, "times": 3}),
    "cut in the commit": (COMMIT, {"cut": True}),
    "answer to the upload lost": (WEIGHTS, {"lose_answer": True}),
    "answer to the commit lost": (COMMIT, {"lose_answer": True}),
    "wrong digest": (WEIGHTS, {"wrong_digest": True, "times": 2}),
    "429": (COMMIT, {"status": 429, "headers": {"Retry-After": "1"}}),
    "429 without a time": (WEIGHTS, {"status": 429}),
    "500 with a page": (
        "POST .*/validate-yaml|POST .*/preupload",
        {"status": 500, "body": "<html>"},
    ),
    **{f"{s} for the commit": (COMMIT, {"status": s}) for s in (401, 403, 404, 409, 413, 500, 503)},
    **{f"{s} for the upload": (WEIGHTS, {"status": s}) for s in (403, 500, 502, 504)},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_push_is_lost_through_a_fault(fault, server, pusher, folder, lines):
    pattern, options = FAULTS[fault]
    installed = server.fail(pattern, **options)
    if "hang" in options:
        set_timeouts(0.4)
    saved = run_epochs(pusher, folder)
    pusher.finish(folder)
    assert installed.seen >= 1
    assert pushed(server) == saved
    assert list(pushed(server)) == list(saved)
    if fault == "slow":
        assert not events(lines)
    elif fault != "answer to the upload lost":
        assert "'Training in progress epoch 0'" in events(lines)[0]


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "1"}, {"RateLimit": '"api";r=0;t=1', "Retry-After": "soon"}]
)
def test_the_wait_that_a_server_asks_for_is_observed_even_at_the_end_of_the_run(
    server, pusher, folder, headers
):
    fault = server.fail(COMMIT, status=429, headers=headers, times=1)
    save(folder, 0)
    pusher.push(folder, "Training in progress epoch 0")
    wait_until(lambda: fault.seen)
    began = time.monotonic()
    save(folder, 1)
    pusher.finish(folder)
    # Without the server's request, the wait would be 0.3 s at most, or none at the end of the run.
    assert 0.9 <= time.monotonic() - began < 3
    assert len(server.commits(REPO)) == 2


def test_an_outage_that_ends_loses_nothing(server, pusher, folder, lines, snapshot):
    def outage(epoch):
        if epoch == 0:
            wait_until(lambda: len(server.commits(REPO)) == 1)
            server.close()
        if epoch == 2:
            wait_until(lambda: any("epoch 1'" in line for line in lines))
            server.reopen()

    saved = run_epochs(pusher, folder, 3, outage)
    pusher.finish(folder)
    assert pushed(server) == saved
    of_epoch_1 = [line for line in events(lines) if "epoch 1'" in line]
    assert stable_message("\n".join(of_epoch_1), server, folder) == snapshot


def test_after_a_lasting_outage_the_message_has_the_command_that_pushes(
    server, pusher, folder, snapshot
):
    (folder / "checkpoint-1 [a]").mkdir()
    (folder / "checkpoint-1 [a]" / "optimizer.pt").write_text("state")
    (folder / "training_args.bin").write_text("state")

    def outage(epoch):
        if epoch == 0:
            wait_until(lambda: len(server.commits(REPO)) == 1)
            server.close()

    run_epochs(pusher, folder, 2, outage)
    before = contents(folder)
    with pytest.raises(PushFailed) as failure:
        pusher.finish(folder)
    assert contents(folder) == before
    assert not copies(folder)
    assert stable_message(failure.value, server, folder) == snapshot
    command = next(line for line in str(failure.value).splitlines() if "hf upload" in line)
    server.reopen()
    program, *rest = shlex.split(command)
    assert program == "hf"
    hf = str(Path(sys.executable).with_name("hf"))
    subprocess.run([hf, *rest], check=True, capture_output=True, timeout=60)
    model = {name: data for name, data in before.items() if name != "training_args.bin"}
    assert pushed(server)["Training complete"] == model


def test_later_pushes_arrive_although_an_older_one_is_refused(
    server, pusher, folder, lines, snapshot
):
    """The weights of epoch 0, which are always refused, must not prevent the final push."""
    released = threading.Event()
    digest = hashlib.sha256(b"weights 0" * 5000).hexdigest()
    server.fail(f"PUT /lfs/{digest}", status=413, hold=released)
    server.fail(f"PUT /lfs/{digest}", status=413, times=math.inf)
    saved = run_epochs(pusher, folder)
    released.set()
    pusher.finish(folder)
    del saved["Training in progress epoch 0"]
    assert pushed(server) == saved
    assert "'Training in progress epoch 0'" in events(lines)[-1]
    assert events(lines)[-1] == snapshot


def test_after_a_push_that_failed_for_good_the_last_gets_one_try(server, pusher, folder):
    def digest_of_weights(epoch):
        return hashlib.sha256(f"weights {epoch}".encode() * 5000).hexdigest()

    first = server.fail(f"PUT /lfs/{digest_of_weights(0)}", status=500, times=math.inf)
    last = server.fail(f"PUT /lfs/{digest_of_weights(1)}", status=500, times=math.inf)
    with pytest.raises(PushFailed, match="500"):
        run_epochs(pusher, folder, 1)
        pusher.finish(folder)
    assert first.seen >= LAST_TRIES
    assert last.seen == 1


def test_the_end_of_the_run_does_not_wait_for_a_late_retry(
    server, pusher, folder, lines, monkeypatch
):
    monkeypatch.setattr(pusher_module, "LONGEST_WAIT", 60.0)
    server.fail(COMMIT, status=403)
    saved = {"Training in progress epoch 0": save(folder, 0)}
    pusher.push(folder, "Training in progress epoch 0")
    wait_until(lambda: lines)
    began = time.monotonic()
    saved["Training complete"] = save(folder, 1)
    pusher.finish(folder)
    assert time.monotonic() - began < 30
    assert pushed(server) == saved


def test_a_revoked_token_ends_the_run_with_the_reason(server, pusher, folder, lines):
    save(folder, 0)
    pusher.push(folder, "Training in progress epoch 0")
    wait_until(lambda: server.commits(REPO))
    server.users.clear()
    save(folder, 1)
    with pytest.raises(PushFailed, match="403"):
        pusher.finish(folder)
    assert len(server.commits(REPO)) == 1


# --- Ctrl-C and failing scripts ---------------------------------------------------------------

INTERRUPTED = """
import sys, time, signal
from pathlib import Path
from hub.pusher import Pusher
folder = Path(sys.argv[1])
pusher = Pusher("tester/model", folder)
(folder / "model.safetensors").write_bytes(b"w" * 10_000_000)
(folder / "training_curves.png").write_bytes(b"p" * 1000)
pusher.push(folder, "Training in progress epoch 0")
pusher.push(folder, "Training in progress epoch 1")
print("pushing", flush=True)
try:
    FINISH_OR_TRAIN
except KeyboardInterrupt:
    pusher.abandon()
    sys.exit(130)
"""


@pytest.mark.parametrize("activity", ["pusher.finish(folder)", "time.sleep(60)"])
def test_ctrl_c_during_a_hanging_push_ends_the_process_soon(
    server, repo, folder, activity, snapshot
):
    fault = server.fail(WEIGHTS, hang=True, times=math.inf)
    script = INTERRUPTED.replace("FINISH_OR_TRAIN", activity)
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: fault.seen, 60)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 5 * max(1.0, os.getloadavg()[0] / os.cpu_count())
    assert process.returncode == 130
    assert "Training in progress epoch 1" in errors
    assert stable_message("\n".join(events(errors.splitlines())), server, folder) == snapshot
    assert not copies(folder)


def test_a_failing_script_ends_without_copies_and_without_hanging(server, repo, folder):
    server.fail(COMMIT, hang=True, times=math.inf)
    script = INTERRUPTED.replace("FINISH_OR_TRAIN", "time.sleep(0.5); raise ValueError('a bug')")
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert time.monotonic() - began < 20
    assert process.returncode == 1
    assert "ValueError: a bug" in process.stderr
    assert not copies(folder)


def test_an_answer_that_repeats_the_token_is_shown_without_it(server, pusher, folder, lines):
    repeated = {"X-Error-Message": f"token {TOKEN} is no good"}
    server.fail(COMMIT, status=403, headers=repeated, times=math.inf)
    save(folder, 0)
    with pytest.raises(PushFailed) as failure:
        pusher.finish(folder)
    assert "***" in str(failure.value)
    assert TOKEN not in str(failure.value) + "".join(lines)
    assert failure.value.__cause__ is None


# --- Costs ------------------------------------------------------------------------------------


def test_a_push_takes_little_time_from_the_training_thread(server, pusher, folder):
    server.fail(COMMIT, delay=0.3, times=math.inf)
    save(folder, 0)
    began = time.thread_time()
    for epoch in range(3):
        pusher.push(folder, f"Training in progress epoch {epoch}")
    assert time.thread_time() - began < 0.1
    assert threading.active_count() < 50
    pusher.finish(folder)
