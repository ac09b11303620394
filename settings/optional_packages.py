"""Packages that a flag needs and a run without it does not. Nothing heavy is imported."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from packaging.specifiers import SpecifierSet

from settings.value_types import text_of

PEFT = "peft>=0.21,<0.22"
BITSANDBYTES = "bitsandbytes>=0.50,<1"


def package_problems(flags: Any) -> list[str]:
    """Return a line for each package that a flag needs and that is missing or of another version.

    `flags`: a `SharedFlags`.
    """
    needs = {"--lora": PEFT} if flags.lora else {}
    optim = text_of(flags.optim)
    if optim == "adamw_bnb_8bit":
        needs[f"--optim {optim}"] = BITSANDBYTES
    return [
        f'{flag}: got {got}, expected {package}. Run `pip install "{package}"`, or leave out {flag}'
        for flag, package in needs.items()
        if (got := _wrong(package))
    ]


def _wrong(package: str) -> str | None:
    """Return why an installed package does not meet its bounds, as words; None if it does."""
    name, start, bounds = package.partition(">=")
    try:
        installed = version(name)
    except PackageNotFoundError:
        return f"no {name}"
    return None if SpecifierSet(start + bounds).contains(installed) else f"{name} {installed}"
