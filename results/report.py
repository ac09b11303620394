"""The report of a run: a page and pictures, for people who would rather look than read a log.

    write_report("bert-finetuned-ner", run)           # report.html and its pictures as PNG

`mistakes` counts, `charts` draws, `markup` makes the HTML; here is what the page says.
"""

import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from common import are_entity_tags
from results.charts import (
    Chart,
    chart_html,
    confusion_png,
    curves_png,
    epochs_done,
    length_chart,
    training_charts,
)
from scoring.mistakes import Mistake, Survey, confusion_cells, survey_examples
from support.markup import (
    PAGE_END,
    Html,
    bar,
    details,
    duration,
    number,
    page_start,
    percent,
    pill,
    score,
    section,
    table,
    tag,
    tag_pill,
    together,
)

# Pages stay small however large the corpus is.
MISTAKES_SHOWN = 5
CONFUSIONS_SHOWN = 25

KINDS = {
    "missed": "Gold {many} that no predicted one overlaps.",
    "spurious": "Predicted {many} that no gold one overlaps.",
    "wrong type": "The right words under the wrong type.",
    "wrong boundary": "A gold and a predicted {one} that overlap, but do not begin and end "
    "together; their types may differ as well.",
}
NOUNS = {"chunk": ("chunk", "chunks")}  # by task: what its tags mark, one and many


def write_report(folder: str | os.PathLike, run: dict) -> None:
    """Write `report.html`, `training_curves.png` and `confusion_matrix.png` into `folder`.

    Keys of `run`, each of which may be absent: `title`, `base_model`, `corpus_name`,
    `corpus_fingerprint`, `task`, `entity_tags`, `label_names`, `replaced` (sentences to say
    first), `script`, `command`, `arguments`, `versions`, `duration_s`, `device`, `precision`,
    `processes`; `step_losses` (`step`, `loss`, `learning_rate`); `history` (`epoch`,
    `train_loss`, `eval_loss`, `eval_f1`, `eval_accuracy`, …); `scores` (by split: `overall`,
    `per_type`, `words`, `loss`); `label_counts` (by split and label); `lengths` (by split:
    sentences by number of sub-words), `max_seq_length`, `windowed` (sentences cut, by split);
    `examples`, read once as a stream (see `survey_examples`), of the split `examples_split`
    (default: the last one of `scores`).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entity_tags = is_entity_run(run)
    survey = survey_examples(run.get("examples") or (), entity_tags, run.get("label_names"))
    charts = training_charts(run.get("history") or [], run.get("step_losses") or [], entity_tags)
    _write(folder / "training_curves.png", curves_png(charts) if charts else None)
    names, cells = confusion_cells(survey.confusion)
    _write(folder / "confusion_matrix.png", confusion_png(names, cells) if names else None)
    page = "".join([page_start(title_of(run)), *report_body(run, survey, charts), PAGE_END])
    _write(folder / "report.html", page.encode())


def _write(path: Path, content: bytes | None) -> None:
    """Write a file so that a reader never sees half of it; None takes away an older run's."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    os.replace(draft, path)


def is_entity_run(run: dict) -> bool:
    return run.get("entity_tags", are_entity_tags(run.get("label_names") or []))


def nouns(run: dict) -> tuple[str, str]:
    """What the run's tags mark, one and many."""
    return NOUNS.get(run.get("task"), ("entity", "entities"))


def title_of(run: dict) -> str:
    return run.get("title") or f"{run.get('base_model', 'A model')} fine-tuned"


def report_body(run: dict, survey: Survey, charts: list[Chart]) -> Iterator[Html]:
    parts = {
        "Run": run_section(run),
        "Scores": scores_section(run),
        "Curves": curves_section(run, charts),
        "Types" if survey.entity_tags else "Tags": types_section(run),
        "Confusion": confusion_section(survey, nouns(run)),
        "Mistakes": mistakes_section(survey, examples_split(run), nouns(run)),
        "Corpus": corpus_section(run),
    }
    parts = {name: part for name, part in parts.items() if part}
    links = (tag("a", name, href=f"#{name.lower()}") for name in parts)
    notices = (tag("p", line, class_="notice") for line in run.get("replaced") or ())
    yield tag("header", tag("h1", title_of(run)), *notices, tiles(run), tag("nav", *links))
    yield tag("main", *parts.values())


