"""The message about a tokenizer, configuration or model that cannot be loaded."""

from pathlib import Path


def not_loaded(what: str, name: str, error: Exception) -> str:
    """Return the message on `what` of the model `name`, with the first line of the reason."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    where = "" if Path(name).exists() else " It is no local folder; is it in reach on the Hub?"
    return f"{name}: no {what} could be loaded.{where}\n  {reason}"
