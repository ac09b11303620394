"""The output folder: whether a run may write into it, and how the new model replaces the old."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from corpus.load import Corpus
from encoder.lora import ADAPTER, saved_checksum
from results.args_file import ARGS_FILE
from results.result_files import (
    ALL_RESULTS,
    FILE_PREFIXES,
    PREDICTIONS,
    REPORT_FILES,
    WEIGHTS,
)
from settings.defaults import model_title
from settings.run_settings import Settings
from support.errors import UserError, on_main_process
from support.files import disk_errors_reported, share_file_modes, write_json
from support.manifests import checkpoint_folders, read_manifest
from support.text import shortened
from support.work_folder import make_work_folder, work_folder

RUN_FILE = "run.json"
# Written by every training run, or by most. The model card is left out: it keeps what a user wrote.
FILES_OF_RUN = (
    WEIGHTS,
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    ARGS_FILE,
    *REPORT_FILES,
    ALL_RESULTS,
    *(f"{prefix}_results.json" for prefix in ("train", *FILE_PREFIXES.values())),
    *(f"{name}{extension}" for name in PREDICTIONS.values() for extension in (".txt", ".jsonl")),
)


def run_identity(settings: Settings, corpus: Corpus) -> dict[str, Any]:
    """Return the values that must agree for a run to replace an earlier one in its folder."""
    return {
        "corpus": corpus.name,
        "model": model_title(settings.model.model_name_or_path),
        "task": settings.corpus.task_name,
        "label_names": corpus.label_names,
    }


def check_output_dir(settings: Settings, identity: dict[str, Any], state: Any) -> None:
    """Raise UserError, in every process, for a folder that this run must not or cannot write into.

    That is a file, a folder that cannot be written, one in which the adapter of `--lora` would
    replace something else, one with files of a user that the run would replace, or one that holds
    a run with another corpus, model, task or label set. A model may be scored into its own folder,
    on the corpus that it was trained on. The folder of --log_file must be writable, too. `state`:
    accelerate's `PartialState`.
    """
    on_main_process(state, lambda: _check_output_dir(settings, identity))


def _check_output_dir(settings: Settings, identity: dict[str, Any]) -> None:
    folder, do_train = settings.output_dir, settings.do_train
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise UserError(f"--output_dir {folder}: got a file ({path}), expected a folder")
    _try_to_write(folder, f"--output_dir {folder}")
    adapter = folder / ADAPTER
    if do_train and settings.model.lora_rank and adapter.exists() and not saved_checksum(adapter):
        raise UserError(
            f"{adapter}: the name is needed for the adapter of --lora: got something that was not "
            "saved by this suite, expected nothing of that name. Move it away, or choose another "
            "folder with --output_dir."
        )
    if log_file := settings.output.log_file:
        _try_to_write(Path(log_file).parent, f"--log_file {log_file}")
    if settings.output.overwrite_output_dir or not folder.is_dir():
        return
    advice = "\nChoose another folder, or replace the run with --overwrite_output_dir."
    try:
        earlier = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        present = [name for name in FILES_OF_RUN if os.path.lexists(folder / name)]
        if do_train and present:
            raise UserError(
                f"--output_dir {folder}: contains files that the run would replace, but no "
                f"{RUN_FILE}, which every training run writes: got {', '.join(present)}, "
                "expected no files with these names. Choose another folder, or replace them with "
                "--overwrite_output_dir."
            ) from None
        return
    except (ValueError, OSError):
        earlier = {}
    earlier = earlier if isinstance(earlier, dict) else {}
    expected = dict(identity)
    if not do_train and Path(settings.model.model_name_or_path).resolve() == folder.resolve():
        expected["model"] = earlier.get("model")
    differences = [
        f"  {key}: {shortened(earlier.get(key))} there, {shortened(value)} now"
        for key, value in expected.items()
        if earlier.get(key) != value
    ]
    if differences:
        text = "\n".join(differences)
        raise UserError(f"--output_dir {folder}: contains another run:\n{text}{advice}")


def _try_to_write(folder: Path, flag: str) -> None:
    """Raise UserError if a flag's folder cannot be written; remove what the try created."""
    created = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{flag}: cannot be written: {reason}") from None
    finally:
        with suppress(OSError):
            for path in created:
                path.rmdir()


def earlier_run(folder: Path) -> dict[str, str]:
    """Return the rows about an earlier run in `folder` that a run from the beginning prints."""
    try:
        finished = json.loads((folder / RUN_FILE).read_text(encoding="utf-8")).get("run_id", "")
    except (OSError, ValueError, AttributeError):
        finished = None
    saved = checkpoint_folders(folder)
    newest = read_manifest(saved[-1]) if saved else None
    # Ids of later runs are greater.
    if newest is not None and newest.run_id > (finished or ""):
        return {"start": f"from the beginning; to resume {saved[-1]}: --resume_from_checkpoint"}
    return {} if finished is None else {"replaces": f"the run in {folder}"}


@contextmanager
def staged(folder: Path, state: Any, identity: dict[str, Any]) -> Iterator[Path]:
    """Yield a new folder whose files move into `folder` once all of them are written.

    Until then, the old model stays complete. The new one is moved together with its `identity` (see
    `run_identity`), so that a run killed after that can be repeated in the same folder. Every
    process must enter (`state`: accelerate's `PartialState`).
    """
    stage = work_folder(folder) / "model"
    try:
        with disk_errors_reported(folder):
            if state.is_main_process:
                make_work_folder(folder)
                shutil.rmtree(stage, ignore_errors=True)
                stage.mkdir()
            state.wait_for_everyone()
            yield stage
            state.wait_for_everyone()
            if state.is_main_process:
                write_json(stage / RUN_FILE, identity)
                files = sorted(path for path in stage.rglob("*") if path.is_file())
                share_file_modes(stage / RUN_FILE, files)
                _remove_adapter(folder)
                # The identity moves first: without it, a run killed here could not be repeated.
                for path in sorted(stage.iterdir(), key=lambda path: path.name != RUN_FILE):
                    os.replace(path, folder / path.name)
    finally:
        if state.is_main_process:
            shutil.rmtree(stage, ignore_errors=True)


def _remove_adapter(folder: Path) -> None:
    """Remove the adapter of an earlier run, which does not belong to the new model."""
    if saved_checksum(folder / ADAPTER):
        doomed = work_folder(folder) / f"{ADAPTER}.deleted"
        (folder / ADAPTER).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
