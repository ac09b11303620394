"""The contents of a push: the files of a model, never training state, never the token."""

import pytest

from hub.pusher import Pusher
from tests.helpers.hub_server import TOKEN
from tests.helpers.pushes import REPO, events, pushed, save, stable_message

# huggingface_hub uploads in a way that its HTTP library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

NEVER_PUSHED = [
    *("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "rng_state_0.pth"),
    *("training_args.bin", "random_states_0.pkl", "trainer_state.json"),
    *(".hidden", "model.safetensors.tmp", "config.json~", "a.lock"),
]


def test_state_hidden_and_unfinished_files_are_not_pushed(server, pusher, folder):
    saved = save(folder, 0)
    for name in NEVER_PUSHED:
        (folder / name).write_text("not this")
    for name in ("checkpoint-3", "runs", ".cache"):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_text("not this")
    (folder / "link.json").symlink_to("/etc/hostname")
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}


def test_a_checkpoint_is_pushed_only_with_strategy_checkpoint(server, pusher, folder):
    saved = {"Training in progress epoch 0": save(folder, 0)}
    (folder / "checkpoint-1").mkdir()
    (folder / "checkpoint-1" / "optimizer.pt").write_text("moments")
    pusher.push(folder, "Training in progress epoch 0", folder / "checkpoint-1")
    saved["Training complete"] = save(folder, 1)
    pusher.finish(folder, checkpoint=folder / "checkpoint-1")
    assert pushed(server) == saved


def test_strategy_checkpoint_keeps_the_newest_checkpoint_beside_the_model(
    server, repo, folder, lines
):
    pusher = Pusher(repo, folder, strategy="checkpoint", say=lines.append)
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


def test_a_file_that_contains_the_token_is_not_pushed(server, pusher, folder, lines, snapshot):
    saved = save(folder, 0)
    (folder / "all_results.json").write_text(f'{{"hub_token": "{TOKEN}"}}')
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}
    assert stable_message("\n".join(events(lines)), server, folder) == snapshot
