"""Suspected label errors as pages show them: that of their study, and those of runs on its corpus.

write_suspect_page(path, records, entity_tags, title=..., date=..., verdict=...)
study = study_of([Path()], parts)    # an earlier study of the same sentences, or None
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from corpus.problems import Place
from results.label_error_files import LABEL_ERRORS, read_suspects
from results.original_text import OriginalTexts
from results.report_mistakes import (
    NO_SIDE,
    Mistakes,
    ShownMistake,
    Side,
    Word,
    as_shown,
    short_path,
)
from results.study_files import LabelledSentence
from results.study_folder import STUDY_FILE
from scoring.evidence import few_note, number_of
from scoring.mistakes import CONTEXT_WORDS
from support.files import written_whole
from support.html import page_environment
from support.text import counted
from support.type_colours import type_hues

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_ON_PAGE = 200
SHOWN_IN_REPORT, OPEN_IN_REPORT = 15, 5
PAIRS_SHOWN = 12
SIDES = ("labelled", "suggested")
PLACE = ("file", "line", "record_id", "document")
STUDIES = f"*/{STUDY_FILE}"
FINISHED = {"sentences_digest", "suspects", "cautions"}  # keys of the record of such a study

# --- Suspects -----------------------------------------------------------------------------------


def suspects_shown(records: Sequence[Mapping[str, Any]], total: int) -> Mistakes:
    """Return suspects as a page shows them, in their order.

    `records`: of `label_error_files.suspect_json`. `total`: also those not shown.
    """
    places = [Place(*(record[name] for name in PLACE)) for record in records]
    types = sorted({name for record in records for name in _types_of(record)})
    kinds = list(dict.fromkeys(record["kind"] for record in records))
    by_place = sorted(
        range(len(records)),
        key=lambda n: (places[n].file, places[n].line or 0, records[n]["start_word"]),
    )
    order = {number: position for position, number in enumerate(by_place, 1)}
    originals = OriginalTexts(places)
    shown = [
        _shown(record, place, originals, types, kinds, order[number])
        for number, (record, place) in enumerate(zip(records, places, strict=True))
    ]
    return as_shown(shown, types, kinds, total)


def _types_of(record: Mapping[str, Any]) -> list[str]:
    """Return the types of the label and of the suggestion."""
    names = {entity["label"] for side in SIDES for entity in record[side]}
    return sorted(name for name in names if name is not None)


def _shown(
    record: Mapping[str, Any],
    place: Place,
    originals: OriginalTexts,
    types: Sequence[str],
    kinds: Sequence[str],
    number: int,
) -> ShownMistake:
    """Return a suspect as the page shows it; `number`: its position by place."""
    text, start, end = record["text"], record["start"], record["end"]
    before = text[: start - 1].split(" ") if start else []
    after = text[end + 1 :].split(" ") if end < len(text) else []
    around = before[-CONTEXT_WORDS:], after[:CONTEXT_WORDS]
    words = [*around[0], *record["words"], *around[1]]
    between = originals.between(place, words)
    inside = slice(len(around[0]), len(around[0]) + len(record["words"]))
    tagged = iter(zip(record["tags"], record["suggested_tags"], strict=True))
    shown = []
    for position, (word, space) in enumerate(zip(words, between, strict=True)):
        wrong = inside.start <= position < inside.stop
        gold_tag, predicted_tag = next(tagged) if wrong else ("", "")
        shown.append(Word(word, gold_tag, predicted_tag, not wrong, wrong, space))

    differ = record["kind"] == "other boundary"
    gold, predicted = (
        [Side(entity["label"], entity["text"] if differ else "") for entity in record[side]]
        for side in SIDES
    )
    return ShownMistake(
        kind_name=record["kind"],
        mention="".join(word.text + word.after for word in shown[inside]).strip(),
        gold=gold or [NO_SIDE],
        predicted=predicted or [NO_SIDE],
        sentence=number,
        place=place,
        file=short_path(place.file),
        confidence=f"{record['score']:.3f}",
        is_sure=False,
        words=shown,
        cut_before=len(before) > CONTEXT_WORDS,
        cut_after=len(after) > CONTEXT_WORDS,
        types=[types.index(name) + 1 for name in _types_of(record)],
        kind=kinds.index(record["kind"]) + 1,
    )


# --- The page of a study ------------------------------------------------------------------------

# Published corpora have label errors in at most one entity of ten. Models that differ from the
# labels much more often are mostly wrong themselves.
WEAK_F1, WEAK_ACCURACY = 0.7, 0.9


def study_verdict(suspects: int, sentences: int, scores: Mapping[str, Any]) -> list[str]:
    """Return how many labels are suspected, and how good the models are that suspect them.

    `scores`: of the models' predictions for sentences that they have not seen, with intervals.
    """
    name, value, low, high = _main_score(scores)
    number = number_of(scores)
    noun = ("entity", "entities") if name == "F1" else ("word", "words")
    items = f"{number:,} {noun[number != 1]} of {counted(sentences, 'sentence')}"
    return [
        f"{counted(suspects, 'suspected label error')} in {items}.",
        f"The models that suspect them reach {name} {value:.3f} ({low:.3f} to {high:.3f}) on these "
        "sentences, which they had not seen.",
    ]


def study_cautions(scores: Mapping[str, Any]) -> list[str]:
    """Return what makes the suspects of a study doubtful, one sentence each."""
    name, value, low, high = _main_score(scores)
    cautions = []
    if value < (WEAK_F1 if name == "F1" else WEAK_ACCURACY):
        cautions.append(
            f"The models are weak ({name} {value:.3f}, {low:.3f} to {high:.3f}, on sentences that "
            "they had not seen): most suspects are probably mistakes of the models, not of the "
            "labels. Train longer (--num_train_epochs), or use a larger encoder "
            "(--model_name_or_path) or more sentences."
        )
    return cautions + [note for note in [few_note(scores)] if note]


def _main_score(scores: Mapping[str, Any]) -> tuple[str, float, float, float]:
    """Return the name of the main score, its value, and its interval."""
    name, title = ("f1", "F1") if "f1" in scores["overall"] else ("accuracy", "accuracy")
    return title, scores["overall"][name], *scores["overall"][f"{name}_interval"]


class SuspectPair(NamedTuple):
    """The suspects with these labels and suggestions; no label means no entity."""

    labels: tuple[str | None, ...]
    suggested: tuple[str | None, ...]
    suspects: int
    highest: float


def suspect_pairs(records: Iterable[Mapping[str, Any]]) -> list[SuspectPair]:
    """Return the most frequent pairs of label and suggestion."""
    scores: dict[tuple[Any, Any], list[float]] = {}
    for record in records:
        labels, suggested = (
            tuple(entity["label"] for entity in record[side]) or (None,) for side in SIDES
        )
        scores.setdefault((labels, suggested), []).append(record["score"])
    pairs = [SuspectPair(*pair, len(values), max(values)) for pair, values in scores.items()]
    return sorted(pairs, key=lambda pair: (-pair.suspects, -pair.highest))[:PAIRS_SHOWN]


def write_suspect_page(
    path: Path,
    records: Sequence[Mapping[str, Any]],
    entity_tags: bool,
    *,
    title: str,
    date: str,
    verdict: Sequence[str],
    cautions: Sequence[str] = (),
) -> None:
    """Write the first suspects as a page; the words of its header are given."""
    suspects = suspects_shown(records[:SHOWN_ON_PAGE], len(records))
    template = page_environment(TEMPLATES).get_template("label_errors.html.jinja")
    pieces = template.generate(
        title=title,
        date=date,
        verdict=verdict,
        cautions=cautions,
        pairs=suspect_pairs(records),
        suspects=suspects,
        entity_tags=entity_tags,
        hues=type_hues(name for record in records for name in _types_of(record)),
    )
    with written_whole(path) as file:
        file.writelines(map(str, pieces))


# --- The pages of runs --------------------------------------------------------------------------


class LabelErrorStudy(NamedTuple):
    """The suspects of a study, as the page of a run on its corpus shows them."""

    folder: str
    total: int
    cautions: list[str]
    shown: Mistakes
    open: int = OPEN_IN_REPORT  # the others are folded


def study_of(
    folders: Iterable[Path], parts: Sequence[Callable[[], Iterable[LabelledSentence]]]
) -> LabelErrorStudy | None:
    """Return the newest study of label errors, in one of these folders, of the same sentences.

    Suspects whose labels have been changed since are left out. `parts`: functions that return
    sentences. The study has those of the first, or of all of them (a training split, before some of
    it was held out). They are called only if there is a study.
    """
    studies = _finished_studies(folders)
    if not studies:
        return None
    digests, total = set(), 0
    for part in parts:
        total += _digest(part())
        digests.add(_as_text(total))
    for folder, record in studies.items():
        if record["sentences_digest"] in digests:
            sentences = chain.from_iterable(part() for part in parts)
            suspects = _unchanged(list(read_suspects(folder / LABEL_ERRORS)), sentences)
            cautions, count = list(record["cautions"]), len(suspects)
            shown = suspects_shown(suspects[:SHOWN_IN_REPORT], count)
            return LabelErrorStudy(short_path(str(folder)), count, cautions, shown)
    return None


def _unchanged(
    suspects: Sequence[dict[str, Any]], sentences: Iterable[LabelledSentence]
) -> list[dict[str, Any]]:
    """Return the suspects whose words still have the labels of the study."""
    tags_of_text: dict[str, list[Sequence[str]]] = {suspect["text"]: [] for suspect in suspects}
    for sentence in sentences:
        text = " ".join(sentence.words)
        if text in tags_of_text:
            tags_of_text[text].append(sentence.tags)

    def is_unchanged(suspect: dict[str, Any]) -> bool:
        inside = slice(suspect["start_word"], suspect["end_word"])
        return any([*tags[inside]] == suspect["tags"] for tags in tags_of_text[suspect["text"]])

    return [*filter(is_unchanged, suspects)]


def digest_of(sentences: Iterable[LabelledSentence]) -> str:
    """Return a digest of the words of sentences; it does not depend on their order."""
    return _as_text(_digest(sentences))


def _digest(sentences: Iterable[LabelledSentence]) -> int:
    contents = (json.dumps(sentence.words).encode() for sentence in sentences)
    hashes = (hashlib.blake2b(content, digest_size=16).digest() for content in contents)
    return sum(int.from_bytes(of_sentence) for of_sentence in hashes)


def _as_text(digest: int) -> str:
    return f"{digest % 2**128:032x}"


def _finished_studies(folders: Iterable[Path]) -> dict[Path, dict[str, Any]]:
    """Return the records of the finished studies of label errors in folders, the newest first."""
    paths = {path.resolve() for folder in folders for path in folder.glob(STUDIES)}
    records = {}
    for path in paths:
        with suppress(OSError, ValueError):  # of another program, or deleted meanwhile
            record = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(record, dict) and record.keys() >= FINISHED:
                records[path.parent] = path.stat().st_mtime, record
    newest_first = sorted(records.items(), key=lambda item: item[1][0], reverse=True)
    return {folder: record for folder, (_, record) in newest_first}
