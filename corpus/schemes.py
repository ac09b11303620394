"""Schemes of entity tags (IOB1, IO, IOB2, BIOES, BILOU, BMES): detected, checked, converted.

All are read by one rule, that of conlleval. A tag begins an entity if its prefix always does (B, S,
U); if the tag before it is O, has another type or ends an entity (E, S, L, U); or if it is the
first of its sentence. A scheme therefore decides which tags are legal, never how they are read.
Tags are ids into a list of names, and a whole batch of sentences is handled in one call.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

ENTITY_TAG = re.compile(r"[BIESLUM]-(.+)", re.DOTALL)
SCHEMES = {  # scheme -> its prefixes
    "iob1": "BI",
    "io": "I",
    "iob2": "BI",
    "bioes": "BIES",
    "bilou": "BILU",
    "bmes": "BMES",
}
# Prefixes of tags that begin an entity, end it, need a tag after them, continue the tag before.
ALWAYS_BEGINS, ALWAYS_ENDS, MUST_CONTINUE, CONTINUES = "BSU", "ESLU", "BIM", "IMEL"


def split_tag(tag: str) -> tuple[str, str]:
    """Return the prefix and the type: `("B", "SUB-X")` for `B-SUB-X`, `("O", "")` for `O`."""
    return (tag[0], tag[2:]) if ENTITY_TAG.fullmatch(tag) else ("O", "")


def is_entity_tag(tag: str) -> bool:
    """Return whether a tag is `O`, or a prefix, a hyphen and a type."""
    return tag == "O" or ENTITY_TAG.fullmatch(tag) is not None


def iob2_names(types: Iterable[str]) -> list[str]:
    """Return `O`, then both tags of each type, sorted by type, B- before I-."""
    return ["O", *(f"{prefix}-{type_}" for type_ in sorted(types) for prefix in "BI")]


class Transitions(NamedTuple):
    """Relations of tags to their neighbours; arrays of bool, one value per word."""

    begins: np.ndarray  # an entity begins here by conlleval's rule
    after_same_type: np.ndarray  # the tag before belongs to an entity of the same type
    continued: np.ndarray  # the tag after can continue an entity of the same type


class TagTable:
    """Tag names as arrays of prefixes and types, to convert many tags in one call."""

    def __init__(self, names: list[str]):
        parts = [split_tag(name) for name in names]
        self.names = names
        self.types = sorted({type_ for prefix, type_ in parts if prefix != "O"})
        self.prefixes = np.array([prefix for prefix, _ in parts] or ["O"])
        numbers = {type_: number for number, type_ in enumerate(self.types)}
        self.type_numbers = np.array([numbers.get(type_, -1) for _, type_ in parts] or [-1])

    def having(self, prefixes: str) -> np.ndarray:
        """Return which names have one of these prefixes; bool, one value per name."""
        return np.isin(self.prefixes, list(prefixes))

    def transitions(self, tags: np.ndarray, starts: np.ndarray) -> Transitions:
        """Return the relations of each tag to its neighbours.

        `tags`: ids into this table's names, one per word, sentence after sentence. `starts`: bool,
        true for the first word of a sentence.
        """
        types = self.type_numbers[tags]
        same_as_before = np.zeros(len(tags), bool)
        same_as_before[1:] = (types[1:] == types[:-1]) & ~starts[1:]
        same_as_before &= types >= 0
        ended = np.zeros(len(tags), bool)
        ended[1:] = self.having(ALWAYS_ENDS)[tags[:-1]]
        begins = self.having(ALWAYS_BEGINS)[tags] | ~same_as_before | ended
        continued = np.zeros(len(tags), bool)
        continued[:-1] = same_as_before[1:] & self.having(CONTINUES)[tags[1:]]
        return Transitions(begins & (types >= 0), same_as_before, continued)

    def to_iob2(self, tags: np.ndarray, starts: np.ndarray, label_names: list[str]) -> np.ndarray:
        """Return ids into `label_names` (IOB2) for ids into this table's names.

        The entities stay the same. `tags` and `starts` as in `transitions`.
        """
        labels = {name: number for number, name in enumerate(label_names)}
        first = np.array([labels[f"B-{type_}"] for type_ in self.types] + [labels["O"]])
        inside = np.array([labels[f"I-{type_}"] for type_ in self.types] + [labels["O"]])
        types = self.type_numbers[tags]  # -1, the type of O, selects the last entry
        return np.where(self.transitions(tags, starts).begins, first[types], inside[types])

    def illegal(self, tags: np.ndarray, starts: np.ndarray, scheme: str) -> np.ndarray:
        """Return where `scheme` forbids the tag at its position; bool, one value per word."""
        transitions = self.transitions(tags, starts)
        if scheme == "io":
            return self.having("B")[tags]
        if scheme == "iob1":
            return self.having("B")[tags] & ~transitions.after_same_type
        if scheme == "iob2":
            return self.having("I")[tags] & ~transitions.after_same_type
        stray = self.having(CONTINUES)[tags] & transitions.begins
        unclosed = self.having(MUST_CONTINUE)[tags] & ~transitions.continued
        return stray | unclosed


def guess_scheme(used_prefixes: set[str], iob1_forbids_a_b: bool) -> str:
    """Return the scheme of a corpus's tags, given the prefixes used in all its splits.

    Tags are IOB1 only if every B- is where IOB1 allows it; a file that is mostly IOB2 with stray
    I- tags is therefore IOB2. Tags with I- only are IO: IOB1 without adjacent entities looks the
    same and is read in the same way.
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
