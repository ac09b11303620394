"""The files of a push: those of a folder to upload, and those on the Hub that become outdated."""

import glob
import json
import os
import re
import shlex
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

from support.manifests import MANIFEST, read_manifest
from support.text import as_argument

# A push holds these files and no others: the suite wrote them, and none holds text from the corpus.
MODEL_FILES = {
    "config.json",
    "README.md",
    "run.json",
    *(f"{name}_results.json" for name in ("all", "train", "eval", "predict")),
    "training_curves.png",
    "confusion_matrix.png",
}
# The names that the tokenizers of transformers give to their files.
TOKENIZER_FILES = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe.codes",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "prophetnet.tokenizer",
    "vocab-src.json",
    "vocab-tgt.json",
    "entity_vocab.json",
    "word_shape.json",
    "word_pronunciation.json",
    "byte_maps.json",
    "emoji.json",
    "normalizer.json",
    "chat_template.jinja",
}
# Files with text from the corpus, by their name in --hub_include.
TEXT_FILES = {
    "predictions": (
        "predictions.txt",
        "predictions.jsonl",
        "eval_predictions.txt",
        "eval_predictions.jsonl",
    ),
    "report": ("report.html",),
}
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
CHECKPOINT_IN_REPO = "last-checkpoint"  # Trainer's name for it
WEIGHTS_IN_REPO = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
LARGEST_TEXT = 50_000_000  # bytes; larger files are not searched for the token


def files_to_push(folder: str | Path, include: Collection[str] = ()) -> list[Path]:
    """Return the files of a model in `folder` that are pushed.

    These are weights, tokenizer, configuration, the model's own code, card and scores. `include`:
    keys of `TEXT_FILES`, whose files hold text from the corpus.
    """
    folder = Path(folder)
    names = MODEL_FILES | TOKENIZER_FILES | _weights(folder) | _code(folder)
    names |= {name for key in include for name in TEXT_FILES[key]}
    return [path for name in sorted(names) if _is_file(path := folder / name)]


def has_weights(folder: str | Path) -> bool:
    """Return whether a folder holds the weights of a model."""
    return any(_is_file(Path(folder) / name) for name in _weights(Path(folder)))


def _weights(folder: Path) -> set[str]:
    """Return the names of the files that `from_pretrained` takes the weights from."""
    if (folder / WEIGHTS).exists():  # it takes precedence over shards, which are older then
        return {WEIGHTS}
    shards = _json(folder / WEIGHTS_INDEX).get("weight_map", {})
    return {WEIGHTS_INDEX, *(Path(shard).name for shard in shards.values())}


def _code(folder: Path) -> set[str]:
    """Return the names of the Python files that configuration and tokenizer refer to."""
    names = set()
    for file in ("config.json", "tokenizer_config.json"):
        for classes in _json(folder / file).get("auto_map", {}).values():
            for name in classes if isinstance(classes, list) else [classes]:
                # "module.Class"; "repository--module.Class" is code that stays elsewhere.
                module = folder / f"{str(name).partition('.')[0]}.py"
                if _is_file(module):
                    imported = get_relative_import_files(module)
                    names |= {module.name, *(Path(path).name for path in imported)}
    return names


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def checkpoint_files(checkpoint: Path) -> list[Path]:
    """Return the files of a checkpoint, optimizer state included: those that its manifest lists."""
    manifest = read_manifest(checkpoint)
    names = [] if manifest is None else [MANIFEST, *manifest.files]
    return [path for name in sorted(names) if _is_file(path := checkpoint / name)]


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def holds_token(path: Path, token: str | None) -> bool:
    """Return whether a text file or a small pickle contains the token; tensors cannot."""
    if not token or path.suffix == ".safetensors" or path.stat().st_size > LARGEST_TEXT:
        return False
    return token.encode() in path.read_bytes()


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that later changes of `source` do not reach the copy.

    Weights are hard-linked, which takes neither time nor space. That is safe because safetensors
    writes a new inode at each save; other files may be rewritten in place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".safetensors":
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, target)


def is_outdated(path_in_repo: str, with_checkpoint: bool) -> bool:
    """Return whether a file of the repository must be deleted if this push does not contain it.

    That applies to weights, which an earlier push in another number of shards may have left, and,
    if the push contains a checkpoint, to files of an older checkpoint. Both would be loaded by
    mistake.
    """
    return bool(WEIGHTS_IN_REPO.fullmatch(path_in_repo)) or (
        with_checkpoint and path_in_repo.startswith(f"{CHECKPOINT_IN_REPO}/")
    )


def upload_command(
    repo_id: str,
    folder: str | Path,
    message: str,
    include: Collection[str] = (),
    token: str | None = None,
) -> str:
    """Return the command that pushes the same files of `folder` by hand."""
    command = ["hf", "upload", repo_id, as_argument(folder), ".", "--commit-message", message]
    for path in files_to_push(folder, include):
        if not holds_token(path, token):
            command += ["--include", glob.escape(path.name)]
    return shlex.join(command)
