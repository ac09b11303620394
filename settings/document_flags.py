"""Make docs/flags.md of the table and the declarations of flags.

python -m settings.document_flags
"""

import dataclasses
from pathlib import Path

from settings.flag_table import (
    LOOP,
    OBSOLETE,
    OF_TRAINER,
    SETTLED,
    SETTLED_ACCELERATOR_KEYS,
    SPELLINGS,
    THROUGH_OTHERS,
    TRACKERS,
    TRAINER,
    WEIGHT_FLAGS,
)
from settings.flags import LoopFlags, SharedFlags

PAGE = Path(__file__).resolve().parents[1] / "docs" / "flags.md"
HEAD = f"""# Flags of the training scripts

<!-- Made by `python -m settings.document_flags`; a test compares. -->

Every field of `TrainingArguments` and every flag of this suite is one of three things:

- *honoured*: it does what it says. A flag that both scripts have means the same in both;
- *settled by the suite*: it has one value here. Another one is refused with the reason, exit
  status 2;
- *obsolete*: it is accepted with one line, which says what it became.

One YAML or JSON file serves both scripts: `python {TRAINER} flags.yaml`. `{LOOP}` names in
one line the flags of the file that only `{TRAINER}` has, and ignores them. On the command line
they are errors. A name that neither script has is an error in both.

A run resumes only from a checkpoint made with equal values of the flags that change the weights:
"yes" below. "yes: precision" is compared as the precision of the run, and so on.
"""


def flags_page() -> str:
    """Return docs/flags.md."""
    lines = [HEAD, "## Honoured by both scripts", ""]
    lines += ["| flag | what it does | changes the weights |", "| --- | --- | --- |"]
    for field in dataclasses.fields(SharedFlags):
        names = [f"`--{field.name}`", *(f"`{name}`" for name in field.metadata["aliases"])]
        text = field.metadata["help"] + _default(field)
        lines.append(_row(", ".join(names), text, _changes_weights(field.name)))
    lines += ["", f"## Honoured by {TRAINER} alone", ""]
    lines += ["| flag | what it does | changes the weights |", "| --- | --- | --- |"]
    for name, text in OF_TRAINER.items():
        names = [name, *(new for new, old in SPELLINGS.items() if old == name)]
        lines.append(_row(", ".join(f"`--{n}`" for n in names), text, _changes_weights(name)))
    lines += ["", f"## Settled by the suite ({TRAINER})", ""]
    lines += ["| flag | value | reason |", "| --- | --- | --- |"]
    for name, settled in SETTLED.items():
        value = f"`{settled.value}`"
        if settled.harmless is not None:
            value += f"; `{settled.harmless}` has no effect"
        lines.append(_row(f"`--{name}`", value, settled.reason))
    for key, settled in SETTLED_ACCELERATOR_KEYS.items():
        if settled.reason:
            values = " or ".join(f"`{value}`" for value in settled.value)
            lines.append(_row(f"`--accelerator_config`, key `{key}`", values, settled.reason))
    lines += ["", "## Obsolete (both scripts)", "", "| flag | what it became |", "| --- | --- |"]
    lines += [_row(f"`--{name}`", obsolete.line) for name, obsolete in OBSOLETE.items()]
    lines += ["", "## Trackers of --report_to", ""]
    lines += ["`all` stands for those that are installed.", ""]
    lines += ["| tracker | scripts | package |", "| --- | --- | --- |"]
    for name, tracker in TRACKERS.items():
        scripts = ", ".join(f"`{script}`" for script in tracker.scripts)
        lines.append(_row(f"`{name}`", scripts, f"`{tracker.package}`"))
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _default(field: "dataclasses.Field[object]") -> str:
    if "Default:" in field.metadata["help"] or field.default in (None, False, ""):
        return ""
    return f" Default: {str(field.default).lower() if field.default is True else field.default}."


def _changes_weights(name: str) -> str:
    if name in WEIGHT_FLAGS:
        return "yes"
    return f"yes: {THROUGH_OTHERS[name]}" if name in THROUGH_OTHERS else "no"


if __name__ == "__main__":
    PAGE.write_text(flags_page(), encoding="utf-8")
    print(f"{PAGE.name}: {len(dataclasses.fields(LoopFlags))} flags of both scripts")
