"""Labels of a corpus: declared names, entity tags or plain tags, the names that a model learns.

The tags of all splits are read together. A tag id is a position in `CorpusTags.names`, a label id
a position in `Labels.names`.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from corpus.formats.text import text_lines
from corpus.problems import CorpusError, Problems
from corpus.schemes import (
    ENTITY_TAG,
    TagTable,
    guess_scheme,
    iob2_names,
    is_entity_tag,
    split_tag,
)
from corpus.spellings import (
    ENTITY_TASKS,
    USUAL,
    Spelling,
    composed,
    read_tags_as_types,
    spelling_of,
    type_of_column,
)
from corpus.splits import RawBatch, RawSplit
from corpus.tag_problems import (
    report_foreign_prefixes,
    report_not_entity_tags,
    report_plain_tags,
    report_rare_types,
    report_similar_types,
    report_tags_without_name,
    report_undeclared,
    report_untrained,
)
from support.errors import UserError
from support.text import quote


class Labels(NamedTuple):
    """The labels of a corpus, and the table that turns its tags into them."""

    names: list[str]  # IOB2 for entity tags
    scheme: str | None  # of the entity tags as read; None for plain tags
    table: TagTable  # the tags as read
    notes: tuple[str, ...] = ()  # lines for the user about the spelling of the tags

    def ids(self, batch: RawBatch) -> np.ndarray:
        """Return the label id of each word of a batch."""
        if self.scheme is not None:
            return self.table.to_iob2(batch.tag_ids, batch.starts, self.names)
        ids = {name: i for i, name in enumerate(self.names)}
        return np.array([ids[name] for name in self.table.names])[batch.tag_ids]


def declared_names(label_names: Sequence[str]) -> list[str] | None:
    """Return the names given with `--label_names`; None if it is not used.

    They are its values, or the content of a file: one name per line, or JSON.
    """
    names = list(label_names or ())
    if not names:
        return None
    first = names[0]
    if len(names) == 1 and os.path.isfile(first):
        problems = Problems()
        names = [line.strip() for line in text_lines(first, problems) if line.strip()]
        if problems:
            raise CorpusError(problems)
        if names and names[0][0] in "[{":
            names = _names_in_json(first, "\n".join(names))
    elif len(names) == 1 and re.search(r"[/\\]|\.(txt|json)$", first):
        raise UserError(f"--label_names {first}: no such file")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated or not names:
        got = f"{', '.join(map(quote, repeated))} more than once" if repeated else "no names"
        raise UserError(f"--label_names {first}: wrong names: got {got}, expected each name once")
    return names


def _names_in_json(path: str, text: str) -> list[str]:
    """Return a JSON list of names, or those of an id2label or label2id, alone or in a config."""
    try:
        names = json.loads(text)
        if isinstance(names, dict):
            names = names.get("id2label") or names.get("label2id") or names
            if all(type(value) is int for value in names.values()):  # a label2id
                names = {str(number): name for name, number in names.items()}
            names = [names[str(number)] for number in range(len(names))]
        if all(isinstance(name, str) for name in names):
            return names
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise UserError(
        f"--label_names {path}: not a list of names: expected one name per line, or JSON such as "
        '["O", "B-PER"]'
    )


def settle_labels(
    task_name: str,
    tag_scheme: str,
    raw: dict[str, RawSplit],
    tags: list[str | int],
    declared: list[str] | None,
    problems: Problems,
    *,
    column_requested: bool = False,
) -> Labels | None:
    """Return the labels of the splits `raw`; None if their tags have problems.

    `tag_scheme`: a scheme, or "auto" to detect it. `tags`: the name of each tag id. `declared`:
    names that the user gave. `column_requested`: the user named the column of labels, which may
    then hold plain tags in any task.
    """
    own_names = [opened.label_names for split in raw.values() for opened in split.opened]
    known = list(dict.fromkeys(chain(declared or (), *(names or () for names in own_names))))
    report_tags_without_name(tags, raw, len(known), problems)
    if problems:
        return None
    names, notes = _composed_names(list(map(str, tags)), raw)
    known = list(map(composed, known))
    declared = None if declared is None else list(map(composed, declared))
    if task_name in ENTITY_TASKS and tag_scheme != "io":
        spelling = spelling_of((*names, *known), _type_named_by_column(task_name, raw))
        if spelling is not None and spelling != USUAL:
            notes.append(spelling.note())
            names, known = _usual_spelling(names, spelling), _usual_spelling(known, spelling)
            declared = None if declared is None else _usual_spelling(declared, spelling)
    if task_name in ENTITY_TASKS and declared is None:
        names, note = read_tags_as_types(names)
        notes += [] if note is None else [note]
    bare = not any(map(ENTITY_TAG.fullmatch, (*names, *known)))
    if bare and tag_scheme == "io":  # some files write IO without prefixes: PER PER O
        names, known = _with_prefix(names), _with_prefix(known)
    plain = bare and tag_scheme != "io" and any(name != "O" for name in (*names, *known))
    if plain or (task_name == "pos" and not all(map(is_entity_tag, names))):
        if tag_scheme != "auto" or (task_name == "ner" and not column_requested):
            scheme = None if tag_scheme == "auto" else tag_scheme
            report_plain_tags(names, scheme, task_name, raw, problems)
        labels = _plain_labels(names, known, declared, raw, problems)
    else:
        labels = _entity_labels(tag_scheme, names, known, declared, raw, problems)
        if task_name == "pos" and any(name != "O" for name in names):
            notes.append(_entity_tags_for_pos(names))
    return None if labels is None else labels._replace(notes=tuple(notes))


def _entity_tags_for_pos(names: list[str]) -> str:
    """Return a warning about entity tags where parts of speech were requested."""
    examples = [name for name in names if name != "O"][:3]
    return (
        f"WARNING: --task_name pos: got entity tags ({', '.join(map(quote, examples))}), expected "
        "parts of speech such as NOUN. They are learned and scored as entities. To train on "
        "entities, use --task_name ner; otherwise, name the field or column of the parts of speech "
        "with --label_column_name."
    )


def _composed_names(names: list[str], raw: dict[str, RawSplit]) -> tuple[list[str], list[str]]:
    """Return the names in Unicode's composed form, and a note if two types become one."""
    used = {number for split in raw.values() for number in split.tag_counts}
    forms: dict[str, set[str]] = {}
    for number in sorted(used):
        type_ = split_tag(names[number])[1] or names[number]
        forms.setdefault(composed(type_), set()).add(type_)
    several = [type_ for type_, written in forms.items() if len(written) > 1]
    notes = [f"Labels that differ only in Unicode's form are one label: {', '.join(several)}."]
    return list(map(composed, names)), notes if several else []


