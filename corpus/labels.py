"""What the tags of a corpus are: entity tags of some scheme, or plain; and what is wrong with them.

All splits are looked at together. Tags are numbers into the list of names that the files have
(`RawSplit` of `corpus`); labels are numbers into the list that a model learns.
"""

import difflib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from corpus import schemes as tag_schemes
from corpus.formats.text import text_lines
from corpus.problems import CorpusError, GroupedProblems, Problem, ProblemKind, Problems
from corpus.schemes import is_entity_tag, split_tag
from support.errors import UserError
from support.text import quote

RARE, FREQUENT = 3, 50  # words a rare type has at most; times as many of the one it may stand for


class Labels(NamedTuple):
    names: list[str]  # the corpus's labels: IOB2 for entity tags
    scheme: str | None  # of the entity tags as read; None for plain tags
    table: tag_schemes.TagTable  # the tags as read

    def ids(self, batch) -> np.ndarray:
        """Label ids of a batch's words."""
        if self.scheme is not None:
            return self.table.to_iob2(batch.tags, batch.starts, self.names)
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.array([numbers[name] for name in self.table.names])[batch.tags]


def declared_names(args) -> list[str] | None:
    """Of --label_names: the names themselves, or those in a file, one a line or as JSON."""
    names = args.label_names
    if not names:
        return None
    if len(names) == 1 and os.path.isfile(names[0]):
        path, problems = names[0], Problems()
        names = [line.strip() for line in text_lines(path, problems) if line.strip()]
        if problems:
            raise CorpusError(problems)
        if names and names[0][0] in "[{":
            names = _names_in_json(path, "\n".join(names))
    elif len(names) == 1 and re.search(r"[/\\]|\.(txt|json)$", names[0]):
        raise UserError(f"--label_names {names[0]}: no such file")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated or not names:
        found = f"{', '.join(map(quote, repeated))} more than once" if repeated else "no name"
        raise UserError(f"--label_names {args.label_names[0]}: {found}; expected each name once")
    return names


def _names_in_json(path: str, text: str) -> list[str]:
    """Of a list of names, an object of numbers and names, or a model's config.json."""
    try:
        found = json.loads(text)
        found = found.get("id2label", found) if isinstance(found, dict) else found
        if isinstance(found, dict):
            found = [found[str(number)] for number in range(len(found))]
        if all(isinstance(name, str) for name in found):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise UserError(f'--label_names {path}: expected one name a line, or JSON: ["O", "B-PER"]')


def settle_labels(
    args, raw: dict, tags: list[str | int], declared: list[str] | None, problems: Problems
) -> Labels | None:
    """The labels of the splits `raw`; None, and problems, if something is wrong with their tags.

    `tags`: what the numbers in the splits stand for. `declared`: names that the user gave.
    """
    own_names = [opened.label_names for split in raw.values() for opened in split.opened]
    known = list(dict.fromkeys(chain(declared or (), *(names or () for names in own_names))))
    _report_nameless(tags, raw, known, problems)
    if problems:
        return None
    names = list(tags)
    bare = not any(map(tag_schemes.ENTITY_TAG.fullmatch, (*names, *known)))
    if bare and args.tag_scheme == "io":  # PER PER O, as some write IO
        names, known = _with_prefix(names), _with_prefix(known)
    plain = bare and args.tag_scheme != "io" and any(name != "O" for name in (*names, *known))
    if plain or (args.task_name == "pos" and not all(map(is_entity_tag, names))):
        return _plain_labels(names, known, declared, raw, problems)
    return _entity_labels(args.tag_scheme, names, known, declared, raw, problems)


def _with_prefix(names: list[str]) -> list[str]:
    return [name if name == "O" else f"I-{name}" for name in names]


def _plain_labels(names, known, declared, raw: dict, problems: Problems) -> Labels | None:
    if declared:
        _report_undeclared(names, set(declared), raw, problems)
    _report_missing_from_training(names, names, set(known), raw, problems)
    ordered = sorted({*names, *known}, key=lambda name: (name != "O", name))
    return None if problems else Labels(ordered, None, tag_schemes.TagTable(names))