def examples_split(run: dict) -> str | None:
    return run.get("examples_split") or next(reversed(run.get("scores") or {}), None)


def tiles(run: dict) -> Html | None:
    """The numbers that a visitor came for."""
    split = examples_split(run)
    scores = (run.get("scores") or {}).get(split)
    if not scores:
        return None
    overall = scores.get("overall") or {}
    wanted = {"f1": "F1", "precision": "precision", "recall": "recall", "accuracy": "accuracy"}
    if not is_entity_run(run):
        wanted = {"accuracy": "accuracy", "macro_f1": "macro F1"}
    shown = {label: score(overall[key]) for key, label in wanted.items() if key in overall}
    if scores.get("words") is not None:
        shown["words scored"] = number(scores["words"])
    boxes = (
        tag("div", tag("dt", label), tag("dd", value), class_="tile")
        for label, value in shown.items()
    )
    return tag("dl", *boxes, class_="tiles", aria_label=f"Scores on {split}")


def run_section(run: dict) -> Html:
    labels = run.get("label_names") or []
    if is_entity_run(run):
        types = dict.fromkeys(label[2:] for label in labels if label != "O")
        shown = [f"{len(labels)} IOB2 tags of {len(types)} {nouns(run)[0]} types: "]
    else:
        types, shown = labels, [f"{len(labels)} tags: "]
    for name in types:
        shown += [pill(name), " "]
    rows = {
        "Base model": run.get("base_model"),
        "Corpus": run.get("corpus_name"),
        "Corpus fingerprint": run.get("corpus_fingerprint"),
        "Task": run.get("task"),
        "Labels": together(*shown) if labels else None,
        "Device": run.get("device"),
        "Precision": run.get("precision"),
        "Processes": run.get("processes"),
        "Took": duration(run["duration_s"]) if run.get("duration_s") is not None else None,
        "Script": run.get("script"),
    }
    rows = [[name, value] for name, value in rows.items() if value is not None]
    command = run.get("command")
    command = shlex.join(command) if isinstance(command, list | tuple) else command
    # Names that end in "token" hold an access token; "label_all_tokens" does not.
    arguments = {
        name: value
        for name, value in (run.get("arguments") or {}).items()
        if not name.endswith("token")
    }
    return section(
        "run",
        "What was trained on what",
        table([], rows, "The run", "facts") if rows else None,
        tag("pre", secretless(command), class_="command") if command else None,
        _facts("Arguments", arguments),
        _facts("Versions", run.get("versions")),
    )


def secretless(text: object) -> str:
    """`text` without access tokens: a report is made to be shown around."""
    text = re.sub(r"(--\w*token[= ])\s*\S+", r"\1***", str(text))
    return re.sub(r"\bhf_\w{8,}", "hf_***", text)


def _facts(heading: str, facts: dict | None) -> Html | None:
    if not facts:
        return None
    rows = [[name, secretless(value)] for name, value in sorted(facts.items())]
    return details(f"{heading} ({len(rows)})", table([], rows, heading, "facts"))


def scores_section(run: dict) -> Html | None:
    scores = run.get("scores")
    if not scores:
        return None
    known = {
        "precision": "Precision",
        "recall": "Recall",
        "f1": "F1",
        "macro_f1": "Macro F1",
        "accuracy": "Accuracy",
    }
    keys = [key for key in known if any(key in (s.get("overall") or {}) for s in scores.values())]
    rows = [
        [
            split,
            *(score((one.get("overall") or {}).get(key)) for key in keys),
            number(one.get("loss")),
            number(one.get("words")),
        ]
        for split, one in scores.items()
    ]
    head = ["Split", *(known[key] for key in keys), "Loss", "Words scored"]
    how = (
        f"{nouns(run)[1].capitalize()} count as found when their type and both their ends are "
        "right, as in conlleval."
        if is_entity_run(run)
        else "Accuracy is the share of words with the right tag; macro F1 weighs all tags alike."
    )
    return section("scores", "Scores", tag("p", how), table(head, rows, "Scores"))


