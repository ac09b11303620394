"""Scoring a model on labelled files, as the evaluation of training does (`infer.py --score`)."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import common
from corpus.formats import detect
from corpus.formats.column_names import HEAD_SIZE
from corpus.formats.sentence import (
    ROW_LAYOUTS,
    LayoutKind,
    OpenedSource,
    ReadOptions,
    Sentence,
)
from corpus.plausible import plausible
from corpus.problems import Place, Problems
from corpus.spellings import ENTITY_TASKS, composed, spelling_of, type_of_column
from scoring.evidence import EvidenceCounter
from scoring.scores import count_tags, scores_of_counts
from support.errors import UserError
from support.processes import is_main_process, world_size
from tagging.chunks import Chunk, in_chunks, tagged_texts
from tagging.entities import to_iob2
from tagging.input_form import is_prose
from tagging.items import Item, document_key, item_of_words
from tagging.processes import all_gather, own_chunks
from tagging.progress import Progress
from tagging.tagger import Tagger


def score(tagger: Tagger, items: Iterable[Item], progress: Progress) -> dict[str, Any]:
    """Return the scores of a model against the gold tags of items (see `scores_of_counts`).

    Several processes share the items; each returns the scores of all, the main process with their
    evidence (see `EvidenceCounter.added_to`). Raises UserError if the gold tags belong to another
    task.
    """
    counts: Counter[Any] = Counter()
    evidence = EvidenceCounter(tagger.entity_tags)
    for chunk in own_chunks(in_chunks(items, lambda seconds=0: False, tagger)):
        references, predictions = tag_labelled(tagger, chunk)
        counts += count_tags(references, predictions, tagger.entity_tags)
        words = [[word for word, _, _ in item.words or []] for item in chunk.items]
        documents = [item.document for item in chunk.items]
        for sentence in zip(words, references, predictions, documents, strict=True):
            evidence.add(*sentence)
        progress.add(len(chunk.items), sum(map(len, references)))
    progress.close()
    if world_size() > 1:
        parts = all_gather((counts, evidence))
        counts = sum((part_counts for part_counts, _ in parts), Counter())
        evidence = parts[0][1]
        for _, other_evidence in parts[1:]:
            evidence.merge(other_evidence)
    scores = scores_of_counts(counts, tagger.entity_tags)
    return evidence.added_to(scores) if is_main_process() else scores


def tag_labelled(tagger: Tagger, chunk: Chunk) -> tuple[list[list[str]], list[list[str]]]:
    """Return the gold and the predicted tags of labelled sentences; entity tags are IOB2.

    Raises UserError if the gold tags belong to another task.
    """
    gold = [item.tags or [] for item in chunk.items]
    _check_task(tagger, gold)
    # A corpus that was read is IOB2, and so are the labels of a model trained here. Models from
    # elsewhere may have other schemes.
    convert = tagger.entity_tags and any(label[0] not in "OBI" for label in tagger.label_names)
    tagged = [text.tags for text in tagged_texts(tagger, chunk)]
    references = [to_iob2(tags) if tagger.entity_tags else tags for tags in gold]
    predictions = [to_iob2(tags) if convert else tags for tags in tagged]
    return references, predictions


def unknown_types(tagger: Tagger, scores: dict[str, Any]) -> list[str]:
    """Return the types, or plain tags, of the gold tags that the model has no label for."""
    known = {
        label.partition("-")[2] if tagger.entity_tags else label for label in tagger.label_names
    }
    return sorted(set(scores["per_type"]) - known)


def _check_task(tagger: Tagger, gold: list[list[str]]) -> None:
    """Raise UserError unless both the gold tags and the model's are entity tags, or both plain."""
    labels = sorted({tag for tags in gold for tag in tags})
    if common.are_entity_tags(labels) != tagger.entity_tags and labels != ["O"]:
        raise UserError(
            "the labels of the input belong to a different task than the model's:\n"
            f"  got:      {', '.join(labels[:8])}\n"
            f"  expected: {', '.join(tagger.label_names[:8])}"
        )


def labelled_items(
    files: Sequence[str], options: ReadOptions, problems: Problems, *, may_be_prose: bool
) -> Iterator[Item]:
    """Yield words, gold tags and places of labelled files, in any format that training reads.

    `may_be_prose`: refuse plain text, whose lines a reader of columns would take for rows.
    """
    for path in files:
        opened = plausible(
            detect.read(path, options, problems),
            path,
            problems,
            column_requested=options.label_column is not None,
        )
        if not opened.labelled:
            layout = opened.layout or "unreadable"
            raise UserError(f"{path}: no labels to score against: got {layout}")
        if may_be_prose and opened.layout_kind is LayoutKind.COLUMNS and is_prose(path):
            raise UserError(
                f"{path}: no labels to score against: got plain text, expected one word and its "
                "tag on each line and a blank line after each sentence, or records with tokens and "
                "tags. If these are columns: --input_format conll"
            )
        of_file = len(files) > 1 and opened.layout_kind in ROW_LAYOUTS
        for words, gold, place in _sentences(opened, options.task):
            document = document_key(path, place.document, of_file=of_file)
            yield item_of_words(words, gold)._replace(document=document, place=place)


def _sentences(opened: OpenedSource, task: str) -> Iterator[tuple[list[str], list[str], Place]]:
    """Yield words and gold tags, spelt as in training; the first sentences show the spelling."""
    sentences = iter(opened.sentences)
    first = list(itertools.islice(sentences, HEAD_SIZE))

    def names(sentence: Sentence) -> list[str]:
        return [_tag_name(tag, opened.label_names, sentence) for tag in sentence.tags or ()]

    spelling = None
    if task in ENTITY_TASKS:
        tags = {tag for sentence in first for tag in names(sentence)}
        spelling = spelling_of(tags, type_of_column(opened.label_column, task))
    for sentence in itertools.chain(first, sentences):
        gold = names(sentence)
        if spelling is not None:
            gold = [spelling.read(tag) or tag for tag in gold]
        place = Place(
            sentence.file,
            sentence.lines[0] if len(sentence.lines) else None,
            sentence.record_id,
            sentence.document,
            lines=tuple(sentence.lines),
        )
        yield list(sentence.words), gold, place


def _tag_name(tag: str | int, label_names: Sequence[str] | None, sentence: Sentence) -> str:
    if isinstance(tag, str):
        return composed(tag.strip())
    if label_names and 0 <= tag < len(label_names):
        return label_names[tag]
    raise UserError(
        f"{sentence.place()}: an integer label without a name: got {tag}, expected label names "
        "in the file"
    )