def _entity_labels(asked: str, names, known, declared, raw: dict, problems) -> Labels | None:
    good = [name for name in names if is_entity_tag(name)]
    expected = "O, or a prefix, a hyphen and a type, as in B-PER; --task_name pos has plain tags"
    _report(problems, ProblemKind.NOT_ENTITY_TAG, raw, _other_than(good, names), expected, good)
    table = tag_schemes.TagTable(names)
    scheme = asked
    if asked == "auto":
        used = {split_tag(name)[0] for name in good} - {"O"}
        scheme = tag_schemes.guess_scheme(used, _iob1_forbids(table, raw))
    _report_foreign_prefixes(good, names, scheme, raw, problems)
    types = [split_tag(name)[1] for name in names]
    known_types = {split_tag(name)[1] for name in known if is_entity_tag(name)} | {""}
    if declared:
        _report_undeclared(types, known_types, raw, problems)
    _report_missing_from_training(names, types, known_types, raw, problems)
    _report_rare_types(types, known_types, raw, problems.warnings)
    ordered = tag_schemes.iob2_names({*types, *known_types} - {""})
    return None if problems else Labels(ordered, scheme, table)


def _iob1_forbids(table: tag_schemes.TagTable, raw: dict) -> bool:
    """Whether any B- stands where IOB1 would have an I-."""
    return any(
        table.illegal(batch.tags, batch.starts, "iob1").any()
        for split in raw.values()
        if split.tag_counts
        for batch in split.batches()
    )


# --- What is wrong with them --------------------------------------------------------------------


def _report(
    findings: GroupedProblems,
    kind: ProblemKind,
    raw: dict,
    bad: set[int],
    expected: str,
    near: Sequence[str] = (),
    likeness: float = 0.75,
    title_values: tuple[str, ...] = (),
) -> None:
    """Add every word with one of the tags numbered `bad`; `near`: what may have been meant."""
    for split in raw.values():
        if bad & split.tag_counts.keys():
            count, first = split.find(lambda batch: np.isin(batch.tags, list(bad)))
            listed = [
                Problem(
                    kind,
                    found.place,
                    f"{quote(found.tag)} of {quote(found.word)}{_meant(found.tag, near, likeness)}",
                    expected,
                    title_values,
                )
                for found in first
            ]
            findings.add_counted(listed, count)


def _meant(tag, near: Sequence[str], likeness: float) -> str:
    found = [name for name in near if name.lower() == str(tag).lower()]
    found = found or difflib.get_close_matches(str(tag), near, n=1, cutoff=likeness)
    return f"; perhaps {found[0]}" if found else ""


def _other_than(allowed, values: list) -> set[int]:
    """Numbers of the tags whose value is not allowed."""
    return {number for number, value in enumerate(values) if value not in allowed}


def _report_nameless(tags: list[str | int], raw: dict, known: list[str], problems) -> None:
    """Integers that stand for no name, and tags that are empty."""
    only_digits = all(str(tag).isdecimal() for tag in tags)
    integers = {number for number, tag in enumerate(tags) if isinstance(tag, int) or only_digits}
    kind, values = ProblemKind.INTEGER_WITHOUT_NAME, ()
    if known:
        kind, values = ProblemKind.TOO_FEW_NAMES, (str(len(known)),)
    expected = "--label_names O B-PER I-PER ..., or a file of the names in their order"
    _report(problems, kind, raw, integers, expected, title_values=values)
    empty = {number for number, tag in enumerate(tags) if tag == ""}
    _report(problems, ProblemKind.EMPTY_LABEL, raw, empty, "a label; O where there is no entity")


def _report_foreign_prefixes(good, names, scheme: str, raw: dict, problems: Problems) -> None:
    prefixes = tag_schemes.SCHEMES[scheme]
    bad = {
        number
        for number, name in enumerate(names)
        if name in good and split_tag(name)[0] not in (*prefixes, "O")
    }
    expected = f"O and the prefixes {', '.join(prefixes)}; --tag_scheme names another scheme"
    kind = ProblemKind.FOREIGN_PREFIX
    _report(problems, kind, raw, bad, expected, title_values=(scheme.upper(),))


def _report_undeclared(values: list[str], allowed: set[str], raw: dict, problems) -> None:
    expected = f"one of --label_names: {', '.join(sorted(filter(None, allowed)))}"
    bad = _other_than(allowed, values)
    _report(problems, ProblemKind.UNDECLARED_LABEL, raw, bad, expected)


