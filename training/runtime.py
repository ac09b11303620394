"""The processes of a run and their environment: joining, precision, launchers, quiet libraries."""

import atexit
import os
import shlex
import sys
from datetime import timedelta
from typing import Any

from encoder.architecture import Architecture
from settings.defaults import DEEPSPEED_VALUES, needs_hub
from settings.flags import SharedFlags
from settings.run_settings import TrainingSettings
from support import reachability
from support.end_of_run import at_end_of_run
from support.errors import UserError
from support.processes import (
    launcher_requests,
    local_world_size,
    on_several_machines,
    world_size,
)
from training.process_state import keep_process_state

# Values of ONEDNN_MAX_CPU_ISA, oneDNN's own limit of instruction sets, that exclude bf16.
ISA_WITHOUT_BF16 = {
    "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI",
}  # fmt: skip


def join_processes(
    use_cpu: bool, backend: str | None = None, timeout_s: float | None = None
) -> Any:
    """Return accelerate's `PartialState`, which connects the processes of a run.

    Call it first: it saves the state of the process, which is restored at the end of the run.
    `backend`: of torch.distributed; default: the device's. `timeout_s`: seconds that a process
    waits for the others; default: torch's. Raises UserError for requests of the launcher that
    cannot be met. One of them is more processes than the machine has GPUs: each process would
    train alone.
    """
    _check_launcher()
    keep_process_state()
    if world_size() > 1 and not use_cpu:
        _check_devices()
    from accelerate import PartialState

    options: dict[str, Any] = {}
    if world_size() > 1:
        if backend is not None:
            options["backend"] = backend
        if timeout_s is not None:
            options["timeout"] = timedelta(seconds=timeout_s)
    try:
        return PartialState(cpu=use_cpu, **options)
    except (RuntimeError, ValueError, AssertionError) as error:
        if backend is None:
            raise
        raise UserError(f"--ddp_backend {backend}: cannot be used here: {error}") from None


def _check_devices() -> None:
    """Raise UserError if this machine has fewer GPUs than processes of the run."""
    import torch

    started, devices = local_world_size(), torch.accelerator.device_count()
    if devices >= started:
        return
    several = on_several_machines()
    raise UserError(
        f"{started} process{'es were' if started > 1 else ' was'} started on a machine with "
        f"{devices or 'no'} GPU{'' if devices == 1 else 's'}: each would train alone. To share the "
        f"work on {'the CPUs of all machines, run on each' if several else 'a CPU'}:\n"
        f"  ACCELERATE_USE_CPU=true torchrun {'--nnodes ... ' if several else ''}"
        f"--nproc_per_node {started} {shlex.quote(sys.argv[0])} ...\n"
        "To train in one process: accelerate launch --num_processes 1, or plain python."
    )


def _check_launcher() -> None:
    """Raise UserError for requests of `accelerate launch` that cannot be met."""
    if launcher_requests("MEGATRON_LM"):
        raise UserError(
            "Megatron-LM (from the launcher): not supported: it has no token classification. "
            "Launch without --use_megatron_lm; to shard a model, use --use_fsdp or --use_deepspeed."
        )
    from accelerate.utils import DynamoBackend

    backend = os.environ.get("ACCELERATE_DYNAMO_BACKEND", "no").upper()
    known = [item.value for item in DynamoBackend]
    if backend not in known:
        raise UserError(
            f"--dynamo_backend (from the launcher): got {backend.lower()}, expected one of "
            f"{', '.join(name.lower() for name in known)}"
        )


def ask_hub(flags: SharedFlags, state: Any) -> bool:
    """Return whether the Hub can be used: the main process asks once, for all processes.

    `state`: accelerate's `PartialState`.
    """
    answer = [state.is_main_process and needs_hub(flags) and reachability.hub_reachable()]
    if state.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(answer)
    return answer[0]


def training_precision(
    mixed_precision: str | None, use_cpu: bool, architecture: Architecture
) -> str:
    """Return "no" (fp32), "bf16" or "fp16": the flag, else the launcher's, else the hardware's.

    `accelerate launch` always exports a precision, "no" by default, so "no" there does not mean
    that the user chose it. Raises UserError for a precision that the architecture or the device
    cannot train in.
    """
    import torch

    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    requested = mixed_precision or ("" if launched == "no" else launched)
    place = f"--mixed_precision {requested}" + ("" if mixed_precision else " (from the launcher)")
    on_cpu = use_cpu or not torch.accelerator.is_available()
    if requested not in ("", "no", "bf16", "fp16"):
        raise UserError(f"{place}: expected no, bf16 or fp16.")
    if requested == "fp16" and on_cpu:
        raise UserError(f"{place}: needs a GPU: got a CPU. Use bf16, or no for fp32.")
    if requested not in ("", "no") and not architecture.half_precision:
        raise UserError(
            f"{place}: {architecture.model_type} fails in half precision. Use "
            "--mixed_precision no, which trains in fp32."
        )
    if requested:
        return requested
    if on_cpu:
        # Emulated bfloat16 is slower than float32: only cores with its instructions benefit.
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        fast = fast and os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() not in ISA_WITHOUT_BF16
    else:
        fast = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8
    return "bf16" if fast and architecture.half_precision else "no"


def hardware_of(device: Any) -> dict[str, Any]:
    """Return what decides how a device (a `torch.device`) rounds: equal for equal weights."""
    import torch

    if device.type != "cpu":
        properties_of = getattr(getattr(torch, device.type, None), "get_device_properties", None)
        properties = properties_of(device) if properties_of else None  # MPS has none
        return {"device": getattr(properties, "name", device.type)}
    instructions = torch.backends.cpu.get_cpu_capability()
    if torch.cpu._is_amx_tile_supported():
        instructions += " and AMX"
    return {"device": "cpu", "instructions": instructions, "threads": torch.get_num_threads()}


def export_to_deepspeed(training: TrainingSettings) -> None:
    """Export the flags that `accelerate launch --use_deepspeed` also has, or its defaults win."""
    for name, (variable, _) in DEEPSPEED_VALUES.items():
        os.environ[variable] = str(getattr(training, name))


def start_trackers(accelerator: Any, project: str, flags: dict[str, int | float | str]) -> None:
    """Start the accelerator's trackers with the flags of the run.

    Raises UserError if a tracker cannot be started: it may need an account or the network.
    """
    try:
        accelerator.init_trackers(project, flags)
    except Exception as error:  # each library raises its own errors
        names = " ".join(str(name) for name in accelerator.log_with)
        raise UserError(
            f"--report_to {names}: cannot be started: {type(error).__name__}: {error}. Set it up, "
            "or leave it out."
        ) from error


def end_training(accelerator: Any) -> None:
    """Finish the accelerator's trackers; its process group lasts until the process ends.

    `Accelerator.end_training` would destroy the group, and the next run could not create another
    one: its processes would read the addresses of the first.
    """
    import torch

    for tracker in accelerator.trackers:
        tracker.finish()
    if torch.distributed.is_initialized():
        atexit.register(_destroy_group)


def _destroy_group() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def quiet_libraries(verbose: bool) -> None:
    """Turn off the libraries' own messages and bars until the run ends, unless `verbose`."""
    if verbose:
        return
    import datasets
    import transformers

    for library in (transformers.logging, datasets.logging):
        at_end_of_run(library.set_verbosity, library.get_verbosity())
    if transformers.logging.is_progress_bar_enabled():
        at_end_of_run(transformers.logging.enable_progress_bar)
    if not datasets.are_progress_bars_disabled():
        at_end_of_run(datasets.enable_progress_bars)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
