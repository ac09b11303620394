"""Problems of tags: not entity tags, unnamed, undeclared, missing from training, misspelt, stray.

Each function searches all splits and reports every word that has such a tag.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher

import numpy as np

from corpus.problems import GroupedProblems, Place, Problem, ProblemKind, Problems
from corpus.schemes import SCHEMES, TagTable, is_entity_tag, split_tag
from corpus.splits import RawSplit
from support.text import counted, did_you_mean, one_edit_apart, quote

SEVERAL_TAGS = re.compile(r"[|,;\s](?:O$|[BIESLUM]-[^\W\d_])")  # B-PER|B-ORG
LOOK_ALIKES = str.maketrans("01i5", "olls")  # signs and the letters that they look like
NEAR = 0.8  # similarity, by `difflib`; that of PERS and PER is 0.86, that of DATE and RATE 0.75
SHOWN_TAGS = 8


def report_tags_without_name(
    tags: Sequence[str | int], raw: dict[str, RawSplit], known_names: int, problems: Problems
) -> None:
    """Report integers without a name, and empty tags.

    `known_names`: the number of names that the files and the user gave.
    """
    only_digits = all(str(tag).isdecimal() for tag in tags)
    integers = {number for number, tag in enumerate(tags) if isinstance(tag, int) or only_digits}
    expected = "the names in order: --label_names O B-PER I-PER ..., or a file of them"
    kind = ProblemKind.TOO_FEW_NAMES if known_names else ProblemKind.INTEGER_WITHOUT_NAME
    title_values = (str(known_names),) if known_names else ()
    _report(problems, kind, raw, integers, expected, title_values=title_values)
    empty = {number for number, tag in enumerate(tags) if tag == ""}
    expected = "a label; O for words outside entities"
    _report(problems, ProblemKind.EMPTY_LABEL, raw, empty, expected)


def report_not_entity_tags(
    names: Sequence[str], raw: dict[str, RawSplit], problems: Problems
) -> None:
    """Report tags that are neither O nor a prefix, a hyphen and a type."""
    entity_tags = [name for name in names if is_entity_tag(name) and not SEVERAL_TAGS.search(name)]
    bad = _numbers_outside(entity_tags, names)
    expected = "O, or a prefix, a hyphen and a type, as in B-PER; for plain tags, --task_name pos"
    _report(problems, ProblemKind.NOT_ENTITY_TAG, raw, bad, expected, entity_tags)


def report_plain_tags(
    names: Sequence[str],
    scheme: str | None,
    task_name: str,
    raw: dict[str, RawSplit],
    problems: Problems,
) -> None:
    """Report tags none of which is an entity tag, where entity tags are expected, as one problem.

    `scheme`: the one that the user asked for, if any.
    """
    counts: Counter[str] = Counter()
    for split in raw.values():
        for number, count in split.tag_counts.items():
            counts[names[number]] += count
    files = ", ".join(source.name for split in raw.values() for source in split.sources)
    layouts = dict.fromkeys(o.layout for split in raw.values() for o in split.opened)
    frequent = [quote(name) for name, _ in counts.most_common(SHOWN_TAGS)]
    more = len(counts) - len(frequent)
    detail = f"got {', '.join(frequent)}{f' and {more:,} more' if more else ''}"
    if task_name == "pos":
        expected = "entity tags such as B-PER, or plain tags without --tag_scheme"
    else:
        expected = (
            "O, and a prefix, a hyphen and a type, as in B-PER. If they are in another column, "
            "name it with --label_column_name. To read each run of equal tags as an entity, use "
            "--tag_scheme io; to learn plain tags, --task_name pos"
        )
    if scheme is not None:
        detail += f", with --tag_scheme {scheme}"
    detail = f"{detail} ({'; '.join(layouts)})"
    problems.add(Problem(ProblemKind.PLAIN_TAGS, Place(files), detail, expected))


def report_foreign_prefixes(
    names: Sequence[str], scheme: str, raw: dict[str, RawSplit], problems: Problems
) -> None:
    """Report entity tags with a prefix that the scheme does not have."""
    prefixes = SCHEMES[scheme]
    bad = {
        number
        for number, name in enumerate(names)
        if is_entity_tag(name) and split_tag(name)[0] not in (*prefixes, "O")
    }
    known = f"O, or a prefix of {scheme.upper()} ({', '.join(prefixes)})"
    expected = f"{known}; for another scheme, use --tag_scheme"
    title_values = (scheme.upper(),)
    _report(problems, ProblemKind.FOREIGN_PREFIX, raw, bad, expected, title_values=title_values)


def report_undeclared(
    values: Sequence[str], allowed: set[str], raw: dict[str, RawSplit], problems: Problems
) -> None:
    """Report tags whose value (a label, or an entity type) is not among the declared ones."""
    expected = f"one of --label_names: {', '.join(sorted(filter(None, allowed)))}"
    bad = _numbers_outside(allowed, values)
    _report(problems, ProblemKind.UNDECLARED_LABEL, raw, bad, expected)


def report_untrained(
    names: Sequence[str],
    values: Sequence[str],
    known: set[str],
    raw: dict[str, RawSplit],
    problems: Problems,
) -> None:
    """Report labels (of entity tags, types) that the training split lacks.

    A model cannot learn them. In the validation split they are problems, because most are
    misspelt, unless the data set or `--label_names` declares them (`known`). In the test split
    they are warnings: it is scored as it is.
    """
    if "train" not in raw:
        return
    trained = raw["train"].tag_counts.keys()
    new = _numbers_outside({values[number] for number in trained}, values)
    trained_names = [names[number] for number in trained]
    expected = "a label of the training split, or one declared with --label_names"
    for name, split in raw.items():
        if name == "train":
            continue
        stopping = _numbers_outside(known, values) if name == "validation" else set()
        for target, bad in ((problems, new & stopping), (problems.warnings, new - stopping)):
            _report(
                target,
                ProblemKind.UNTRAINED_LABEL,
                {name: split},
                bad,
                expected,
                trained_names,
                title_values=(name,),
            )


def report_rare_types(
    types: Sequence[str], known: set[str], raw: dict[str, RawSplit], warnings: GroupedProblems
) -> None:
    """Report entity types of training that look like a misspelling of a far more frequent one.

    The rarer the type, the less similar it needs to be. Plain tags are not checked: parts of speech
    (NN, NNS) often differ by one letter.
    """
    counts: Counter[str] = Counter()
    for number, count in raw["train"].tag_counts.items() if "train" in raw else ():
        counts[types[number]] += count
    for rare in sorted(set(counts) - known - {""}):
        frequent = [
            name
            for name, count in counts.most_common()
            for looks_like, most, ratio in MISSPELT
            if counts[rare] <= min(most, count / ratio) and looks_like(rare, name)
        ]
        if frequent:
            bad = {number for number, name in enumerate(types) if name == rare}
            meant = [frequent[0], *(f"{prefix}-{frequent[0]}" for prefix in "BIESLUM")]
            expected = "the usual spelling, or a type declared with --label_names"
            # The similarity of PRE and PER is 0.67.
            _report(warnings, ProblemKind.RARE_TYPE, raw, bad, expected, meant, cutoff=0.6)


def report_similar_types(
    types: Sequence[str], known: set[str], raw: dict[str, RawSplit], warnings: GroupedProblems
) -> None:
    """Report entity types of training that differ only in case, spaces and punctuation.

    Types that the data set or the user declares (`known`) are meant to differ.
    """
    counts: Counter[str] = Counter()
    for number, count in raw["train"].tag_counts.items() if "train" in raw else ():
        counts[types[number]] += count
    alike: dict[str, list[str]] = {}
    for name in sorted(set(counts) - {""}):
        letters = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())
        alike.setdefault(letters or name, []).append(name)
    for names in alike.values():
        if len(names) > 1 and not set(names) <= known:
            ordered = sorted(names, key=counts.__getitem__, reverse=True)
            listed = ", ".join(
                f"{quote(name)} ({counted(counts[name], 'word')})" for name in ordered
            )
            place = Place(", ".join(source.name for source in raw["train"].sources))
            expected = "one spelling of each type, or the types declared with --label_names"
            warnings.add(Problem(ProblemKind.SIMILAR_TYPES, place, listed, expected))


def is_one_slip(name: str, intended: str) -> bool:
    """Return whether a type differs from the type `intended` only in case, or by one edit.

    Types with different digits are numbered types, not misspelt ones. Types of one or two letters
    are too similar to judge.
    """
    if name == intended:
        return False
    if name.lower() == intended.lower():
        return True
    return len(intended) > 2 and _same_digits(name, intended) and one_edit_apart(name, intended)


def is_nearly_the_same(name: str, intended: str) -> bool:
    """Return whether a type is spelled so much like the type `intended` that it looks misspelt.

    The names differ only in case, punctuation, or digits that look like letters (0RG, ORG); or each
    part of one name is very similar to that of the other, with few edits for its length. Types of
    one or two letters and numbered types are left out, as in `is_one_slip`.
    """
    if name == intended or len(intended) < 3:
        return False
    sides = [re.findall(r"[^\W_]+", side.casefold()) for side in (name, intended)]
    letters, intended_letters = ("".join(side).translate(LOOK_ALIKES) for side in sides)
    are_numbered = any(part.isdecimal() or len(part) == 1 for side in sides for part in side)
    if letters == intended_letters and (not are_numbered or sides[0] == sides[1]):
        return True
    if len(sides[0]) != len(sides[1]):  # compared as a whole
        sides = [[letters], [intended_letters]]
    return _same_digits(name, intended) and all(
        part == intended_part or SequenceMatcher(None, part, intended_part).ratio() > NEAR
        for part, intended_part in zip(*sides, strict=True)
    )


def _same_digits(name: str, intended: str) -> bool:
    return re.sub(r"\D", "", name) == re.sub(r"\D", "", intended)


# A test of similarity, the most words that the rare type may have, and the least ratio of the
# words of the frequent type to them.
MISSPELT = ((is_nearly_the_same, 20, 10), (is_one_slip, 3, 50))


def report_stray_tags(
    table: TagTable, scheme: str | None, raw: dict[str, RawSplit], warnings: GroupedProblems
) -> None:
    """Report tags that their scheme forbids at their position; conlleval's rule reads them.

    `scheme`: None for plain tags, which have no forbidden positions.
    """
    if scheme is None:
        return
    for split in raw.values():
        if split.tag_counts:
            count, strays = split.find(
                lambda batch: table.illegal(batch.tag_ids, batch.starts, scheme), warnings.limit
            )
            first = [
                Problem(
                    ProblemKind.STRAY_TAG,
                    stray.place,
                    f"{quote(stray.tag)} of {quote(stray.word)}",
                    title_values=(scheme.upper(),),
                    text=stray.text,
                    span=stray.span,
                )
                for stray in strays
            ]
            warnings.add_counted(first, count)


def _report(
    problems: GroupedProblems,
    kind: ProblemKind,
    raw: dict[str, RawSplit],
    bad: set[int],
    expected: str,
    suggestions: Sequence[str] = (),
    cutoff: float = 0.75,
    title_values: tuple[str, ...] = (),
) -> None:
    """Report every word with one of the tags numbered `bad`.

    `suggestions`: tags that may have been meant. `cutoff`: the lowest similarity of a suggestion.
    """
    for split in raw.values():
        if bad & split.tag_counts.keys():
            count, words = split.find(
                lambda batch: np.isin(batch.tag_ids, list(bad)), problems.limit
            )
            first = [
                Problem(
                    kind,
                    word.place,
                    f"{quote(word.tag)} of {quote(word.word)}"
                    f"{did_you_mean(str(word.tag), suggestions, cutoff)}",
                    expected,
                    title_values,
                    word.text,
                    word.span,
                )
                for word in words
            ]
            problems.add_counted(first, count)


def _numbers_outside(allowed: Collection[str], values: Sequence[str]) -> set[int]:
    """Return the numbers of the tags whose value is not allowed."""
    return {number for number, value in enumerate(values) if value not in allowed}
