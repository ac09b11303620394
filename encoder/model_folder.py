"""The files of a model in a folder or on the Hub, checked before a library reads them.

Files of the Hub are downloaded to its cache first, where the library then finds them. Nothing heavy
is imported here: a cold `infer.py` checks every folder.
"""

import json
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

from encoder.config_check import check_config
from support.errors import UserError
from support.text import quote

CONFIG = "config.json"
WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
LFS_POINTER = b"version https://git-lfs"
FLOATS = re.compile("(BF|F)[0-9].*")  # types of safetensors
GET_AGAIN = "Get the file again from where the model came from."


def files_of(
    name: str, files: Iterable[str], hub_options: Mapping[str, Any]
) -> AbstractContextManager[Path]:
    """Enter the folder of a model's files: `name` itself, or its folder in the cache of the Hub.

    Those of `files` that the model has are downloaded. `hub_options`: see
    `settings.run_settings.ModelSettings`. A UserError about a cached file also says to delete it.
    Raises the errors of `huggingface_hub` for a model that cannot be reached.
    """
    if Path(name).exists():
        return nullcontext(Path(name))
    folders = [_downloaded(name, file, hub_options) for file in files]
    return _in_cache(name, next(filter(None, folders), None))


def weights_of(name: str, hub_options: Mapping[str, Any]) -> AbstractContextManager[Path]:
    """Enter the folder of a model's weights, as `files_of` does.

    If a model has several formats, only the first is downloaded, which the libraries read.
    """
    if Path(name).exists():
        return nullcontext(Path(name))
    for whole, index in ((WEIGHTS, WEIGHTS_INDEX), (PICKLE, PICKLE_INDEX)):
        if (folder := _downloaded(name, whole, hub_options)) is not None:
            return _in_cache(name, folder)
        if (folder := _downloaded(name, index, hub_options)) is not None:
            with _in_cache(name, folder):
                parts = _part_names(folder / index)
            for part in parts:
                _downloaded(name, part, hub_options)
            return _in_cache(name, folder)
    return _in_cache(name, None)


