"""The pusher, the check before training and the model card, against a Hub of our own."""

import hashlib
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants, hf_hub_download

from hub import client as hub
from results.card import write_card
from support.errors import UserError
from tests.helpers.cards import FACTS, problems_the_hub_would_find
from tests.helpers.hub_server import READ_TOKEN, TOKEN, HubServer

ROOT = Path(__file__).parents[2]
# The library uploads in a way that its own HTTP client calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

REPO = "tester/model"
WEIGHTS = "PUT /lfs/"
COMMIT = "POST .*/commit/main"

NEVER_PUSHED = [
    *("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state_0.pth"),
    *("training_args.bin", "random_states_0.pkl", "trainer_state.json"),
    *(".hidden", "model.safetensors.tmp", "config.json~", "a.lock"),
]


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
        monkeypatch.setattr(hub, "FIRST_WAIT", 0.05)
        monkeypatch.setattr(hub, "LONGEST_WAIT", 0.3)
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
def told():
    return []


@pytest.fixture
def pusher(repo, folder, told):
    pusher = hub.Pusher(repo, folder, timeout=1.0, say=told.append)
    yield pusher
    pusher.abandon(quiet=True)


def save(folder: Path, epoch: int) -> dict[str, bytes]:
    """Saves as the scripts do: weights get a new inode, JSON is rewritten in place."""
    weights = folder / "model.safetensors"
    new = folder / ".new"
    new.write_bytes(f"weights {epoch}".encode() * 5000)
    new.replace(weights)
    (folder / "config.json").write_text(f'{{"epoch": {epoch}}}')
    (folder / "training_curves.png").write_bytes(f"picture {epoch}".encode())
    (folder / "vocab.txt").write_text("the same always")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def pushed(server: HubServer) -> dict[str, dict[str, bytes]]:
    """Message -> files of each commit, in order, without the repository's own first file."""
    result = {}
    for commit in server.commits(REPO):
        assert commit.message not in result, "the same push twice"
        result[commit.message] = {
            path: data for path, data in commit.files.items() if path != ".gitattributes"
        }
    return result


def run_epochs(pusher, folder, epochs=2, between=lambda epoch: None) -> dict:
    """What a training script does. Returns what each commit must hold, by its message."""
    saved = {}
    for epoch in range(epochs):
        message = f"Training in progress epoch {epoch}"
        saved[message] = save(folder, epoch)
        pusher.push(folder, message)
        between(epoch)
    saved["Training complete"] = save(folder, epochs)
    return saved


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


# ---------------------------------------------------------------- what is pushed, and when


def test_each_commit_holds_what_its_epoch_saved_though_the_files_changed_since(
    server, pusher, folder
):
    server.fail("POST .*/preupload", delay=0.3, times=1)
    saved = run_epochs(pusher, folder)
    url = pusher.finish(folder)
    assert pushed(server) == saved
    assert list(pushed(server)) == list(saved)
    assert url == f"{server.url}/{REPO}/commit/{server.commits(REPO)[-1].oid}"
    assert server.most_uploads_under_way == 1
    assert not server.authorized_uploads
    assert contents(folder) == saved["Training complete"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(saved["Training complete"])


def test_training_never_waits_for_a_push(server, pusher, folder):
    released = threading.Event()
    fault = server.fail(COMMIT, hold=released)
    saved = run_epochs(pusher, folder, between=lambda _: wait_until(lambda: fault.seen))
    assert not server.commits(REPO)  # training is through, and the first push is still under way
    released.set()
    pusher.finish(folder)
    assert pushed(server) == saved


def test_of_more_than_three_waiting_the_oldest_is_dropped_and_that_is_said(
    server, pusher, folder, told
):
    released = threading.Event()
    fault = server.fail(COMMIT, hold=released)
    saved = run_epochs(pusher, folder, 6, lambda _: wait_until(lambda: fault.seen))
    threading.Timer(0.3, released.set).start()
    pusher.finish(folder)
    # Epoch 0 was under way, 1 to 5 and the last came while it was: three of them may wait.
    kept = ["Training in progress epoch 0", "Training in progress epoch 4"]
    kept += ["Training in progress epoch 5", "Training complete"]
    assert pushed(server) == {message: saved[message] for message in kept}
    dropped = [line for line in told if "more than 3 pushes were waiting" in line]
    assert [re.search(r"epoch (\d)", line)[1] for line in dropped] == ["1", "2", "3"]


def test_no_state_hidden_or_unfinished_file_is_pushed(server, pusher, folder):
    saved = save(folder, 0)
    for name in NEVER_PUSHED:
        (folder / name).write_text("not this")
    for name in ("checkpoint-3", "runs", ".cache"):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_text("not this")
    (folder / "link.json").symlink_to("/etc/hostname")
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}


