"""The column of labels among CoNLL columns, chosen by its name, its position and its content."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from corpus.formats.column_names import first_named, label_columns

CONLLU_COLUMNS = ["id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"]
CONLL2003_COLUMNS = {"pos": 1, "chunk": 2, "ner": 3}
CHUNK_TYPES = frozenset(  # of CoNLL-2000, and those of the German data of CoNLL-2003
    (
        *("ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP"),
        *("NC", "PC", "VC"),
    )
)

NO_TYPE = {"", "o", "_", "-", "*", "none", "null", "nan"}  # of words outside entities, lower case
BARE_PREFIXES = set("BIOESLUM")
IN_CAPITALS = re.compile("[A-Z][A-Z_-]*")
MIN_OF_TYPE = 8  # entities, on average, of types that are not in capitals
Key = TypeVar("Key", bound=Hashable)

# The entity types in each column; None for a column without entity tags. The set is empty if every
# tag is O.
Types = Sequence[set[str] | None]


class LabelChoice(NamedTuple):
    """The column of labels, and how it was chosen."""

    column: int | None
    usual: int | None = None  # the column by its name or position, if another one was chosen
    layers: tuple[int, ...] = ()  # further columns of entity tags

    def notes(self, names: Sequence[str], task: str) -> list[str]:
        """Return lines for the user about a choice that does not follow from names or positions."""

        def shown(column: int) -> str:
            return f"column {column}" + (f" ({names[column]})" if names else "")

        notes = []
        if self.column is not None and self.usual is not None:
            reason = f"{shown(self.usual)} holds no {task} tags, {shown(self.column)} does"
            notes.append(f"{reason}; another column: --label_column_name")
        if self.layers:
            listed = ", ".join(map(shown, self.layers))
            notes.append(
                f"entity tags are also in {listed}; {shown(self.column or 0)} is the first. "
                f"To read another one: --label_column_name {self.layers[0]}"
            )
        return notes


def choose_label_column(
    types: Types, names: Sequence[str], task: str, text: int, indexed: bool
) -> LabelChoice:
    """Return the column that holds the task's tags.

    `names` and `types` of the columns; `text`: the column of words. `indexed`: the first column
    counts the words.

    By its content, a column of entity tags is preferred to the usual one if that has none. Of
    several layers of entity tags, which share their types, the first is chosen.
    """
    named = first_named(names, label_columns(task))
    usual = named
    if named is None and names != CONLLU_COLUMNS:
        usual = _by_position(types, task, text, indexed)
    if task == "pos":
        return LabelChoice(usual)
    columns = [column for column, column_types in enumerate(types) if column_types]
    columns = [column for column in columns if column != text]
    of_task = [c for c in columns if (types[c] or set()) <= CHUNK_TYPES or task != "chunk"]
    if task == "ner":
        of_task = [c for c in columns if not (types[c] or set()) <= CHUNK_TYPES]
    if task == "ner" and columns and not of_task and usual not in (None, *columns):
        return LabelChoice(usual)  # only chunks, which are not the task
    candidates = of_task or columns
    usual_types = None if usual is None else types[usual]
    if usual in candidates and usual is not None and usual_types:
        if usual == named:
            return LabelChoice(usual)
        layers = [c for c in candidates if (types[c] or set()) & usual_types]
        return LabelChoice(layers[0], layers=tuple(layers[1:]))
    if usual_types is not None and (
        not of_task or usual == named or (usual_types == set() and _is_conll2003(types, text))
    ):
        return LabelChoice(usual)  # every tag is O so far
    if candidates:
        return LabelChoice(candidates[0], usual, tuple(candidates[1:]))
    only_o = [column for column, column_types in enumerate(types) if column_types == set()]
    if only_o and names != CONLLU_COLUMNS:
        return LabelChoice(only_o[0], usual)
    return LabelChoice(usual)


def _is_conll2003(types: Types, text: int) -> bool:
    """Return whether columns may be those of CoNLL-2003: word, part of speech, chunk, entity."""
    return len(types) == 4 and text == 0 and types[1] is None


def _by_position(types: Types, task: str, text: int, indexed: bool) -> int | None:
    """Return the column where the task's tags usually are; None if there is only one column."""
    width = len(types)
    if width == 1:
        return None
    last = width - 1 if text != width - 1 else width - 2
    if indexed:  # GermEval and Universal NER have more columns after the tag
        after = range(text + 1, width)
        return next((column for column in after if types[column] is not None), last)
    if _is_conll2003(types, text):
        return CONLL2003_COLUMNS[task]
    if task == "pos" and width == 3 and text == 0 and types[2] is not None:
        return 1  # CoNLL-2000: word, part of speech, chunk
    return last


# --- Types in a column of their own ---------------------------------------------------------------


def column_of_types(
    tags: Sequence[Any], columns: Mapping[Key, Sequence[Any]], words: Sequence[Any]
) -> Key | None:
    """Return the column with the types of tags that have none, as spaCy's ent_type beside ent_iob.

    It has a type exactly where the tag is not O. Types are in capitals, or few; the texts and the
    identifiers of entities are not.
    """
    prefixes = [str(tag).strip().upper() for tag in tags]
    inside = [prefix != "O" for prefix in prefixes]
    if not set(prefixes) <= BARE_PREFIXES or not any(inside) or all(inside):
        return None
    starts = sum(
        prefix in "BSU" or (is_inside and not was_inside)
        for prefix, is_inside, was_inside in zip(prefixes, inside, [False, *inside], strict=False)
    )
    for key, values in columns.items():
        types = {str(value) for value in values if not _is_no_type(value)}
        fits = all(
            is_inside != _is_no_type(value) for is_inside, value in zip(inside, values, strict=True)
        )
        repeats = sum(
            is_inside and str(value).lower() == str(word).lower()
            for is_inside, value, word in zip(inside, values, words, strict=True)
        )
        are_types = all(map(IN_CAPITALS.fullmatch, types)) or MIN_OF_TYPE * len(types) <= starts
        if fits and are_types and 2 * repeats < sum(inside):
            return key
    return None


def typed_tag(tag: Any, type_: Any) -> Any:
    """Return a tag with its type; an O without a type is unchanged."""
    if not isinstance(tag, str) or (tag.strip().upper() == "O" and _is_no_type(type_)):
        return tag
    return f"{tag.strip()}-{'' if _is_no_type(type_) else str(type_).strip()}"


def types_note(types: str, labels: str) -> str:
    """Return the note on types in a column of their own; both columns as they are shown."""
    return (
        f"the types of the tags in {labels} are in {types}. To read tags without types, name their "
        "column with --label_column_name"
    )


def _is_no_type(value: Any) -> bool:
    return value is None or value != value or str(value).strip().lower() in NO_TYPE