def curves_section(run: dict, charts: list[Chart]) -> Html | None:
    if not charts:
        return None
    history = run.get("history") or []
    keys = [key for key in dict.fromkeys(key for row in history for key in row) if key != "epoch"]
    rows = [[number(epochs_done(row)), *(number(row.get(key)) for key in keys)] for row in history]
    head = ["Epochs done", *(key.replace("_", " ") for key in keys)]
    return section(
        "curves",
        "Learning curves",
        tag("div", *map(chart_html, charts), class_="charts"),
        details("As numbers", table(head, rows, "Epochs")) if rows else None,
    )


def types_section(run: dict) -> Html | None:
    """Each split's table by type, the scored examples' split first and open."""
    entity_tags = is_entity_run(run)
    what = "type" if entity_tags else "tag"
    tables = {}
    for split, one in (run.get("scores") or {}).items():
        per_type = one.get("per_type") or {}
        rows = [
            [
                pill(name),
                score(row.get("precision")),
                score(row.get("recall")),
                bar(row.get("f1") or 0.0, score(row.get("f1"))),
                number(row.get("number")),
            ]
            for name, row in sorted(
                per_type.items(), key=lambda item: -(item[1].get("number") or 0)
            )
        ]
        if rows:
            head = [what.title(), "Precision", "Recall", "F1", "Support"]
            tables[split] = table(head, rows, f"Scores by {what}, {split}")
    if not tables:
        return None
    first = examples_split(run)
    if first not in tables:
        first = next(iter(tables))
    others = (details(split, one) for split, one in tables.items() if split != first)
    of_type = f"{nouns(run)[1]} of the type in the gold standard"
    support = of_type if entity_tags else "words with the tag"
    return section(
        "types" if entity_tags else "tags",
        f"By {what}",
        tag("p", f"On {first}. Support: {support}."),
        tables[first],
        *others,
    )


def confusion_section(survey: Survey, names: tuple[str, str]) -> Html | None:
    keys, cells = confusion_cells(survey.confusion)
    if not keys:
        return None
    rows = []
    for y, (key, counts) in enumerate(zip(keys, cells, strict=True)):
        total = sum(counts)
        if not total:
            continue
        row = [
            tag(
                "span",
                number(count),
                class_="cell hit" if x == y else "cell",
                style=f"--s:{math.sqrt(count / total):.3f}",
                title=f"{percent(count, total)} of gold {key or 'none'}",
            )
            if count
            else tag("span", "·", class_="cell zero")
            for x, count in enumerate(counts)
        ]
        rows.append([pill(key), *row])
    head = [together("gold ↓", tag("br"), "predicted →"), *map(pill, keys)]
    what = f"type of the {names[0]} it is in" if survey.entity_tags else "tag"
    return section(
        "confusion",
        "Confusion matrix",
        tag(
            "p",
            f"All {number(survey.words)} words by {what}. The shade grows with the row's share.",
        ),
        table(head, rows, "Confusion matrix", "numbers matrix"),
    )


def mistakes_section(survey: Survey, split: str | None, names: tuple[str, str]) -> Html | None:
    if not survey.sentences:
        return None
    where = tag(
        "p",
        f"In {number(survey.sentences)} sentences of {split or 'the scored split'}. Each word "
        "has its gold tag above and its predicted tag below; ",
        tag("span", "marked words", class_="wrong-key"),
        " are those of the mistake. Confidence is the mean probability of the predicted tags.",
    )
    lists = _entity_mistakes(survey, names) if survey.entity_tags else _tag_confusions(survey)
    return section("mistakes", "Where it errs", where, *lists)


def _entity_mistakes(survey: Survey, names: tuple[str, str]) -> Iterator[Html]:
    one, many = names
    yield kinds_table(survey.gold_kinds, f"Gold {many}", "Found exactly", "missed")
    yield kinds_table(survey.predicted_kinds, f"Predicted {many}", "Exactly right", "spurious")
    yield tag("p", f"Each {one} is counted once, under its own type.", class_="quiet")
    mistakes = survey.mistakes
    for kind, meaning in KINDS.items():
        total = survey.pair_kinds[kind]
        meaning = meaning.format(one=one, many=many)
        if kind == "wrong boundary":
            meaning += _boundaries(survey, names)
        yield tag("h3", kind.capitalize(), " ", tag("span", number(total), class_="count"))
        yield tag("p", meaning, class_="quiet")
        yield mistake_list(mistakes.get(kind, []), total)


