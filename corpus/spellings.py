"""Spellings of entity tags other than `B-PER`: b-per, PER-B, B_PER, B–PER, or B without a type.

A spelling is accepted only if it reads all tags of a corpus. If some of them are spelt in another
way, they are more likely misspelt, and are reported instead.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from corpus.formats.column_names import first_named, label_columns
from corpus.schemes import SCHEMES, split_tag

PREFIXES = "BIESLUM"
# The hyphen; other hyphens, dashes and the minus sign, as word processors write them; other signs.
SEPARATORS = "-_\u2010\u2011\u2012\u2013\u2014\u2212:./|"
UNNAMED_TYPE = "ENTITY"
ENTITY_TASKS = ("ner", "chunk")  # tasks whose tags may be spelt in other ways


class Spelling(NamedTuple):
    """The form of entity tags: where the prefix stands, its case, and what separates it."""

    prefix_first: bool = True
    separator: str = "-"  # empty: there are prefixes only, and all entities have one type
    lower: bool = False
    type_: str = ""  # of all entities, if the tags have no types

    def read(self, tag: str) -> str | None:
        """Return a tag as `O` or `B-PER`; None if it is not an entity tag in this spelling."""
        if tag == "O" or (self.lower and tag == "o"):
            return "O"
        if not self.separator:
            prefix, type_ = tag, self.type_
        elif self.prefix_first:
            prefix, separator, type_ = tag[:1], tag[1:2], tag[2:]
            if separator != self.separator:
                return None
        else:
            type_, separator, prefix = tag[:-2], tag[-2:-1], tag[-1:]
            if separator != self.separator:
                return None
        known = PREFIXES.lower() if self.lower else PREFIXES
        if len(prefix) != 1 or prefix not in known or not type_:
            return None
        return f"{prefix.upper()}-{type_}"

    def note(self) -> str:
        """Return a line for the user about how the tags were read."""
        prefix = "b" if self.lower else "B"
        if not self.separator:
            return f"Tags have no type: {prefix} was read as B-{self.type_}."
        written = [prefix, self.separator, "TYPE"]
        if not self.prefix_first:
            written.reverse()
        return f"Tags are spelt {''.join(written)} and were read as B-TYPE."


USUAL = Spelling()
SPELLINGS = (
    USUAL,
    *(
        Spelling(prefix_first, separator, lower)
        for prefix_first, lower, separator in product((True, False), (False, True), SEPARATORS)
        if (prefix_first, lower, separator) != (True, False, "-")
    ),
)


def spelling_of(tags: Iterable[str], type_: str = UNNAMED_TYPE) -> Spelling | None:
    """Return the spelling that reads all tags, at least one of them as part of an entity.

    `type_`: the type of all entities, if the tags have no types.
    """
    tags = set(tags)
    bare = (Spelling(separator="", lower=lower, type_=type_) for lower in (False, True))
    return next((spelling for spelling in (*SPELLINGS, *bare) if _reads_all(spelling, tags)), None)


def _reads_all(spelling: Spelling, tags: set[str]) -> bool:
    read = {spelling.read(tag) for tag in tags}
    prefixes = {tag[0] for tag in read if tag is not None} - {"O"}
    if None in read or not prefixes:
        return False
    # Other spellings resemble other codes, so they must have the prefixes of a scheme.
    in_a_scheme = any(prefixes <= set(letters) for letters in SCHEMES.values())
    return spelling == USUAL or (in_a_scheme and not prefixes.isdisjoint("BI"))


def entity_types(cells: Counter[str]) -> set[str] | None:
    """Return the entity types in a column; None unless its cells are entity tags.

    `cells`: how often each value occurs. There are no types if every tag is O. Some tags of a
    column may be misspelt, but not most.
    """
    usual = [tag for tag in cells if USUAL.read(tag)]
    mostly_usual = 2 * sum(cells[tag] for tag in usual) > cells.total()
    if mostly_usual and any(tag != "O" for tag in usual):
        return {tag[2:] for tag in usual if tag != "O"}
    spelling = spelling_of(cells)
    if spelling is None:
        return set() if mostly_usual else None
    return {tag[2:] for tag in map(spelling.read, cells) if tag is not None and tag != "O"}


def read_tags_as_types(names: list[str]) -> tuple[list[str], str | None]:
    """Return tags whose types are not tags themselves, and a note if the tags have changed.

    Some projects label spans with tags: a span of B-PER is B-B-PER, and one of O is B-O. Types
    are tags if a B- and an I- of one type are among them.
    """
    types = {split_tag(name)[1] for name in names} - {""}
    tags = types - {"O"}
    parts = [split_tag(type_) for type_ in tags]
    both = {inner for prefix, inner in parts if prefix == "B"} & {
        inner for prefix, inner in parts if prefix == "I"
    }
    if both and all(inner for _, inner in parts):
        note = "Labels of spans are tags: a span labelled B-PER was read as B-PER, one of O as O."
        return [_inner_tag(name) for name in names], note
    if "O" in types and any(len(type_) > 1 for type_ in tags):  # otherwise O may be a type
        note = "Spans labelled O were read as words outside entities."
        return ["O" if split_tag(name)[1] == "O" else name for name in names], note
    return names, None


def _inner_tag(name: str) -> str:
    prefix, type_ = split_tag(name)
    inner_prefix, inner_type = split_tag(type_)
    if not type_ or not (inner_type or type_ == "O"):
        return name
    if prefix == "I" and inner_prefix == "B":  # the second word of a span
        return f"I-{inner_type}"
    return type_


def type_of_column(column: str | None, task: str) -> str:
    """Return the type of entities whose tags have none: the name of their column, if it says more
    than that it holds tags.
    """
    if column is None or first_named([column], label_columns(task)) is not None:
        return UNNAMED_TYPE
    return column


def composed(tag: str) -> str:
    """Return a tag in Unicode's composed form (NFC), so that equal types are equal strings."""
    return tag if tag.isascii() else unicodedata.normalize("NFC", tag)
