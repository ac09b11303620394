"""From the tags of words to the entities of a text, for any tag scheme."""

from typing import Any, NamedTuple

import numpy as np

import common
from corpus.schemes import TagTable, iob2_names
from corpus.words import Words


class TaggedText(NamedTuple):
    """A text with one tag for each word."""

    text: str
    words: Words
    tags: list[str]
    probabilities: list[float]  # of each tag
    entity_scores: list[float]  # see `common.SentencePrediction`


def entities_of(tagged: TaggedText) -> list[dict[str, Any]]:
    """Return the entities of a text, in order; they do not overlap.

    Each has `entity_group` (its type), `score`, `word` (its text), and `start` and `end` in code
    points.
    """
    # `common.entities` reads IOB2 and IOB1 alike, as conlleval does.
    is_iob = all(tag[0] in "OBI" for tag in tagged.tags)
    tags = tagged.tags if is_iob else to_iob2(tagged.tags)
    entities = []
    for entity_type, first, after_last in common.entities(tags):
        start, end = tagged.words[first][1], tagged.words[after_last - 1][2]
        entities.append(
            {
                "entity_group": entity_type,
                "score": common.entity_score(tagged.entity_scores, first, after_last),
                "word": tagged.text[start:end],
                "start": start,
                "end": end,
            }
        )
    return entities


def to_iob2(tags: list[str]) -> list[str]:
    """Return the tags of the same entities in IOB2, for entity tags of any scheme."""
    table = TagTable(sorted(set(tags)))
    tag_ids = np.array([table.names.index(tag) for tag in tags], dtype=np.int64)
    starts = np.arange(len(tags)) == 0
    names = iob2_names(table.types)
    return [names[tag_id] for tag_id in table.to_iob2(tag_ids, starts, names)]