def test_strategy_end_makes_one_commit(server, repo, folder, told):
    pusher = hub.Pusher(repo, folder, strategy="end", say=told.append)
    saved = run_epochs(pusher, folder)
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved["Training complete"]}


def test_a_checkpoint_is_pushed_with_its_strategy_only(server, pusher, folder):
    saved = {"Training in progress epoch 0": save(folder, 0)}
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "optimizer.pt").write_text("moments")
    pusher.push(folder, "Training in progress epoch 0", folder / "checkpoint-1")
    saved["Training complete"] = save(folder, 1)
    pusher.finish(folder, checkpoint=folder / "checkpoint-1")
    assert pushed(server) == saved


def test_strategy_checkpoint_keeps_the_newest_checkpoint_beside_the_model(
    server, repo, folder, told
):
    pusher = hub.Pusher(repo, folder, strategy="checkpoint", say=told.append)
    for epoch, state in enumerate(["optimizer-a.pt", "optimizer-b.pt"]):
        save(folder, epoch)
        checkpoint = folder / f"checkpoint-{epoch}"
        (checkpoint / "rng").mkdir(parents=True)
        (checkpoint / state).write_text("moments")
        (checkpoint / "rng" / "0.pkl").write_text("state")
        (checkpoint / "training_args.bin").write_text("holds the token")
        (checkpoint / "x.tmp").write_text("half")
        pusher.push(folder, f"Training in progress epoch {epoch}", checkpoint)
    pusher.finish(folder, checkpoint=checkpoint)
    first, last = pushed(server)["Training in progress epoch 0"], server.commits(REPO)[-1].files
    extra = lambda files: {path for path in files if "/" in path}  # noqa: E731
    assert extra(first) == {"last-checkpoint/optimizer-a.pt", "last-checkpoint/rng/0.pkl"}
    assert extra(last) == {"last-checkpoint/optimizer-b.pt", "last-checkpoint/rng/0.pkl"}


def test_weights_of_another_sharding_leave_the_repository_and_nothing_else_does(
    server, pusher, folder
):
    names = ["model.safetensors.index.json", "model-00001-of-00002.safetensors", "notes.txt"]
    server.add(REPO, dict.fromkeys([*names, "other/model.safetensors"], b"old"))
    save(folder, 0)
    pusher.finish(folder)
    files = set(server.commits(REPO)[-1].files)
    assert {"notes.txt", "other/model.safetensors", "model.safetensors"} <= files
    assert not files & set(names[:2])


@pytest.mark.parametrize(
    "problem", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")]
)
def test_a_copy_that_fails_costs_the_push_not_the_training(
    server, pusher, folder, told, monkeypatch, problem
):
    def full(*_):
        raise problem

    save(folder, 0)
    with monkeypatch.context() as patch:
        patch.setattr(hub.shutil, "copyfile", full)
        pusher.push(folder, "Training in progress epoch 0")
    assert problem.strerror in "".join(told)
    saved = save(folder, 1)
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}


