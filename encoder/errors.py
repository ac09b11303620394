"""The message about a tokenizer, configuration or model that cannot be loaded."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.errors import UserError
from support.text import printable


@contextmanager
def loading(part: str, name: str) -> Iterator[None]:
    """Turn every error of a library that loads a part of the model `name` into a `UserError`.

    The files of a model may come from anywhere, so a library may fail on them in any way. The
    tokenizers library even raises an error that is not an `Exception`.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise UserError(not_loaded(part, name, error)) from error


def not_loaded(part: str, name: str, error: BaseException) -> str:
    """Return the message that a part of the model `name` cannot be loaded.

    `part`: "tokenizer", "configuration" or "model". The second line is the library's reason, the
    first line of its message.
    """
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if isinstance(error, pickle.UnpicklingError | EOFError):
        reason = "The file of weights is damaged, or is a pickle of something other than weights."
    elif isinstance(error, LookupError | AttributeError | TypeError):  # names nothing by itself
        reason = f"{type(error).__name__}: {reason}"
    advice = ""
    if not Path(name).exists():
        advice = " It is not a local folder: check the name, and that the Hub is reachable."
    return f"{name}: the {part} cannot be loaded.{advice}\n  {printable(reason)}"