def _boundaries(survey: Survey, names: tuple[str, str]) -> str:
    """How many entities the pairs of wrong boundary are, where some are in several pairs."""
    gold, predicted = (
        sum(count for (kind, _), count in kinds.items() if kind == "wrong boundary")
        for kinds in (survey.gold_kinds, survey.predicted_kinds)
    )
    text = ""
    if min(gold, predicted) < survey.pair_kinds["wrong boundary"]:
        counts = f"{number(gold)} gold and {number(predicted)} predicted {names[1]}"
        text += f" These are {counts}: one that overlaps several may stand in several pairs."
    if survey.both_wrong:
        text += f" The types differ in {number(survey.both_wrong)} of the pairs."
    return text


def kinds_table(kinds: Counter, title: str, found: str, rest: str) -> Html:
    """The entities of one side by type and kind, the most frequent types first.

    A row adds up: what is exact, of wrong type, of wrong boundary, and `rest`, the kind of those
    that overlap nothing.
    """
    by_type: dict[str, Counter] = {}
    for (kind, name), count in kinds.items():
        by_type.setdefault(name, Counter())[kind] = count
    shown = ("wrong type", "wrong boundary", rest)

    def row(label: object, counts: Counter) -> list[object]:
        exact, total = counts["exact"], counts.total()
        share = bar(exact / (total or 1), f"{number(exact)} ({percent(exact, total)})")
        return [label, number(total), share, *(number(counts[kind]) for kind in shown)]

    ranked = sorted(by_type.items(), key=lambda item: (-item[1].total(), item[0]))
    rows = [row(pill(name), counts) for name, counts in ranked]
    rows.append(row("all", sum(by_type.values(), Counter())))
    head = ["Type", title, found, *(kind.capitalize() for kind in shown)]
    return table(head, rows, f"{title} by type")


def _tag_confusions(survey: Survey) -> Iterator[Html]:
    errors = Counter({pair: n for pair, n in survey.confusion.items() if pair[0] != pair[1]})
    total = sum(errors.values())
    yield tag("p", f"{number(total)} of {number(survey.words)} words have a wrong tag.")
    mistakes = survey.mistakes
    # Of equal counts the alphabet decides, so that the page does not depend on the order read.
    ranked = sorted(errors.items(), key=lambda item: (-item[1], str(item[0])))
    for place, ((gold, predicted), count) in enumerate(ranked[:CONFUSIONS_SHOWN]):
        heading = together(
            pill(gold), " taken for ", pill(predicted), " ",
            tag("span", f"{number(count)} ({percent(count, total)})", class_="count")
        )  # fmt: skip
        sentences = (mistake_html(one, False) for one in mistakes[gold, predicted])
        opened = "" if place < MISTAKES_SHOWN else None
        yield details(heading, *sentences, class_="confusion", open=opened)
    if len(ranked) > CONFUSIONS_SHOWN:
        rest = sum(count for _, count in ranked[CONFUSIONS_SHOWN:])
        yield tag("p", f"{number(rest)} words are in rarer confusions.", class_="quiet")


def mistake_list(mistakes: list[Mistake], total: int) -> Html:
    if not mistakes:
        return tag("p", "None.", class_="quiet")
    shown = [mistake_html(mistake, True) for mistake in mistakes]
    more = shown[MISTAKES_SHOWN:]
    of_all = f" (of {number(total)} in all)" if total > len(shown) else ""
    return together(
        *shown[:MISTAKES_SHOWN],
        details(f"The next {len(more)} by confidence{of_all}", *more) if more else None,
    )


def mistake_html(mistake: Mistake, entity_tags: bool) -> Html:
    """A mistake in a line, and its sentence word by word, gold over predicted."""
    kind, gold, predicted, _ = mistake.pair
    words = " ".join(mistake.tokens[mistake.start : mistake.end])

    def which(entity: tuple) -> tuple:
        """The words of one side, where the sides differ in them."""
        own = " ".join(mistake.words_of(entity)) if kind == "wrong boundary" else ""
        return (" ", tag("bdi", own)) if own else ()

    line = [
        together("gold ", pill(gold and gold[0]), *which(gold)),
        together("predicted ", pill(predicted and predicted[0]), *which(predicted)),
        f"sentence {mistake.sentence}",
    ]
    if mistake.confidence is not None:
        line.append(f"confidence {mistake.confidence:.3f}")
    stacks = [
        _stack(word, one, other, mistake.start <= place < mistake.end, entity_tags)
        for place, (word, one, other) in enumerate(
            zip(mistake.tokens, mistake.gold, mistake.predicted, strict=True)
        )
    ]
    return tag(
        "article",
        tag("p", tag("bdi", words, class_="mention"), *(tag("span", part) for part in line)),
        tag(
            "div",
            "… " if mistake.cut_before else None,
            *stacks,
            "…" if mistake.cut_after else None,
            class_="sentence",
            dir="auto",
        ),
        class_="mistake",
    )