def test_a_folder_without_a_model_is_no_push(server, pusher, folder, told):
    pusher.push(folder, "Training in progress epoch 0")
    assert "holds nothing to push" in "".join(told)
    with pytest.raises(hub.PushFailed, match="holds nothing to push"):
        pusher.finish(folder / "nowhere")
    assert not server.commits(REPO)


def test_copies_left_by_a_killed_run_go_away(repo, folder, told):
    (folder / ".push" / "old").mkdir(parents=True)
    pusher = hub.Pusher(repo, folder, say=told.append)
    assert not list(folder.iterdir())
    pusher.abandon()


# ---------------------------------------------------------------- faults

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
def test_nothing_is_lost_under_a_fault(fault, server, pusher, folder, told):
    pattern, options = FAULTS[fault]
    installed = server.fail(pattern, **options)
    saved = run_epochs(pusher, folder)
    pusher.finish(folder)
    assert installed.seen >= 1
    assert pushed(server) == saved
    assert list(pushed(server)) == list(saved)
    if fault not in ("slow", "answer to the upload lost"):
        assert "'Training in progress epoch 0' failed" in "".join(told)


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "2"}, {"RateLimit": '"api";r=0;t=2', "Retry-After": "soon"}]
)
def test_the_time_a_server_asks_for_is_given_even_at_the_end_of_the_run(
    server, pusher, folder, headers
):
    fault = server.fail(COMMIT, status=429, headers=headers, times=1)
    save(folder, 0)
    pusher.push(folder, "Training in progress epoch 0")
    wait_until(lambda: fault.seen)
    began = time.monotonic()
    save(folder, 1)
    pusher.finish(folder)
    assert 1.8 <= time.monotonic() - began < 4
    assert len(server.commits(REPO)) == 2


def test_an_outage_that_ends_loses_nothing(server, pusher, folder, told):
    def outage(epoch):
        if epoch == 0:
            wait_until(lambda: len(server.commits(REPO)) == 1)
            server.close()
        if epoch == 2:
            wait_until(lambda: any("epoch 1' failed" in line for line in told))
            server.reopen()

    saved = run_epochs(pusher, folder, 3, outage)
    pusher.finish(folder)
    assert pushed(server) == saved
    assert any("Pushed after all: 'Training in progress epoch 1'" in line for line in told)


