"""A last check of every layout: whether what was read can be words and tags.

A file may fit a layout by its form and mean something else. The first sentences show it.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from corpus.formats.sentence import LayoutKind, OpenedSource, Sentence
from corpus.problems import Place, Problem, ProblemKind, Problems
from corpus.schemes import is_entity_tag
from support.errors import UserError
from support.text import counted, quote

Item = TypeVar("Item")
SAMPLE_WORDS = 1000
MIN_WORDS = 3  # fewer words are no evidence
MIN_TAGS = 20  # distinct tags; fewer may each belong to one word of a small corpus
MIN_NUMBERS = 20  # fewer words may all be numbers
NEARLY_ALL = 0.95
MOST = 0.9
HALF = 0.5
FEW = 0.03  # about a tenth of the sub-words of English text continue a word
SHOWN = 3
PREFIX = re.compile(r"[^\W\d_]{1,8}[:/|]")
JSON = re.compile(r"""\s*[\[{]\s*["{\[].*[\]}]\s*""", re.DOTALL)
EXPECTED = (
    "one word and its tag in each row, or lists of words and tags. Name or number the columns with "
    "--text_column_name and --label_column_name"
)
WORDS_EXPECTED = "lists of words, or texts. Name their field with --text_column_name"


def plausible(
    opened: OpenedSource,
    name: str,
    problems: Problems,
    *,
    words_only: bool = False,
    column_requested: bool = False,
    is_waiting: Callable[[], bool] = lambda: False,
) -> OpenedSource:
    """Return a source that yields no sentence if its first ones cannot be words and tags.

    That is added to `problems`. `words_only`: tags may be anything, because they are not used.
    `column_requested`: the user named the column of tags, so they may be as many as the words.
    `is_waiting`: whether no further sentence has arrived, so that those that have are checked.
    """
    if opened.layout_kind is None:
        return opened
    raw_text = opened.layout_kind is LayoutKind.TEXT

    def fault_of(sample: list[Sentence], words: list[str]) -> Problem | None:
        tags = [tag for sentence in sample for tag in sentence.tags or () if isinstance(tag, str)]
        fault = _fault(words, [] if raw_text else tags, raw_text)
        if fault is None and not (raw_text or words_only):
            fault = _fault_of_numbers(words)
            if fault is None and not column_requested and len(words) >= MIN_WORDS:
                fault = _fault_of_tag_set(words, tags)
        if fault is None:
            return None
        place = Place(name, sample[0].lines[0])
        return Problem(ProblemKind.IMPLAUSIBLE, place, f"{fault} ({opened.layout})", EXPECTED)

    sentences = _checked(
        opened.sentences, lambda sentence: sentence.words, fault_of, problems, is_waiting
    )
    return opened._replace(sentences=sentences)


def plausible_items(
    items: Iterable[Item],
    words_of: Callable[[Item], Sequence[str]],
    name: str,
    problems: Problems,
    is_waiting: Callable[[], bool],
) -> Iterator[Item]:
    """Yield items to tag; report a problem and yield none if the first ones cannot hold words.

    `words_of` returns the words of an item; an empty list if its text is still to be split.
    `is_waiting`: see `plausible`.
    """

    def fault_of(sample: list[Item], words: list[str]) -> Problem | None:
        fault = _fault(words, [], raw_text=False)
        place = Place(name)
        return Problem(ProblemKind.IMPLAUSIBLE, place, fault, WORDS_EXPECTED) if fault else None

    return _checked(items, words_of, fault_of, problems, is_waiting)


def _checked(
    items: Iterable[Item],
    words_of: Callable[[Item], Sequence[str]],
    fault_of: Callable[[list[Item], list[str]], Problem | None],
    problems: Problems,
    is_waiting: Callable[[], bool],
) -> Iterator[Item]:
    """Yield items; add a problem and yield none if the first ones have a fault.

    `fault_of` takes the first items and all their words.
    """
    items = iter(items)
    sample: list[Item] = []
    words: list[str] = []
    error = None
    try:
        for item in items:
            sample.append(item)
            words += words_of(item)
            if len(words) >= SAMPLE_WORDS or len(sample) >= SAMPLE_WORDS or is_waiting():
                break
    except UserError as raised:
        error = raised
    if problem := fault_of(sample, words):
        problems.add(problem)
        return
    yield from sample
    if error is not None:  # after the items before it, as without this check
        raise error
    yield from items


def _fault(words: list[str], tags: list[str], raw_text: bool) -> str | None:
    """Describe why values cannot be words and tags; None if they can."""
    if len(words) < MIN_WORDS:
        return None
    filled = {
        kind: [value for value in values if value.strip()]
        for kind, values in (("word", words), ("tag", tags))
    }
    checks: list[tuple[str, Callable[[str], bool], str, float]] = [
        (kind, test, description, HALF)
        for kind in filled
        for test, description in ((_is_json, "are JSON"), (_has_blank, "contain spaces"))
    ]
    if not raw_text:
        sign = "begin with the sign that sub-words have for a space"
        checks += [
            ("word", _continues, "begin with ## as sub-words do", FEW),
            ("word", _begins_sub_word, sign, HALF),
        ]
    for kind, test, description, share in checks:
        if matching := _matching(filled[kind], test, share):
            return (
                f"{counted(len(matching), kind)} of {len(filled[kind]):,} {description}: "
                f"{_listed(matching)}"
            )
    if raw_text:
        return None
    if len(words) >= MIN_WORDS and (prefix := _common_prefix(words)):
        return f"all words begin with {quote(prefix)}: {_listed(words)}"
    if len(words) >= MIN_NUMBERS and _matching(words, _is_numbered, NEARLY_ALL):
        return f"nearly all words end in a number: {_listed(words)}"
    if matching := _matching(words, is_entity_tag, MOST):
        return f"{counted(len(matching), 'word')} of {len(words):,} are tags: {_listed(matching)}"
    return None


def _fault_of_numbers(words: list[str]) -> str | None:
    """Describe words that are nearly all numbers; None if there are too few to tell."""
    matching = _matching(words, str.isdecimal, NEARLY_ALL) if len(words) >= MIN_NUMBERS else []
    if not matching:
        return None
    return f"{counted(len(matching), 'word')} of {len(words):,} are numbers: {_listed(matching)}"


def _fault_of_tag_set(words: list[str], tags: list[str]) -> str | None:
    """Describe tags that are not labels: as many as there are words, or the words themselves."""
    pairs = zip(words, tags, strict=False)
    distinct, vocabulary = set(tags), set(words)
    if len(distinct) >= max(MIN_TAGS, 0.8 * len(vocabulary)):
        return (
            f"{len(distinct):,} different tags for {len(vocabulary):,} different words: "
            f"{_listed(tags)}"
        )
    lettered = [(word, tag) for word, tag in pairs if any(map(str.isalpha, word))]
    same = [tag for word, tag in lettered if word.lower() == tag.lower()]
    if len(same) >= MIN_WORDS and len(same) > HALF * len(lettered):
        return f"{counted(len(same), 'tag')} of {len(lettered):,} repeat the word: {_listed(same)}"
    return None


def _matching(values: list[str], test: Callable[[str], bool], share: float) -> list[str]:
    """Return the values that pass a test; none if they are less than `share` of all."""
    matching = list(filter(test, values))
    return matching if len(matching) >= MIN_WORDS and len(matching) > share * len(values) else []


def _listed(values: Iterable[str]) -> str:
    """Return the most frequent values, quoted."""
    return ", ".join(quote(value) for value, _ in Counter(values).most_common(SHOWN))


def _common_prefix(words: list[str]) -> str | None:
    """Return the prefix that all words share, such as the language in WikiAnn's en:Rome."""
    match = PREFIX.match(words[0])
    distinct = set(words)
    shared = match is not None and all(
        word.startswith(match[0]) and len(word) > len(match[0]) for word in distinct
    )
    return match[0] if match is not None and shared and len(distinct) >= MIN_WORDS else None


def _continues(word: str) -> bool:
    """Return whether a word is a sub-word of WordPiece that continues another one."""
    return word.startswith("##") and word[2:3].isalnum()


def _begins_sub_word(word: str) -> bool:
    """Return whether a word begins with the sign for a space of SentencePiece or byte-level BPE."""
    return word[:1] in ("\u2581", "\u0120")


def _is_numbered(word: str) -> bool:
    """Return whether a word has a digit after another character, as in Weibo's numbered text."""
    return len(word) > 1 and word[-1].isdecimal() and not word[-2].isdecimal()


def _has_blank(value: str) -> bool:
    return " " in value.strip()


def _is_json(value: str) -> bool:
    if not JSON.fullmatch(value):
        return False
    try:
        return isinstance(json.loads(value), dict | list)
    except (ValueError, RecursionError):
        return False
