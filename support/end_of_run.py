"""The end of a run: its changes of the process are undone, so that a program can make several runs.

    @one_run
    def main(argv): ...

Code below `main` that changes the process registers how to undo the change:

    at_end_of_run(signal.signal, number, earlier_handler)
"""

import atexit
import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import ParamSpec, TypeVar

from support.errors import UserError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_current_run: list[ExitStack] = []  # of the run under way, if there is one


def one_run(main: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate the `main` of a script: each call is a run.

    Raises UserError during another run: seeds and devices belong to the process.
    """

    @functools.wraps(main)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if _current_run:
            raise UserError(
                "another run is in progress in this process: its seeds and devices cannot be "
                "shared. Wait until it has ended, or start the second run in a process of its own."
            )
        with ExitStack() as stack:
            _current_run.append(stack)
            stack.callback(_current_run.clear)
            return main(*args, **kwargs)

    return run


def at_end_of_run(function: Callable[..., object], *args: object) -> None:
    """Call a function when the run ends, also after an error; the last registered is called first.

    Outside a run, it is called at the end of the process.
    """
    if _current_run:
        _current_run[-1].callback(function, *args)
    else:
        atexit.register(function, *args)