def _type_named_by_column(task_name: str, raw: dict[str, RawSplit]) -> str:
    """Return the type of entities whose tags have none: the name of their column, if it has one."""
    opened_sources = chain.from_iterable(split.opened for split in raw.values())
    columns = {opened.label_column for opened in opened_sources if opened.labelled}
    return type_of_column(columns.pop() if len(columns) == 1 else None, task_name)


def _usual_spelling(names: list[str], spelling: Spelling) -> list[str]:
    return [spelling.read(name) or name for name in names]


def _with_prefix(names: list[str]) -> list[str]:
    return [name if name == "O" else f"I-{name}" for name in names]


def _plain_labels(
    names: list[str],
    known: list[str],
    declared: list[str] | None,
    raw: dict[str, RawSplit],
    problems: Problems,
) -> Labels | None:
    if declared:
        report_undeclared(names, set(declared), raw, problems)
    report_untrained(names, names, set(known), raw, problems)
    ordered = sorted({*names, *known}, key=lambda name: (name != "O", name))
    return None if problems else Labels(ordered, None, TagTable(names))


def _entity_labels(
    tag_scheme: str,
    names: list[str],
    known: list[str],
    declared: list[str] | None,
    raw: dict[str, RawSplit],
    problems: Problems,
) -> Labels | None:
    report_not_entity_tags(names, raw, problems)
    table = TagTable(names)
    scheme = tag_scheme
    if tag_scheme == "auto":
        prefixes = {split_tag(name)[0] for name in names if is_entity_tag(name)} - {"O"}
        scheme = guess_scheme(prefixes, _iob1_forbids(table, raw))
    report_foreign_prefixes(names, scheme, raw, problems)
    types = [split_tag(name)[1] for name in names]
    known_types = {split_tag(name)[1] for name in known if is_entity_tag(name)} | {""}
    if declared:
        report_undeclared(types, known_types, raw, problems)
    report_untrained(names, types, known_types, raw, problems)
    report_rare_types(types, known_types, raw, problems.warnings)
    report_similar_types(types, known_types, raw, problems.warnings)
    ordered = iob2_names({*types, *known_types} - {""})
    return None if problems else Labels(ordered, scheme, table)


def _iob1_forbids(table: TagTable, raw: dict[str, RawSplit]) -> bool:
    """Return whether a B- occurs where IOB1 requires an I-."""
    return any(
        table.illegal(batch.tag_ids, batch.starts, "iob1").any()
        for split in raw.values()
        if split.tag_counts
        for batch in split.batches()
    )


def scheme_note(labels: Labels) -> str:
    """Return a line for the user about the tags of the corpus."""
    if labels.scheme is None:
        hint = (
            " To read each run of equal tags as an entity, use --tag_scheme io."
            if "O" in labels.names
            else ""
        )
        return f"Plain tags, one label per word.{hint}"
    if labels.scheme == "io":
        return (
            "Entity tags in IO (or in IOB1 without B-), converted to IOB2. Adjacent entities of "
            "one type cannot be told apart."
        )
    converted = "" if labels.scheme == "iob2" else ", converted to IOB2"
    return f"Entity tags in {labels.scheme.upper()}{converted}."
