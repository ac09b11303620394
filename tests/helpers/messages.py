"""Messages as snapshots hold them.

A snapshot (syrupy, `tests/**/__snapshots__`) records wording and claims no correctness. After a
deliberate change of wording: `python -m pytest --snapshot-update`, and read the diff.
"""

from pathlib import Path


def stable(text: object, *folders: Path) -> str:
    """Return `text` with each of `folders` written as `<folder>`, equal on every machine."""
    result = str(text)
    for folder in sorted(folders, key=lambda folder: -len(str(folder))):
        result = result.replace(str(folder), "<folder>")
    return result
