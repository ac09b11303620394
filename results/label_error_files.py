"""Files of suspected label errors, the most probable first.

    ranked = rank_suspects(sentences, tags, probabilities, entity_tags)
    write_suspects(Path("label_errors.jsonl"), ranked, entity_tags)
    write_suspect_page(Path("label_errors.html"), ranked, entity_tags)

A line of the JSON file is a sentence with the suggestion applied, in the fields that annotation
tools import: `text` and `label` (doccano), `spans` (Prodigy), by characters of `text`.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from common import entities
from results.study_files import LabelledSentence
from scoring.label_errors import Suspect, corrected, suspected_errors
from scoring.mistakes import CONTEXT_WORDS, Entity
from support.files import written_whole
from support.html import page_environment
from support.type_colours import type_hues

TEMPLATES = Path(__file__).parent / "templates"
SHOWN_ON_PAGE = 200
SURE = 0.5  # tags above it are more probable than all others together


class RankedSuspect(NamedTuple):
    """A suspect with its sentence, and the tags and entities that the model suggests there."""

    suspect: Suspect
    sentence: LabelledSentence
    suggested_tags: Sequence[str]


def rank_suspects(
    sentences: Iterable[LabelledSentence],
    tags: Iterable[Sequence[str]],
    probabilities: Iterable[Sequence[float]],
    entity_tags: bool,
) -> list[RankedSuspect]:
    """Return the suspects with a high score, the highest first.

    `tags` and `probabilities`: those of models that have not seen the sentences.
    """
    ranked = [
        RankedSuspect(suspect, sentence, predicted)
        for sentence, predicted, chances in zip(sentences, tags, probabilities, strict=True)
        for suspect in suspected_errors(sentence.tags, predicted, chances, entity_tags)
        if suspect.score > SURE
    ]
    return sorted(ranked, key=lambda row: -row.suspect.score)


def write_suspects(path: Path, ranked: Iterable[RankedSuspect], entity_tags: bool) -> None:
    """Write suspects as JSON Lines."""
    with written_whole(path) as file:
        for row in ranked:
            file.write(json.dumps(suspect_json(row, entity_tags), ensure_ascii=False) + "\n")


def suspect_json(row: RankedSuspect, entity_tags: bool) -> dict[str, Any]:
    """Return a suspect as a record; `label` and `spans` have the suggestion applied."""
    suspect, (words, tags, place), _ = row
    starts = list(accumulate((len(word) + 1 for word in words), initial=0))

    def span(entity: Entity) -> tuple[int, int, str | None]:
        return starts[entity[1]], starts[entity[2]] - 1, entity[0]

    def described(entity: Entity | None) -> dict[str, Any] | None:
        if entity is None:
            return None
        start, end, name = span(entity)
        return {"label": name, "start": start, "end": end, "text": text[start:end]}

    text = " ".join(words)
    labelled: list[Entity] = [*entities(tags)] if entity_tags else []
    if not entity_tags:
        labelled = [(tag, word, word + 1) for word, tag in enumerate(tags)]
    spans = [span(entity) for entity in corrected(labelled, suspect)]
    return {
        "text": text,
        "label": [list(each) for each in spans],
        "spans": [{"start": start, "end": end, "label": name} for start, end, name in spans],
        "score": round(suspect.score, 4),
        "kind": suspect.kind,
        "labelled": described(suspect.label),
        "suggested": described(suspect.suggested),
        "file": place.file,
        "line": place.line,
        "record_id": place.record_id,
        "document": place.document,
        "words": words[suspect.start : suspect.end],
        "start_word": suspect.start,
        "end_word": suspect.end,
    }


class Word(NamedTuple):
    """A word with its label and the suggested tag. `wrong`: it belongs to the suspect."""

    text: str
    gold: str
    suggested: str
    wrong: bool


class ShownSuspect(NamedTuple):
    """A suspect with the words around it."""

    suspect: Suspect
    place: Any
    words: list[Word]
    cut_before: bool
    cut_after: bool


def write_suspect_page(path: Path, ranked: Sequence[RankedSuspect], entity_tags: bool) -> None:
    """Write the first suspects as a page."""
    shown = [_shown(row) for row in ranked[:SHOWN_ON_PAGE]]
    template = page_environment(TEMPLATES).get_template("label_errors.html.jinja")
    pieces = template.generate(
        title="Suspected label errors",
        shown=shown,
        total=len(ranked),
        entity_tags=entity_tags,
        hues=type_hues(tag for row in ranked for tag in (*row.sentence.tags, *row.suggested_tags)),
    )
    with written_whole(path) as file:
        file.writelines(map(str, pieces))


def _shown(row: RankedSuspect) -> ShownSuspect:
    suspect, (words, tags, place), suggested = row
    first = max(0, suspect.start - CONTEXT_WORDS)
    last = min(len(words), suspect.end + CONTEXT_WORDS)
    columns = zip(words[first:last], tags[first:last], suggested[first:last], strict=True)
    shown = [
        Word(*column, suspect.start <= number < suspect.end)
        for number, column in enumerate(columns, first)
    ]
    return ShownSuspect(suspect, place, shown, first > 0, last < len(words))
