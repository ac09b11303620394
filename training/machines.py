"""Several machines: what must be equal on all of them, and checkpoints that only the first has.

The machines of a run need not share a disk. Each then reads its own copy of corpus and model, and
has caches of its own; the output folder is on the first machine, whose main process writes it.
"""

import dataclasses
import shutil
import socket
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from corpus.load import Corpus
from settings.run_settings import Settings
from support.end_of_run import at_end_of_run
from support.errors import UserError, on_main_process
from support.files import disk_errors_reported
from support.manifests import MANIFEST, read_manifest
from support.processes import on_several_machines
from support.text import shortened
from support.version import VERSION
from training.checkpoints import damage

BLOCK = 1 << 26  # bytes of a file that one message holds
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers")
# Flags of the same subjects that each machine may set for itself.
OF_MACHINE = ("resume_from_checkpoint", "overwrite_cache", "dataloader_num_workers")


# --- What must be equal -------------------------------------------------------------------------


def check_same_run(settings: Settings, corpus: Corpus, state: Any, **values: Any) -> None:
    """Raise UserError, in every process, if the processes have other flags, corpora or versions.

    Each would wait for the others at another place, or train on other data. `values`: further
    values that must be equal, under their names with `_` for a space.
    """
    subjects = (
        settings.training,
        settings.intervals,
        settings.checkpoints,
        settings.tuning,
        settings.windows,
    )
    flags = {
        f"--{name}": value
        for subject in subjects
        for name, value in dataclasses.asdict(subject).items()
        if name not in OF_MACHINE
    }
    stages = ("do_train", "do_eval", "do_predict", "dry_run")
    trained_weights = ("freeze_layers", "lora_rank")
    _check_same(
        state,
        {
            "corpus": f"content {corpus.fingerprint[:16]}",
            "labels": corpus.label_names,
            "sentences of each split": {name: len(rows) for name, rows in corpus.splits.items()},
            **{name.replace("_", " "): value for name, value in values.items()},
            **{f"--{name}": getattr(settings, name) for name in stages},
            **{f"--{name}": getattr(settings.model, name) for name in trained_weights},
            **flags,
            "version of the suite": VERSION,
            **{f"version of {name}": version(name) for name in PACKAGES},
        },
    )


def check_same_weights(model: Any, state: Any) -> None:
    """Raise UserError, in every process, if machines have loaded other weights."""
    if not on_several_machines():  # one machine has one copy of them
        return
    checksum = 0
    for _, weight in sorted(model.state_dict().items()):
        content = weight.detach().cpu().contiguous().flatten().view(torch.uint8)
        checksum = zlib.crc32(content.numpy(), checksum)
    _check_same(state, {"weights of the model": f"checksum {checksum:08x}"})


def _check_same(state: Any, values: Mapping[str, Any]) -> None:
    if state.num_processes == 1:
        return
    from accelerate.utils import gather_object

    (first_host, expected), *others = gather_object([(socket.gethostname(), dict(values))])
    differences: dict[str, str] = {}
    for process, (host, own) in enumerate(others, 1):
        for name in own:
            if own[name] != expected.get(name) and name not in differences:
                differences[name] = (
                    f"  {name}: {shortened(own[name])} in process {process} on {host}, "
                    f"{shortened(expected.get(name))} in process 0 on {first_host}"
                )
    if differences:
        raise UserError(
            "the processes of this run differ:\n"
            + "\n".join(differences.values())
            + "\nStart each machine with the same command, and give it the same files and versions."
        )


# --- Checkpoints --------------------------------------------------------------------------------


def checkpoint_of_machine(folder: Path, state: Any) -> Path:
    """Return the folder in which this process can read a checkpoint of the main process.

    `folder`: where the main process has it. A machine that does not have it there gets a copy in
    a temporary folder of the same name, which lasts until the run ends. Every process calls it.
    """
    if state.num_processes == 1:
        return folder
    from accelerate.utils import broadcast_object_list, gather_object

    manifest = on_main_process(state, lambda: (folder / MANIFEST).read_bytes())
    receives = state.is_local_main_process and not _has(folder, manifest, state)
    own = folder
    if receives:
        parent = tempfile.mkdtemp(prefix="token-classification-")
        at_end_of_run(shutil.rmtree, parent, True)
        own = Path(parent) / folder.name
        own.mkdir()
    paths = gather_object([str(own)])
    if any(path != str(folder) for path in paths):
        names = [MANIFEST, *on_main_process(state, lambda: _files(folder))]
        for name in names:
            with disk_errors_reported(own):
                _send_file(folder / name, own / name, receives, state, broadcast_object_list)
    # The processes of a machine have successive numbers; its first one has received the files.
    return Path(paths[state.process_index - state.local_process_index])


def _has(folder: Path, manifest: bytes, state: Any) -> bool:
    """Return whether this machine has a checkpoint, as the main process does."""
    if state.is_main_process:
        return True
    try:
        return (folder / MANIFEST).read_bytes() == manifest and damage(folder) is None
    except OSError:
        return False


def _files(folder: Path) -> list[str]:
    manifest = read_manifest(folder)
    return [] if manifest is None else list(manifest.files)


def _send_file(source: Path, target: Path, receives: bool, state: Any, broadcast: Any) -> None:
    """Send a file of the main process; write it to `target` where `receives`."""
    size = on_main_process(state, lambda: source.stat().st_size)
    with ExitStack() as files:
        read = files.enter_context(open(source, "rb")).read if state.is_main_process else None
        write = None
        if receives:
            target.parent.mkdir(parents=True, exist_ok=True)
            write = files.enter_context(open(target, "wb")).write
        for _ in range(0, size, BLOCK):
            block = [b"" if read is None else read(BLOCK)]  # of the main process, then of all
            broadcast(block)
            if write is not None:
                write(block[0])
