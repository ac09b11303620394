"""Schemes of entity tags (IOB1, IO, IOB2, BIOES, BILOU, BMES): found out, checked, made IOB2.

One rule reads them all, the one of conlleval: a tag begins an entity if its prefix always does
(B, S, U), if the tag before it is O, of another type or the end of an entity (E, S, L, U), or
if it is the sentence's first. A scheme therefore decides what is legal, never what is read.
Tags are handled as numbers into a list of names, a whole split at a time.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

ENTITY_TAG = re.compile(r"[BIESLUM]-(.+)", re.DOTALL)
SCHEMES = {  # scheme -> the prefixes it knows
    "iob1": "BI",
    "io": "I",
    "iob2": "BI",
    "bioes": "BIES",
    "bilou": "BILU",
    "bmes": "BMES",
}
BEGINS_ALWAYS, ENDS_ALWAYS, LEADS_ON, CONTINUES = "BSU", "ESLU", "BIM", "IMEL"


def split_tag(tag: str) -> tuple[str, str]:
    """Prefix and type: `B-SUB-X` is `("B", "SUB-X")`, `O` is `("O", "")`."""
    return (tag[0], tag[2:]) if ENTITY_TAG.fullmatch(tag) else ("O", "")


def is_entity_tag(tag: str) -> bool:
    return tag == "O" or ENTITY_TAG.fullmatch(tag) is not None


def iob2_names(types: Iterable[str]) -> list[str]:
    """`O` first, then both tags of each type, sorted by type, B- before I-."""
    return ["O", *(f"{prefix}-{type_}" for type_ in sorted(types) for prefix in "BI")]


class Transitions(NamedTuple):
    """What stands where in a sequence of tags; each an array of bool, one value a word."""

    begins: np.ndarray  # an entity begins here, by conlleval's rule
    after_own_type: np.ndarray  # the tag before belongs to an entity of the same type
    continued: np.ndarray  # the tag after can continue an entity of the same type


class TagTable:
    """The tag names of a corpus as arrays, so that whole splits are converted at once."""

    def __init__(self, names: list[str]):
        parts = [split_tag(name) for name in names]
        self.names = names
        self.types = sorted({type_ for prefix, type_ in parts if prefix != "O"})
        self.prefixes = np.array([prefix for prefix, _ in parts] or ["O"])
        numbers = {type_: number for number, type_ in enumerate(self.types)}
        self.type_numbers = np.array([numbers.get(type_, -1) for _, type_ in parts] or [-1])

    def having(self, prefixes: str) -> np.ndarray:
        """Which tags have one of these prefixes; bool, one value a name."""
        return np.isin(self.prefixes, list(prefixes))

    def transitions(self, tags: np.ndarray, starts: np.ndarray) -> Transitions:
        """`tags`: ids of all words in a row; `starts`: bool, true where a sentence begins."""
        types = self.type_numbers[tags]
        same_as_before = np.zeros(len(tags), bool)
        same_as_before[1:] = (types[1:] == types[:-1]) & ~starts[1:]
        same_as_before &= types >= 0
        ended = np.zeros(len(tags), bool)
        ended[1:] = self.having(ENDS_ALWAYS)[tags[:-1]]
        begins = self.having(BEGINS_ALWAYS)[tags] | ~same_as_before | ended
        continued = np.zeros(len(tags), bool)
        continued[:-1] = same_as_before[1:] & self.having(CONTINUES)[tags[1:]]
        return Transitions(begins & (types >= 0), same_as_before, continued)

    def to_iob2(self, tags: np.ndarray, starts: np.ndarray, label_names: list[str]) -> np.ndarray:
        """Ids into `label_names` (IOB2) for ids into this table's names; the entities stay."""
        labels = {name: number for number, name in enumerate(label_names)}
        first = np.array([labels[f"B-{type_}"] for type_ in self.types] + [labels["O"]])
        inside = np.array([labels[f"I-{type_}"] for type_ in self.types] + [labels["O"]])
        types = self.type_numbers[tags]  # -1, the type of O, picks the last entry
        return np.where(self.transitions(tags, starts).begins, first[types], inside[types])

    def illegal(self, tags: np.ndarray, starts: np.ndarray, scheme: str) -> np.ndarray:
        """Where `scheme` forbids the tag in its place; bool, one value a word."""
        around = self.transitions(tags, starts)
        if scheme == "io":
            return self.having("B")[tags]
        if scheme == "iob1":
            return self.having("B")[tags] & ~around.after_own_type
        if scheme == "iob2":
            return self.having("I")[tags] & ~around.after_own_type
        stray = self.having(CONTINUES)[tags] & around.begins
        unclosed = self.having(LEADS_ON)[tags] & ~around.continued
        return stray | unclosed


def guess_scheme(used_prefixes: set[str], iob1_forbids_a_b: bool) -> str:
    """The scheme that a corpus's tags are in, from all its splits together.

    IOB1 only if no B- stands where IOB1 forbids it; so a file that is mostly IOB2 with stray
    I- tags is IOB2. Tags with I- only are called IO: IOB1 without touching entities looks the
    same, and reads the same.
    """
    if used_prefixes & set("LU"):
        return "bilou"
    if "M" in used_prefixes:
        return "bmes"
    if used_prefixes & set("ES"):
        return "bioes"
    if used_prefixes == {"I"}:
        return "io"
    return "iob2" if iob1_forbids_a_b or "B" not in used_prefixes else "iob1"
