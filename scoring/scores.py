"""Lists of tags to scores."""

from collections import Counter
from itertools import islice

from common import NO_TAG, WordPredictions, are_entity_tags, postprocess


def count_tags(references: list[list[str]], predictions: list[list[str]], entity_tags: bool):
    """What scores are made of, additive over sentences: a Counter of ("correct"|"predicted"|
    "gold", type), and of "words" and "words right".

    Entities are counted by seqeval, which agrees with conlleval; plain tags word by word.
    """
    counts = Counter()
    for gold, predicted in zip(references, predictions, strict=True):
        if len(gold) != len(predicted):
            raise ValueError(f"{len(gold)} gold tags, {len(predicted)} predicted: {gold!r:.80}")
        counts["words"] += len(gold)
        counts["words right"] += sum(map(str.__eq__, gold, predicted))
        if entity_tags:
            gold_items, predicted_items = set(_seqeval(gold)), set(_seqeval(predicted))
        else:
            gold_items = {(tag, i) for i, tag in enumerate(gold)}
            predicted_items = {(tag, i) for i, tag in enumerate(predicted)}
        counts.update(("gold", item[0]) for item in gold_items)
        counts.update(("predicted", item[0]) for item in predicted_items)
        counts.update(("correct", item[0]) for item in gold_items & predicted_items)
    return counts


def _seqeval(tags: list[str]) -> list[tuple]:
    from seqeval.metrics.sequence_labeling import get_entities

    return get_entities(tags)


def scores_of_counts(counts: Counter, entity_tags: bool) -> dict:
    """{"overall": {...}, "per_type": {type: {precision, recall, f1, number}}, "words": n}.

    Overall, for entity tags: precision, recall, f1 (micro, over entities) and accuracy (over
    words); for plain tags accuracy and macro_f1 (over all tags gold or predicted).
    """
    types = sorted({key[1] for key in counts if isinstance(key, tuple)})
    per_type = {t: _prf(*(counts[kind, t] for kind in _KINDS)) for t in types}
    accuracy = counts["words right"] / counts["words"] if counts["words"] else 0.0
    if entity_tags:
        total = _prf(*(sum(counts[kind, t] for t in types) for kind in _KINDS))
        overall = {name: total[name] for name in ("precision", "recall", "f1")}
        overall["accuracy"] = accuracy
    else:
        f1s = [scores["f1"] for scores in per_type.values()]
        overall = {"accuracy": accuracy, "macro_f1": sum(f1s) / len(f1s) if f1s else 0.0}
    return {"overall": overall, "per_type": per_type, "words": counts["words"]}


_KINDS = ("correct", "predicted", "gold")


def _prf(correct: int, predicted: int, gold: int) -> dict:
    precision = correct / predicted if predicted else 0.0
    recall = correct / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "number": gold}


def score_tags(
    references: list[list[str]], predictions: list[list[str]], entity_tags: bool
) -> dict:
    """Scores of lists of tags, as `scores_of_counts` gives them."""
    return scores_of_counts(count_tags(references, predictions, entity_tags), entity_tags)


def tag_metric(entity_tags: bool):
    """An `evaluate.Metric` of `score_tags`: local code, in memory, no lock files.

    It keeps counts, not sentences, so that it takes a corpus of any size batch by batch.
    """
    import datasets
    import evaluate

    class TagMetric(evaluate.Metric):
        def __init__(self):
            super().__init__(keep_in_memory=True)
            self.counts = Counter()

        def _info(self):
            tags = datasets.Sequence(datasets.Value("string"))
            return evaluate.MetricInfo(
                description="Scores of tags.",
                citation="",
                inputs_description="",
                features=datasets.Features({"predictions": tags, "references": tags}),
            )

        def add_batch(self, *, predictions, references):
            """Count lists of predicted and gold tags."""
            self.counts = self.counts + count_tags(references, predictions, entity_tags)

        def compute(self, *, predictions=(), references=()):
            """Scores of all that was added; begin anew."""
            self.add_batch(predictions=predictions, references=references)
            counts, self.counts = self.counts, Counter()
            return scores_of_counts(counts, entity_tags)

    return TagMetric()


def compute_metrics(predictions: WordPredictions, split, label_names: list[str]) -> dict:
    """Scores of a split's predictions (see `scores_of_counts`), with the mean loss a word."""
    metric = tag_metric(are_entity_tags(label_names))
    sentences = postprocess(predictions, split, label_names)
    while chunk := list(islice(sentences, 1000)):
        metric.add_batch(references=[s[1] for s in chunk], predictions=[s[2] for s in chunk])
    scores = metric.compute()
    scored = int((predictions.tag_ids != NO_TAG).sum())
    scores["loss"] = predictions.loss / max(scored, 1)
    return scores


def score_table(scores: dict) -> str:
    """The scores as a table for people."""
    names = [*scores["per_type"]]
    width = max([len("macro f1"), *map(len, names)])
    lines = [f"{'':{width}}  precision  recall      f1  number"]
    for name in names:
        row = scores["per_type"][name]
        lines.append(
            f"{name:{width}}  {row['precision']:9.4f}  {row['recall']:6.4f}  {row['f1']:6.4f}"
            f"  {row['number']:6d}"
        )
    overall = scores["overall"]
    if "f1" in overall:
        number = sum(row["number"] for row in scores["per_type"].values())
        lines.append(
            f"{'overall':{width}}  {overall['precision']:9.4f}  {overall['recall']:6.4f}"
            f"  {overall['f1']:6.4f}  {number:6d}"
        )
    else:
        lines.append(f"{'macro f1':{width}}  {'':9}  {'':6}  {overall['macro_f1']:6.4f}")
    lines.append(f"{'accuracy':{width}}  {'':9}  {'':6}  {overall['accuracy']:6.4f}")
    return "\n".join(lines)