def test_after_an_outage_that_stays_the_message_has_the_command_that_pushes(
    server, pusher, folder, tmp_path
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
    with pytest.raises(hub.PushFailed) as failure:
        pusher.finish(folder)
    assert contents(folder) == before
    assert not (folder / ".push").exists()
    command = next(line for line in str(failure.value).splitlines() if "hf upload" in line)
    server.reopen()
    program, *rest = shlex.split(command)
    assert program == "hf"
    hf = str(Path(sys.executable).with_name("hf"))
    subprocess.run([hf, *rest], check=True, capture_output=True, timeout=60)
    model = {name: data for name, data in before.items() if name != "training_args.bin"}
    assert pushed(server)["Training complete"] == model


def test_if_only_an_older_push_is_refused_the_later_ones_still_arrive(server, pusher, folder, told):
    """Weights of epoch 0 that no try gets through must not take the final model along."""
    released = threading.Event()
    weights = hashlib.sha256(b"weights 0" * 5000).hexdigest()
    server.fail(f"PUT /lfs/{weights}", status=413, hold=released)
    server.fail(f"PUT /lfs/{weights}", status=413, times=math.inf)
    saved = run_epochs(pusher, folder)
    released.set()
    pusher.finish(folder)
    del saved["Training in progress epoch 0"]
    assert pushed(server) == saved
    assert any("Not pushed on its own: 'Training in progress epoch 0'" in line for line in told)


def test_after_a_push_that_failed_for_good_the_last_gets_one_last_try(server, pusher, folder):
    def weights(epoch):
        return hashlib.sha256(f"weights {epoch}".encode() * 5000).hexdigest()

    first = server.fail(f"PUT /lfs/{weights(0)}", status=500, times=math.inf)
    last = server.fail(f"PUT /lfs/{weights(1)}", status=500, times=math.inf)
    with pytest.raises(hub.PushFailed, match="500"):
        run_epochs(pusher, folder, 1)
        pusher.finish(folder)
    assert first.seen >= hub.LAST_TRIES
    assert last.seen == 1


def test_the_end_of_the_run_does_not_wait_for_a_try_that_is_far_off(
    server, pusher, folder, told, monkeypatch
):
    monkeypatch.setattr(hub, "LONGEST_WAIT", 60.0)
    server.fail(COMMIT, status=403)
    saved = {"Training in progress epoch 0": save(folder, 0)}
    pusher.push(folder, "Training in progress epoch 0")
    wait_until(lambda: told)
    began = time.monotonic()
    saved["Training complete"] = save(folder, 1)
    pusher.finish(folder)
    assert time.monotonic() - began < 30
    assert pushed(server) == saved


def test_a_revoked_token_is_told_and_the_run_ends_with_the_reason(server, pusher, folder, told):
    save(folder, 0)
    pusher.push(folder, "Training in progress epoch 0")
    wait_until(lambda: server.commits(REPO))
    server.users.clear()
    save(folder, 1)
    with pytest.raises(hub.PushFailed, match="403"):
        pusher.finish(folder)
    assert len(server.commits(REPO)) == 1


# ---------------------------------------------------------------- Ctrl-C and failing scripts

INTERRUPTED = """
import sys, time, signal
from pathlib import Path
from hub import client as hub
folder = Path(sys.argv[1])
pusher = hub.Pusher("tester/model", folder)
(folder / "model.safetensors").write_bytes(b"w" * 10_000_000)
(folder / "picture.png").write_bytes(b"p" * 1000)
pusher.push(folder, "Training in progress epoch 0")
pusher.push(folder, "Training in progress epoch 1")
print("pushing", flush=True)
try:
    FINISH_OR_TRAIN
except KeyboardInterrupt:
    pusher.abandon()
    sys.exit(130)
"""


@pytest.mark.parametrize("doing", ["pusher.finish(folder)", "time.sleep(60)"])
def test_ctrl_c_during_a_hanging_push_ends_the_process_soon(server, repo, folder, doing):
    fault = server.fail(WEIGHTS, hang=True, times=math.inf)
    script = INTERRUPTED.replace("FINISH_OR_TRAIN", doing)
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
    assert "Interrupted: not pushed" in errors
    assert "Training in progress epoch 1" in errors
    assert not (folder / ".push").exists()


def test_a_script_that_fails_leaves_neither_copies_nor_a_hanging_process(server, repo, folder):
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
    assert not (folder / ".push").exists()


# ---------------------------------------------------------------- the check before training


def arguments(folder, **given):
    given = {"hub_model_id": None, "hub_token": None, "hub_private_repo": False, **given}
    return types.SimpleNamespace(output_dir=str(folder), **given)


def test_check_access_creates_the_repository_under_the_users_name(server, folder):
    assert hub.check_access(arguments(folder)) == "tester/output"
    assert hub.check_access(arguments(folder)) == "tester/output"  # it exists by now
    assert not server.repos["model", "tester/output"].private


def test_check_access_takes_names_with_and_without_a_namespace(server, folder):
    private = arguments(folder, hub_model_id="mine", hub_private_repo=True)
    assert hub.check_access(private) == "tester/mine"
    assert server.repos["model", "tester/mine"].private
    assert hub.check_access(arguments(folder, hub_model_id="friends/ours")) == "friends/ours"


def test_the_token_given_wins_over_the_environments(server, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrongwrong")
    assert hub.check_access(arguments(folder, hub_token=TOKEN)) == "tester/output"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"hub_token": "hf_unknownunknownunknown"}, "does not accept the token"),
        ({"hub_token": READ_TOKEN}, "may only read"),
        ({"hub_model_id": "somebody/else"}, "may not write"),
        ({"hub_model_id": "somebody/existing"}, "may not write"),
        ({"hub_model_id": "strangers/x"}, "may not write"),
        ({"hub_model_id": "no such name"}, "--hub_model_id"),
        ({"hub_model_id": "a/b/c"}, "--hub_model_id"),
        ({"hub_model_id": "ends-with-."}, "--hub_model_id"),
    ],
)
def test_what_cannot_work_is_refused_before_training(server, folder, given, expected):
    server.create("somebody/existing")
    with pytest.raises(UserError, match=expected) as error:
        hub.check_access(arguments(folder, **given))
    assert "hf_" not in str(error.value).replace("hf_token", "")
    # A traceback shows no request either.
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_no_token_anywhere_is_told(server, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="hf auth login"):
        hub.check_access(arguments(folder))
    assert not server.requests