def _stack(word: str, gold: str, predicted: str, marked: bool, entity_tags: bool) -> Html:
    """A word between its two tags. Tags that agree outside the mistake are left out if O."""
    if gold == predicted and not marked and (gold == "O" or not entity_tags):
        return together(tag("span", word), " ")
    word_html = tag("bdi", word, class_="wrong" if marked else None)
    above, below = (tag_pill(one, entity_tags) for one in (gold, predicted))
    title = f"gold {gold}, predicted {predicted}"
    return together(tag("span", above, word_html, below, class_="stack", title=title), " ")


def corpus_section(run: dict) -> Html | None:
    counts, lengths = run.get("label_counts") or {}, sentence_lengths(run)
    window = run.get("max_seq_length")
    parts = []
    if counts:
        note = tag(
            "p", "Bars compare the labels other than O, each split for itself.", class_="quiet"
        )
        labels = label_table(counts, run.get("label_names"))
        parts += [tag("h3", "Words by label"), note, labels]
    if lengths:
        chart = length_chart(lengths, window)
        parts += [
            tag("h3", "Lengths of sentences, in sub-words"),
            tag("div", chart_html(chart), class_="charts"),
            length_table(lengths, run.get("windowed") or {}),
        ]
        if window:
            note = f"A sentence beyond {number(window)} sub-words is read in overlapping windows."
            parts.append(tag("p", note, class_="quiet"))
    return section("corpus", "The corpus", *parts) if parts else None


def sentence_lengths(run: dict) -> dict[str, dict[int, int]]:
    """The histograms with whole numbers for keys (JSON makes strings of them)."""
    lengths = {
        split: {int(length): count for length, count in counts.items() if count}
        for split, counts in (run.get("lengths") or {}).items()
    }
    return {split: counts for split, counts in lengths.items() if counts}


def label_table(counts: dict[str, dict[str, int]], label_names: list[str] | None) -> Html:
    labels = dict.fromkeys(label_names or ())
    labels |= dict.fromkeys(label for split in counts.values() for label in split)
    totals = {split: sum(one.values()) for split, one in counts.items()}
    # O outnumbers the rest by so much that no other bar would be seen beside it.
    tallest = {
        split: max((count for label, count in one.items() if label != "O"), default=0)
        for split, one in counts.items()
    }
    entity_tags = are_entity_tags(labels)

    def cell(split: str, label: str) -> Html:
        count = counts[split].get(label, 0)
        share = 0 if label == "O" else count / (tallest[split] or 1)
        return bar(share, f"{number(count)} ({percent(count, totals[split])})")

    rows = [[tag_pill(label, entity_tags), *(cell(s, label) for s in counts)] for label in labels]
    rows.append(["all words", *(number(totals[split]) for split in counts)])
    return table(["Label", *counts], rows, "Words by label")


def length_table(lengths: dict[str, dict[int, int]], windowed: dict[str, int]) -> Html:
    rows = []
    for split, counts in lengths.items():
        total, cut = sum(counts.values()), windowed.get(split)
        share = "–" if cut is None else f"{number(cut)} ({percent(cut, total)})"
        middle, high = (number(quantile(counts, part)) for part in (0.5, 0.95))
        rows.append([split, number(total), middle, high, number(max(counts)), share])
    head = ["Split", "Sentences", "Median", "95 % up to", "Longest", "Needed windows"]
    return table(head, rows, "Lengths of sentences")


def quantile(counts: dict[int, int], part: float) -> int:
    """The smallest length that at least `part` of the sentences do not exceed."""
    seen, wanted = 0, part * sum(counts.values())
    for length in sorted(counts):
        seen += counts[length]
        if seen >= wanted:
            break
    return length