def _downloaded(name: str, file: str, hub_options: Mapping[str, Any]) -> Path | None:
    """Return the folder in the cache that holds a file of a model; None if the model has none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    options: dict[str, Any] = {
        key: hub_options.get(key) for key in ("revision", "cache_dir", "token")
    }
    try:
        return Path(hf_hub_download(name, file, **options)).parent
    except EntryNotFoundError:
        return None


@contextmanager
def _in_cache(name: str, folder: Path | None) -> Iterator[Path]:
    """Yield a folder of the cache; a path that does not exist if it has none of the files."""
    try:
        yield Path(name) if folder is None else folder
    except UserError as error:
        if folder is None:
            raise
        cached = folder.parents[1]  # of all revisions of the model
        raise UserError(f"{error}\nTo download the model again, delete {cached}.") from None


def read_config(
    folder: Path, *, labels_needed: bool = True, trust_remote_code: bool = False
) -> dict[str, Any]:
    """Return the configuration in a folder; raise UserError if it cannot be one that works.

    The options are those of `check_config`.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        _check_kind(path)
    path = folder / CONFIG
    return check_config(
        read_object(path),
        str(path),
        labels_needed=labels_needed,
        trust_remote_code=trust_remote_code,
    )


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raise UserError if it is damaged."""
    content = _content(path)
    try:
        values = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        problem = f"got byte 0x{content[error.start]:02x} at {error.start}, expected UTF-8"
        raise UserError(f"{path}: damaged: {problem}. {GET_AGAIN}") from None
    except RecursionError:
        raise UserError(f"{path}: damaged: nested too deeply. {GET_AGAIN}") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged: got no JSON: {error}. {GET_AGAIN}") from None
    if not isinstance(values, dict):
        raise UserError(
            f"{path}: damaged: got {quote(values)}, expected a JSON object. {GET_AGAIN}"
        )
    return values


def check_tokenizer_files(folder: Path) -> None:
    """Raise UserError if a file of a tokenizer in a folder is damaged."""
    for name in TOKENIZER_FILES:
        if (folder / name).exists():
            values = read_object(folder / name)
            if name == "tokenizer.json":
                _check_special_tokens(values, folder / name)


def _check_special_tokens(tokenizer: Mapping[str, Any], path: Path) -> None:
    """Raise UserError if a template inserts special tokens that it does not define.

    The tokenizers library ends the thread in that case, instead of raising an error.
    """
    template = tokenizer.get("post_processor")
    if not isinstance(template, dict) or template.get("type") != "TemplateProcessing":
        return
    pieces = template.get("single")
    defined = template.get("special_tokens")
    inserted = [
        piece["SpecialToken"].get("id")
        for piece in (pieces if isinstance(pieces, list) else [])
        if isinstance(piece, dict) and isinstance(piece.get("SpecialToken"), dict)
    ]
    if not isinstance(pieces, list) or not isinstance(defined, dict):
        got = quote(pieces if isinstance(defined, dict) else defined)
        raise UserError(f"{path}: damaged: post_processor: got {got}. {GET_AGAIN}")
    if unknown := [name for name in inserted if name not in defined]:
        raise UserError(
            f"{path}: damaged: post_processor: got the special token {quote(unknown[0])}, expected "
            f"one of {', '.join(map(quote, defined)) or 'none'}. {GET_AGAIN}"
        )


def check_weights(folder: Path) -> int | None:
    """Return the number of weights in a folder; None if only the library can count them.

    Raises UserError for files that are damaged or incomplete.
    """
    if (folder / WEIGHTS).is_file():
        return _count_weights(folder / WEIGHTS)
    if (folder / WEIGHTS_INDEX).is_file():
        return sum(map(_count_weights, _parts(folder / WEIGHTS_INDEX)))
    for path in sorted(folder.glob("pytorch_model*.bin")):
        _check_beginning(path)
    return None


def _parts(index: Path) -> list[Path]:
    """Return the files that an index of weights names; raise UserError for one that is missing."""
    names = _part_names(index)
    for name in names:
        if not (index.parent / name).is_file():
            raise UserError(f"{index.parent / name}: missing: {index.name} names it. {GET_AGAIN}")
    return [index.parent / name for name in names]


def _part_names(index: Path) -> list[str]:
    """Return the names in an index of weights; raise UserError if they are not those of files."""
    values = read_object(index)
    weight_map = values.get("weight_map")
    names = set(weight_map.values()) if isinstance(weight_map, dict) else set()
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"{index}: damaged: weight_map: got {quote(weight_map)}, expected the file of each "
            f"weight. {GET_AGAIN}"
        )
    if not isinstance(values.get("metadata"), dict):  # transformers needs one
        raise UserError(
            f"{index}: damaged: metadata: got {quote(values.get('metadata'))}, expected an object. "
            f"{GET_AGAIN}"
        )
    for name in sorted(names):
        # Weights from elsewhere on the disk are not part of the model.
        if PurePosixPath(name).name != name or "\\" in name:
            raise UserError(f"{index}: got the file {quote(name)}, expected one in this folder.")
    return sorted(names)


def _count_weights(path: Path) -> int:
    """Return the number of weights in a file of safetensors, by its header."""
    from math import prod

    from safetensors import SafetensorError, safe_open

    _check_beginning(path)
    try:
        with safe_open(path, "np") as file:
            tensors = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
            shapes = [(tensor.get_dtype(), tensor.get_shape()) for tensor in tensors]
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged or incomplete: {error}. {GET_AGAIN}") from None
    if not any(FLOATS.fullmatch(kind) for kind, _ in shapes):
        kinds = ", ".join(sorted({kind for kind, _ in shapes})) or "no tensors"
        raise UserError(f"{path}: not the weights of a network: got {kinds}, expected floats.")
    return sum(prod(shape) for _, shape in shapes)


def _content(path: Path) -> bytes:
    """Return the bytes of a small file that may be damaged."""
    _check_beginning(path)
    return path.read_bytes()


def _check_kind(path: Path) -> None:
    """Raise UserError for a pipe or a device, whose reader may wait or read without end."""
    try:
        mode = path.stat().st_mode
    except OSError:  # a broken link
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{path}: not a file of a model: got a pipe or device, expected a file.")


def _check_beginning(path: Path) -> None:
    """Raise UserError for a file that cannot be read, is empty, or stands for another one."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(len(LFS_POINTER))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not beginning:
        raise UserError(f"{path}: damaged: the file is empty. {GET_AGAIN}")
    if beginning == LFS_POINTER:
        raise UserError(
            f"{path}: got a pointer of Git LFS, expected the file itself. To get it, in the folder "
            "of the model: git lfs pull"
        )