def _report_missing_from_training(
    names: list[str], values: list[str], known: set[str], raw: dict, problems: Problems
) -> None:
    """Labels (of entity tags their types) that a model could never learn.

    In validation they stop the run, for most are misspelt, unless the data set or --label_names
    declares them. A test split may hold what training does not: it is scored as it is.
    """
    if "train" not in raw:
        return
    trained = raw["train"].tag_counts.keys()
    new = _other_than({values[number] for number in trained}, values)
    near = [names[number] for number in trained]
    expected = "a label of the training split; --label_names declares others"
    for split in ("validation", "test"):
        kind = ProblemKind.UNTRAINED_LABEL
        stopping = _other_than(known, values) if split == "validation" else set()
        found = {split: raw[split]} if split in raw else {}
        _report(problems, kind, found, new & stopping, expected, near, title_values=(split,))
        warned = new - stopping
        _report(problems.warnings, kind, found, warned, expected, near, title_values=(split,))


def _report_rare_types(
    types: list[str], known: set[str], raw: dict, findings: GroupedProblems
) -> None:
    """Entity types of training that look like slips of a far more frequent one.

    Types alone: parts of speech (NN, NNS) are often one letter apart.
    """
    counts = Counter()
    for number, count in raw["train"].tag_counts.items() if "train" in raw else ():
        counts[types[number]] += count
    for rare in sorted(set(counts) - known - {""}):
        near = [
            name
            for name, count in counts.most_common()
            if count >= FREQUENT * counts[rare] and looks_misspelt(rare, name)
        ]
        if near and counts[rare] <= RARE:
            bad = {number for number, name in enumerate(types) if name == rare}
            meant = [near[0], *(f"{prefix}-{near[0]}" for prefix in "BIESLUM")]
            kind = ProblemKind.RARE_TYPE
            expected = "a type as it is spelt elsewhere; --label_names declares others"
            _report(findings, kind, raw, bad, expected, meant, likeness=0.6)  # PRE and PER: 0.67


def looks_misspelt(name: str, right: str) -> bool:
    """Whether a slip of the pen makes `name` of the type `right`: other case, or one letter.

    Digits number types, and types of one or two letters are all alike.
    """
    if name == right:
        return False
    if name.lower() == right.lower():
        return True
    digits = [re.sub(r"\D", "", one) for one in (name, right)]
    return len(right) > 2 and digits[0] == digits[1] and one_edit_apart(name, right)


def one_edit_apart(one: str, other: str) -> bool:
    """Whether a letter more, less or changed, or two neighbours swapped, make one of the other."""
    differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    start = next(differing, min(len(one), len(other)))
    one, other = one[start:], other[start:]
    return one != other and (
        one[1:] == other[1:]
        or one == other[1:]
        or one[1:] == other
        or (one[:2] == other[1::-1] and one[2:] == other[2:])
    )


# --- What to tell ---------------------------------------------------------------------------


def scheme_note(labels: Labels) -> str:
    if labels.scheme is None:
        hint = (
            " --tag_scheme io reads each run of one tag as an entity."
            if "O" in labels.names
            else ""
        )
        return f"Plain tags, one label a word.{hint}"
    if labels.scheme == "io":
        return (
            "Entity tags in IO (or IOB1 without a B-), converted to IOB2: entities of one type "
            "that touch cannot be told apart."
        )
    converted = "" if labels.scheme == "iob2" else ", converted to IOB2"
    return f"Entity tags in {labels.scheme.upper()}{converted}."


def report_strays(labels: Labels | None, raw: dict, findings: GroupedProblems) -> None:
    """Tags out of place for the scheme; they are read as conlleval reads them."""
    if labels is None or labels.scheme is None:
        return
    for split in raw.values():
        if split.tag_counts:
            count, first = split.find(
                lambda batch: labels.table.illegal(batch.tags, batch.starts, labels.scheme)
            )
            kind, values = ProblemKind.STRAY_TAG, (labels.scheme.upper(),)
            listed = [
                Problem(kind, found.place, f"{quote(found.tag)} of {quote(found.word)}", "", values)
                for found in first
            ]
            findings.add_counted(listed, count)
