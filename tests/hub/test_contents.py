"""The contents of a push: files that the suite wrote, without corpus text or token."""

import json
from contextlib import suppress

import pytest

from hub.contents import TOKENIZER_FILES, files_to_push, has_weights, upload_command
from hub.pusher import Pusher
from support.manifests import MANIFEST
from support.work_folder import LOCK_FILE
from tests.helpers.hub_server import TOKEN
from tests.helpers.pushes import REPO, events, pushed, save, stable_message

# huggingface_hub uploads in a way that its HTTP library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")

NEVER_PUSHED = [
    "optimizer.pt",
    "optimizer.bin",
    "scheduler.pt",
    "scaler.pt",
    "rng_state_0.pth",
    "training_args.bin",
    "random_states_0.pkl",
    "trainer_state.json",
    "checkpoint.json",
    ".hidden",
    "model.safetensors.tmp",
    "config.json~",
    "a.lock",
    "state.safetensors",
    # Files of a user, and files with text from the corpus.
    "notes.txt",
    "train.conll",
    "my_results.json",
    "secrets.json",
    "train.py",
    "adapter.bin",
    "predictions.txt",
    "predictions.jsonl",
    "eval_predictions.txt",
    "eval_predictions.jsonl",
    "report.html",
    "README.generated.md",
    "picture.png",
]
PUSHED = [
    "config.json",
    "README.md",
    "run.json",
    "all_results.json",
    "train_results.json",
    "eval_results.json",
    "predict_results.json",
    "training_curves.png",
    "confusion_matrix.png",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "spiece.model",
]


PREDICTIONS = {
    "predictions.txt",
    "predictions.jsonl",
    "eval_predictions.txt",
    "eval_predictions.jsonl",
}


def fill(folder, names) -> None:
    for name in names:
        (folder / name).write_text(f'{{"text of": "{name}"}}')


def names(folder, include=()) -> set[str]:
    return {path.name for path in files_to_push(folder, include)}


def test_a_push_holds_what_the_suite_wrote_and_nothing_else(server, pusher, folder):
    saved = save(folder, 0)
    fill(folder, NEVER_PUSHED)
    for name in ("checkpoint-3", "runs", ".cache", ".run"):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_text("not this")
    (folder / ".run" / LOCK_FILE).touch()
    (folder / "merges.txt").symlink_to("/etc/hostname")
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}
    fill(folder, PUSHED)
    assert names(folder) == {*PUSHED, "model.safetensors", "vocab.txt"}


@pytest.mark.parametrize(
    ("include", "texts"),
    [
        (["predictions"], PREDICTIONS),
        (["report"], {"report.html"}),
        (["report", "predictions"], {"report.html", *PREDICTIONS}),
    ],
)
def test_texts_of_the_corpus_are_pushed_only_on_request(
    include, texts, server, repo, folder, lines
):
    saved = save(folder, 0)
    fill(folder, [*PREDICTIONS, "report.html", "notes.txt"])
    pusher = Pusher(repo, folder, include=include, say=lines.append)
    pusher.finish(folder)
    files = pushed(server)["Training complete"]
    assert set(files) == {*saved, *texts}
    assert all(text in pusher.plan for text in texts)


def test_the_plan_of_a_push_names_what_where_and_who_sees_it(repo, folder, server, snapshot):
    options = [
        {},
        {"private": True, "strategy": "end"},
        {"include": ["report", "predictions"], "strategy": "checkpoint"},
    ]
    plans = [Pusher(repo, folder, **kinds).plan for kinds in options]
    assert stable_message("\n".join(plans), server, folder) == snapshot


def test_the_weights_are_those_that_from_pretrained_reads(folder):
    """Shards of an earlier run may lie beside one file, and one file beside foreign shards."""
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    fill(folder, [*shards, "model-00001-of-00009.safetensors"])
    assert not names(folder) and not has_weights(folder)
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert names(folder) == {*shards, "model.safetensors.index.json"}
    fill(folder, ["model.safetensors"])
    assert names(folder) == {"model.safetensors"} and has_weights(folder)


def test_code_is_pushed_if_the_configuration_refers_to_it(folder):
    fill(folder, ["model.safetensors"])
    (folder / "modeling_own.py").write_text("from .layers_own import Layer\n")
    (folder / "layers_own.py").write_text("")
    (folder / "tokenization_own.py").write_text("")
    (folder / "train.py").write_text("")
    config = {"auto_map": {"AutoModel": "modeling_own.Model", "AutoConfig": "some/repo--conf.C"}}
    (folder / "config.json").write_text(json.dumps(config))

    def code() -> set[str]:
        return {name for name in names(folder) if name.endswith(".py")}

    assert code() == {"modeling_own.py", "layers_own.py"}
    tokenizer = {"auto_map": {"AutoTokenizer": [None, "tokenization_own.Fast"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    assert code() == {"modeling_own.py", "layers_own.py", "tokenization_own.py"}
    (folder / "config.json").write_text("null")
    assert code() == {"tokenization_own.py"}


def test_the_files_of_every_tokenizer_are_known():
    from transformers.models.auto.tokenization_auto import (
        TOKENIZER_MAPPING_NAMES,
        tokenizer_class_from_name,
    )

    files = set()
    for classes in TOKENIZER_MAPPING_NAMES.values():
        for name in classes if isinstance(classes, (tuple, list)) else [classes]:
            with suppress(ImportError):  # a library that is not installed
                tokenizer = tokenizer_class_from_name(name) if name else None
                files |= set(getattr(tokenizer, "vocab_files_names", {}).values())
    assert {"vocab.txt", "merges.txt", "spiece.model"} <= files <= TOKENIZER_FILES


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
        files = dict.fromkeys([state, "rng/0.pkl"], 0)
        progress = {"run_id": "a", "step": epoch}
        content = {"identity": {}, "conditions": {}, "progress": progress, "files": files}
        (checkpoint / MANIFEST).write_text(json.dumps(content))
        (checkpoint / "training_args.bin").write_text("holds the token")
        (checkpoint / "notes.txt").write_text("mine")
        pusher.push(folder, f"Training in progress epoch {epoch}", checkpoint)
    pusher.finish(folder, checkpoint=checkpoint)
    first, last = pushed(server)["Training in progress epoch 0"], server.commits(REPO)[-1].files
    extra = lambda files: {path for path in files if "/" in path}  # noqa: E731
    always = {"last-checkpoint/checkpoint.json", "last-checkpoint/rng/0.pkl"}
    assert extra(first) == {*always, "last-checkpoint/optimizer-a.pt"}
    assert extra(last) == {*always, "last-checkpoint/optimizer-b.pt"}


def test_a_file_that_contains_the_token_is_not_pushed(server, pusher, folder, lines, snapshot):
    saved = save(folder, 0)
    (folder / "all_results.json").write_text(f'{{"hub_token": "{TOKEN}"}}')
    pusher.finish(folder)
    assert pushed(server) == {"Training complete": saved}
    assert stable_message("\n".join(events(lines)), server, folder) == snapshot
    command = upload_command(REPO, folder, "By hand", token=TOKEN)
    assert "config.json" in command and "all_results.json" not in command
