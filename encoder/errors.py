"""The message about a tokenizer, configuration or model that cannot be loaded."""

from pathlib import Path


def not_loaded(part: str, name: str, error: Exception) -> str:
    """Return the message that a part of the model `name` cannot be loaded.

    `part`: "tokenizer", "configuration" or "model". The second line is the library's reason, the
    first line of its message.
    """
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    advice = ""
    if not Path(name).exists():
        advice = " It is not a local folder: check the name, and that the Hub is reachable."
    return f"{name}: the {part} cannot be loaded.{advice}\n  {reason}"
