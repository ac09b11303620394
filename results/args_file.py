"""`args.yaml`: every flag of a run, as a file of flags that runs as it is.

python train_trainer.py bert-finetuned-ner/args.yaml
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from settings.defaults import EMBEDDED_MODEL, is_embedded
from settings.flag_table import OBSOLETE
from settings.flags import DEFAULT_MODEL
from support.files import write_text
from support.secrets import scrub

ARGS_FILE = "args.yaml"
# Places on this machine that another run has its own for, and what is done once.
LEFT_OUT = (
    "output_dir",
    "overwrite_output_dir",
    "resume_from_checkpoint",
    "cache_dir",
    "log_file",
    "output",
    "check",
    "dry_run",
)
# Other spellings of flags whose final values are in the file.
SPELLINGS = ("bf16", "fp16", "train_sampling_strategy", "checkpointing_steps", "with_tracking")


def write_args_file(folder: Path, flags: Mapping[str, Any], precision: str, script: str) -> None:
    """Write the flags of a run into `folder`.

    `flags`: all of the script, with their final values. `precision`: that of training.
    """
    write_text(folder / ARGS_FILE, args_text(flags, precision, script))


def args_text(flags: Mapping[str, Any], precision: str, script: str) -> str:
    """Return the flags of a run as YAML, without tokens and without places of its output."""
    values = {
        name: value
        for name, value in flags.items()
        if name not in (*LEFT_OUT, *SPELLINGS, *OBSOLETE) and not name.endswith("token")
    }
    values["mixed_precision"] = precision
    if (values.get("max_steps") or 0) > 0:
        values["num_train_epochs"] = None  # without effect beside max_steps
    stand_in = ""
    if is_embedded(str(values.get("model_name_or_path"))):
        del values["model_name_or_path"]  # its folder is another one elsewhere
        if not values.get("sample"):  # --sample selects it everywhere
            stand_in = (
                f"# The model was {EMBEDDED_MODEL}, which stands in for\n"
                f"# {DEFAULT_MODEL} if the Hub cannot be reached. If it can, this file trains "
                f"{DEFAULT_MODEL}.\n"
            )
    given = {name: value for name, value in values.items() if value is not None}
    unset = {name: None for name, value in values.items() if value is None}
    parts = [
        f"# Every flag of the run in force: python {script} {ARGS_FILE}\n"
        "# The output folder is the default one: add output_dir for another.\n" + stand_in,
        _yaml(given),
        "\n# Not set.\n" + _yaml(unset) if unset else "",
    ]
    return "".join(parts)


def _yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(_plain(values), sort_keys=True, allow_unicode=True)


def _plain(value: Any) -> Any:
    """Return a value as YAML holds it, without anything that looks like an access token."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else scrub(str(value))