def test_offline_mode_is_told(server, folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        hub.check_access(arguments(folder))


@pytest.mark.parametrize("fault", [{"hang": True}, {"cut": True}, {"status": 500}, {"status": 429}])
@pytest.mark.parametrize("request_", ["GET /api/whoami", "POST /api/repos/create"])
def test_a_hub_that_does_not_answer_is_told_in_time(server, folder, fault, request_, monkeypatch):
    monkeypatch.setattr(hub, "CHECK_TIMEOUT", 0.3)
    server.fail(request_, times=math.inf, **fault)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"cannot be reached|refused"):
        hub.check_access(arguments(folder))
    assert time.monotonic() - began < 5


def test_a_hub_that_is_gone_is_told(server, folder):
    server.close()
    with pytest.raises(UserError, match="cannot be reached"):
        hub.check_access(arguments(folder))


# ---------------------------------------------------------------- the token


def test_a_file_that_holds_the_token_is_not_pushed(server, pusher, folder, told):
    saved = save(folder, 0)
    (folder / "all_results.json").write_text(f'{{"hub_token": "{TOKEN}"}}')
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}
    assert any("all_results.json holds the Hub token" in line for line in told)


def test_an_answer_that_repeats_the_token_does_not_bring_it_to_the_screen(
    server, pusher, folder, told
):
    repeated = {"X-Error-Message": f"token {TOKEN} is no good"}
    server.fail(COMMIT, status=403, headers=repeated, times=math.inf)
    save(folder, 0)
    with pytest.raises(hub.PushFailed) as failure:
        pusher.finish(folder)
    assert "***" in str(failure.value)
    assert TOKEN not in str(failure.value) + "".join(told)
    assert failure.value.__cause__ is None


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
    scrubbed = hub.scrub(command)
    assert TOKEN not in scrubbed
    assert "mysecret" not in scrubbed
    assert "train.py" in scrubbed
    assert scrubbed.endswith(" --x")


def test_addresses_lose_their_signatures():
    assert "secret" not in hub._one_line(ValueError("PUT http://x/lfs/1?signature=secret failed"))


# ---------------------------------------------------------------- the model card on the Hub


def test_the_card_is_read_back_from_the_hub(server, pusher, folder):
    server.validate_card = problems_the_hub_would_find
    write_card(folder, FACTS)
    pusher.finish(folder)
    path = hf_hub_download(REPO, "README.md")
    assert Path(path).read_bytes() == (folder / "README.md").read_bytes()
    assert any("validate-yaml" in request for request in server.requests)


def test_what_a_person_wrote_on_the_hub_survives_a_push(server, pusher, folder):
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


# ---------------------------------------------------------------- the time training loses


def test_pushing_costs_the_training_thread_next_to_nothing(server, pusher, folder):
    """Fixed work in the training thread, with and without a push under way beside it."""
    server.fail(COMMIT, delay=0.6, times=math.inf)
    save(folder, 0)
    began = time.thread_time()
    for epoch in range(3):
        pusher.push(folder, f"Training in progress epoch {epoch}")
    assert time.thread_time() - began < 0.1
    assert threading.active_count() < 50
    pusher.finish(folder)
