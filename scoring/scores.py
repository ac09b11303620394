"""Lists of tags to counts, and counts to scores.

    count_tags(references, predictions, entity_tags)     # additive over sentences
    scores_of_counts(counts, entity_tags)                # precision, recall, f1, accuracy
    compute_metrics(predictions, split, label_names)     # of a split, with the loss

Entities are counted by seqeval, which agrees with conlleval. datasets, evaluate and seqeval are
imported by the functions that need them, so that `infer.py` can start without them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from common import NO_TAG, are_entity_tags, postprocess
from scoring.word_predictions import WordPredictions

if TYPE_CHECKING:
    import evaluate

TagLists = Iterable[Sequence[str]]  # one list of tags per sentence

KINDS = ("correct", "predicted", "gold")


def count_tags(references: TagLists, predictions: TagLists, entity_tags: bool) -> Counter[Any]:
    """Return the counts that scores are computed from; those of two corpora may be added.

    The keys are ("correct" | "predicted" | "gold", type), "words" and "words right". Of plain
    tags, every word counts as an entity whose type is its tag. Raises ValueError if a sentence
    has more or fewer predicted tags than gold tags.
    """
    counts: Counter[Any] = Counter()
    for gold, predicted in zip(references, predictions, strict=True):
        if len(gold) != len(predicted):
            raise ValueError(
                f"got {len(predicted)} predicted tags for a sentence, expected {len(gold)}, one "
                f"for each gold tag: {gold!r:.80}"
            )
        counts["words"] += len(gold)
        counts["words right"] += sum(map(str.__eq__, gold, predicted))
        gold_items, predicted_items = _items(gold, entity_tags), _items(predicted, entity_tags)
        counts.update(("gold", item[0]) for item in gold_items)
        counts.update(("predicted", item[0]) for item in predicted_items)
        counts.update(("correct", item[0]) for item in gold_items & predicted_items)
    return counts


def _items(tags: Sequence[str], entity_tags: bool) -> set[tuple[Any, ...]]:
    """Return the entities of a sentence, or its words: (type, position, ...)."""
    if not entity_tags:
        return {(tag, position) for position, tag in enumerate(tags)}
    from seqeval.metrics.sequence_labeling import get_entities

    return set(get_entities(tags))


def scores_of_counts(counts: Counter[Any], entity_tags: bool) -> dict[str, Any]:
    """Return {"overall": {...}, "per_type": {type: {...}}, "words": number of words}.

    Each type has precision, recall, f1 and number (of gold entities). Overall, entity tags have
    precision, recall and f1 over all entities (micro average) and accuracy over words; plain tags
    have accuracy and macro_f1, the mean over all tags that are gold or predicted.
    """
    types = sorted({key[1] for key in counts if isinstance(key, tuple)})
    per_type = {t: prf(*(counts[kind, t] for kind in KINDS)) for t in types}
    accuracy = counts["words right"] / counts["words"] if counts["words"] else 0.0
    if entity_tags:
        total = prf(*(sum(counts[kind, t] for t in types) for kind in KINDS))
        overall = {name: total[name] for name in ("precision", "recall", "f1")}
        overall["accuracy"] = accuracy
    else:
        f1s = [scores["f1"] for scores in per_type.values()]
        overall = {"accuracy": accuracy, "macro_f1": sum(f1s) / len(f1s) if f1s else 0.0}
    return {"overall": overall, "per_type": per_type, "words": counts["words"]}


def prf(correct: int, predicted: int, gold: int) -> dict[str, Any]:
    """Return precision, recall, f1 and number (of gold items) of counts; 0 without data."""
    precision = correct / predicted if predicted else 0.0
    recall = correct / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "number": gold}


def label_types(label_names: Sequence[str], entity_tags: bool) -> list[str]:
    """Return the types of these labels; for plain tags, the labels themselves.

    A model may know labels that are not entity tags, such as [CLS]: they have no type.
    """
    labels = [name for name in label_names if not entity_tags or are_entity_tags([name])]
    return sorted({item[0] for label in labels for item in _items([label], entity_tags)})


def flat_scores(scores: dict[str, Any], types: Iterable[str]) -> dict[str, Any]:
    """Return nested scores as `{"f1": ..., "loss": ..., "words": ..., "PER_f1": ...}`.

    `scores`: as `compute_metrics` returns them. `types`: those whose scores are included; they are
    0 for a type that no gold and no predicted tag has, so that names never depend on the split.
    """
    flat = {**scores["overall"], "loss": scores["loss"], "words": scores["words"]}
    nothing = prf(0, 0, 0)
    if "intervals" in scores:  # without data, the interval is 0 to 1
        nothing |= {f"{name}_interval": [0.0, 1.0] for name in ("precision", "recall", "f1")}
    for name in types:
        of_type = scores["per_type"].get(name) or nothing
        flat |= {f"{name}_{key}": value for key, value in of_type.items()}
    return flat


def score_names(label_names: Sequence[str], entity_tags: bool) -> list[str]:
    """Return the names of all scores of a model with these labels: "f1", "loss", "PER_f1", ...

    They are those of `flat_scores` without counts.
    """
    nothing = scores_of_counts(Counter(), entity_tags) | {"loss": 0.0}
    flat = flat_scores(nothing, label_types(label_names, entity_tags))
    return [name for name, value in flat.items() if isinstance(value, float)]


def score_tags(references: TagLists, predictions: TagLists, entity_tags: bool) -> dict[str, Any]:
    """Return the scores of lists of tags, as `scores_of_counts` does."""
    return scores_of_counts(count_tags(references, predictions, entity_tags), entity_tags)


def tag_metric(entity_tags: bool) -> evaluate.Metric:
    """Return `score_tags` as an `evaluate.Metric`: local code, in memory, without lock files.

    It keeps counts instead of sentences, so that a corpus of any size can be added batch by batch.
    """
    import datasets
    import evaluate

    class TagMetric(evaluate.Metric):
        def __init__(self) -> None:
            super().__init__(keep_in_memory=True)
            self.counts: Counter[Any] = Counter()

        def _info(self) -> evaluate.MetricInfo:
            tags = datasets.Sequence(datasets.Value("string"))
            return evaluate.MetricInfo(
                description="Scores of tags.",
                citation="",
                inputs_description="",
                features=datasets.Features({"predictions": tags, "references": tags}),
            )

        def add_batch(self, *, predictions: TagLists, references: TagLists) -> None:
            """Count lists of predicted and gold tags."""
            self.counts = self.counts + count_tags(references, predictions, entity_tags)

        def compute(
            self, *, predictions: TagLists = (), references: TagLists = ()
        ) -> dict[str, Any]:
            """Return the scores of everything added, and start again with nothing."""
            self.add_batch(predictions=predictions, references=references)
            counts, self.counts = self.counts, Counter()
            return scores_of_counts(counts, entity_tags)

    return TagMetric()


def compute_metrics(
    predictions: WordPredictions, split: Iterable[dict[str, Any]], label_names: Sequence[str]
) -> dict[str, Any]:
    """Return the scores of a split (see `scores_of_counts`), with the mean loss per word.

    `split`: rows with `tokens` and `labels`.
    """
    metric = tag_metric(are_entity_tags(label_names))
    sentences = postprocess(predictions, split, label_names)
    while chunk := list(islice(sentences, 1000)):
        metric.add_batch(references=[s[1] for s in chunk], predictions=[s[2] for s in chunk])
    scores = metric.compute()
    scored = int((predictions.tag_ids != NO_TAG).sum())
    scores["loss"] = predictions.loss / max(scored, 1)
    return scores
