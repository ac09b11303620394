"""Pages and pictures made from results, for people who would rather look than read a log.

    write_report("bert-finetuned-ner", run)           # report.html and its pictures as PNG
    page.writelines(render_texts(Tagger(folder)(texts)))   # tagged texts in the same look

Both pages are one file each: no script, no network, light and dark by the reader's own setting.
Everything that comes from a corpus or a text is data: `tag` escapes it, whatever it holds.
"""

import heapq
import html
import io
import math
import os
import re
import shlex
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from common import are_entity_tags, entities

# Pages stay small however large the corpus is.
MISTAKES_PER_KIND = 50
MISTAKES_SHOWN = 5
EXAMPLES_PER_CONFUSION = 3
CONFUSIONS_SHOWN = 25
CONTEXT_WORDS = 20
MISTAKE_WORDS = 60
MATRIX_TYPES = 30
STEP_POINTS = 300
HISTOGRAM_BINS = 40

KINDS = {
    "missed": "A gold entity that no predicted entity overlaps.",
    "spurious": "A predicted entity that no gold entity overlaps.",
    "wrong type": "The right words under the wrong type.",
    "wrong boundary": "Overlaps a gold entity but begins or ends elsewhere; "
    "its type may be wrong as well.",
}

# --- Entities, paired ---------------------------------------------------------------------------

Entity = tuple[str, int, int]


class Pair(NamedTuple):
    """A gold and a predicted entity that belong together; None where there is no partner."""

    kind: str
    gold: Entity | None
    predicted: Entity | None


def pair_entities(gold: list[Entity], predicted: list[Entity]) -> list[Pair]:
    """Pair the gold and predicted entities of one sentence; each is in exactly one `Pair`.

    `gold` and `predicted` are lists of (type, start, end), end exclusive; within each list no
    two entities overlap. The first rule that fits decides:

    1. `exact`: same start, end and type.
    2. `wrong type`: same start and end, another type.
    3. `wrong boundary`: at least one word in common. Where one entity could be paired with
       several, pairs of one type come before pairs of two, then the pair with more words in
       common, then the earlier one.
    4. What is left is `missed` (gold) or `spurious` (predicted).

    So, in the counts of seqeval and conlleval: TP = exact, FN = missed + wrong type + wrong
    boundary, FP = spurious + wrong type + wrong boundary. Sorted by where the pairs begin.
    """
    predicted_at = {(start, end): (kind, start, end) for kind, start, end in predicted}
    same_span = {one: predicted_at[one[1:]] for one in gold if one[1:] in predicted_at}
    pairs = [
        Pair("exact" if one == other else "wrong type", one, other)
        for one, other in same_span.items()
    ]
    free_gold = [one for one in gold if one not in same_span]
    free_predicted = set(predicted) - set(same_span.values())
    at_word = {word: other for other in free_predicted for word in range(other[1], other[2])}
    shared = Counter(
        (one, at_word[word])
        for one in free_gold
        for word in range(one[1], one[2])
        if word in at_word
    )
    overlaps = sorted(
        (one[0] != other[0], -words, one[1], other[1], one, other)
        for (one, other), words in shared.items()
    )
    free_gold = set(free_gold)
    for *_, one, other in overlaps:
        if one in free_gold and other in free_predicted:
            pairs.append(Pair("wrong boundary", one, other))
            free_gold.remove(one)
            free_predicted.remove(other)
    pairs += [Pair("missed", one, None) for one in free_gold]
    pairs += [Pair("spurious", None, other) for other in free_predicted]
    return sorted(pairs, key=_extent)


def _extent(pair: Pair) -> tuple[int, int]:
    """The first word of a pair and the one after its last."""
    both = [entity for entity in (pair.gold, pair.predicted) if entity]
    return min(entity[1] for entity in both), max(entity[2] for entity in both)


# --- Mistakes, counted in one pass --------------------------------------------------------------


class Mistake(NamedTuple):
    """One mistake with the words around it; `start` and `end` index these words."""

    pair: Pair
    confidence: float | None
    sentence: int
    tokens: list[str]
    gold: list[str]
    predicted: list[str]
    start: int
    end: int
    cut_before: bool
    cut_after: bool


@dataclass
class Survey:
    """What is kept of the scored sentences: counts, and the most confident mistakes.

    `confusion` counts words by (gold, predicted) type or plain tag, None where there is none.
    `kinds` counts entity pairs by (kind, type), the type being the gold one where there is one.
    `mistakes` holds the most confident mistakes by kind, or by (gold, predicted) plain tag.
    """

    entity_tags: bool
    sentences: int = 0
    words: int = 0
    confusion: Counter = field(default_factory=Counter)
    kinds: Counter = field(default_factory=Counter)
    both_wrong: int = 0
    heaps: dict = field(default_factory=dict)

    @property
    def mistakes(self) -> dict[object, list[Mistake]]:
        return {
            group: [mistake for *_, mistake in sorted(heap, reverse=True)]
            for group, heap in self.heaps.items()
        }


def survey_examples(
    examples: Iterable[dict], entity_tags: bool, label_names: list[str] | None = None
) -> Survey:
    """Read scored sentences once, in constant memory.

    Each of `examples` has `tokens`, `gold` and `predicted` (one tag name a word) and perhaps
    `probability` (of the predicted tag of each word). A mistake's confidence is the mean
    probability over all words of its gold and predicted entities. Raises ValueError where a
    sentence has more or fewer tags than words.
    """
    survey = Survey(entity_tags)
    for number, example in enumerate(examples, start=1):
        tokens, gold, predicted = (list(example[key]) for key in ("tokens", "gold", "predicted"))
        if not len(tokens) == len(gold) == len(predicted):
            raise ValueError(
                f"sentence {number}: {len(tokens)} words, {len(gold)} gold tags, "
                f"{len(predicted)} predicted tags"
            )
        probability = example.get("probability")
        probability = None if probability is None else list(probability)
        survey.sentences += 1
        survey.words += len(tokens)
        survey.confusion.update(
            (_class_of(one, entity_tags, label_names), _class_of(other, entity_tags, label_names))
            for one, other in zip(gold, predicted, strict=True)
        )
        for pair in _pairs_of(gold, predicted, entity_tags, label_names):
            if entity_tags:
                survey.kinds[pair.kind, (pair.gold or pair.predicted)[0]] += 1
                survey.both_wrong += pair.kind == "wrong boundary" and (
                    pair.gold[0] != pair.predicted[0]
                )
            if pair.kind != "exact":
                _keep(survey, pair, number, tokens, gold, predicted, probability)
    return survey


def _class_of(tag_name: str, entity_tags: bool, label_names: list[str] | None) -> str | None:
    """The type of a word by its tag; None outside entities and for an O that is no plain tag."""
    if entity_tags:
        return tag_name.partition("-")[2] or None
    # A word without a sub-word is predicted O, which a plain tag set need not hold.
    return None if tag_name == "O" and label_names and "O" not in label_names else tag_name


def _pairs_of(gold, predicted, entity_tags: bool, label_names) -> Iterator[Pair]:
    if entity_tags:
        yield from pair_entities(entities(gold), entities(predicted))
        return
    for index, (one, other) in enumerate(zip(gold, predicted, strict=True)):
        if one != other:
            one, other = (_class_of(name, False, label_names) for name in (one, other))
            yield Pair("wrong type", (one, index, index + 1), (other, index, index + 1))


def _keep(survey, pair, number, tokens, gold, predicted, probability) -> None:
    """Put a mistake on its heap if it is among the most confident of its group."""
    start, end = _extent(pair)
    confidence = None
    if probability is not None:
        confidence = sum(probability[start:end]) / (end - start)
    rank = confidence if confidence is not None and math.isfinite(confidence) else 0.0
    group = pair.kind if survey.entity_tags else (pair.gold[0], pair.predicted[0])
    limit = MISTAKES_PER_KIND if survey.entity_tags else EXAMPLES_PER_CONFUSION
    heap = survey.heaps.setdefault(group, [])
    # Of equally confident mistakes the first ones read stay, so that a page can be made again.
    place = (rank, -number, -start)
    if len(heap) == limit and place < heap[0][:3]:
        return
    first = max(0, start - CONTEXT_WORDS)
    last = min(len(tokens), min(end, start + MISTAKE_WORDS) + CONTEXT_WORDS)
    around = slice(first, last)
    mistake = Mistake(
        pair,
        confidence,
        number,
        tokens[around],
        gold[around],
        predicted[around],
        start - first,
        min(end, last) - first,
        first > 0,
        last < len(tokens),
    )
    (heapq.heappush if len(heap) < limit else heapq.heappushpop)(heap, (*place, mistake))


# --- Markup -------------------------------------------------------------------------------------


class Html(str):
    """Markup, already escaped. `tag` escapes every string that is not of this class."""


def printable(value: object) -> str:
    """`value` as text that can be shown: control characters as pictures of themselves.

    Tabs and line ends stay; what UTF-8 cannot hold (half a surrogate pair) becomes U+FFFD.
    """
    return _CONTROL.sub(_control_picture, str(value))


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def _control_picture(match: re.Match) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def escape(value: object) -> Html:
    """`value` as text of a page; markup stays markup, None is nothing."""
    if isinstance(value, Html):
        return value
    return Html("" if value is None else html.escape(printable(value)))


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. `class_` gives `class`, `aria_label` gives `aria-label`; None leaves one out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in ("meta", "br"):
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{''.join(map(escape, children))}</{name}>")


def short(name: str, limit: int = 24) -> str:
    """A name that fits into a picture."""
    name = printable(name)
    return name if len(name) <= limit else name[: limit - 1] + "…"


def together(*parts: object) -> Html:
    return Html("".join(map(escape, parts)))


# A number, found by trying, that keeps apart the types of CoNLL-2003 and WNUT-17 and, but for one
# pair, the 17 universal parts of speech.
HUE_SALT = 35624


def hue(name: str) -> int:
    """A hue in degrees, always the same for a type; the style sheet makes it readable."""
    return zlib.crc32(f"{HUE_SALT}{name.upper()}".encode("utf-8", "replace")) % 24 * 15


def pill(label: str | None, kind: str | None = None, **attributes: object) -> Html:
    """A label in the colour of its type (`kind`, by default the label itself)."""
    if label is None:
        return tag("span", "none", class_="pill none")
    style = f"--h:{hue(label if kind is None else kind)}"
    return tag("span", label, class_="pill t", style=style, dir="ltr", **attributes)


def tag_pill(tag_name: str, entity_tags: bool) -> Html:
    return pill(tag_name, tag_name.partition("-")[2] if entity_tags else tag_name)


def table(head: list[object], rows: Iterable[list[object]], caption: str, class_="") -> Html:
    """A table in a box that scrolls by itself, so that the page never does."""
    body = together(
        *(
            tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:]))
            for row in rows
        )
    )
    columns = together(*(tag("th", cell, scope="col") for cell in head))
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", columns)) if any(head) else None,
            tag("tbody", body),
            class_=class_ or None,
        ),
        class_="scroll",
        role="region",
        aria_label=caption,
        tabindex="0",
    )


def section(name: str, heading: str, *children: object) -> Html:
    return tag("section", tag("h2", heading), *children, id=name)


def details(summary: object, *children: object) -> Html:
    return tag("details", tag("summary", summary), *children)


def bar(share: float, text: str) -> Html:
    """A number over a bar that is `share` (0 to 1) of the cell's width."""
    width = f"{100 * min(max(share, 0.0), 1.0):.1f}%"
    return tag("span", text, class_="bar", style=f"--w:{width}")


def page_start(title: str) -> Html:
    # The policy lets nothing be fetched or run, should an escape ever be forgotten.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = together(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    return Html(f'<!DOCTYPE html>\n<html lang="en">{tag("head", head)}<body>')


PAGE_END = Html("</body></html>\n")

# --- Numbers ------------------------------------------------------------------------------------


def number(value: object) -> str:
    """A count with thousands apart, a loss or score with four digits, nothing as a dash."""
    if value is None:
        return "–"
    if not isinstance(value, Real) or not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}".replace(",", "\u202f")
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.2e}"


def score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def secretless(text: object) -> str:
    """`text` without access tokens: a report is made to be shown around."""
    text = re.sub(r"(--\w*token[= ])\s*\S+", r"\1***", str(text))
    return re.sub(r"\bhf_\w{8,}", "hf_***", text)


# --- Pictures -----------------------------------------------------------------------------------

# In a page each of these colours becomes the variable of its name, and follows the theme.
COLOURS = {
    "ink": "#1d2430",
    "muted": "#5a6472",
    "rule": "#dde1e6",
    "series-1": "#1f5fb4",
    "series-2": "#b8480e",
    "series-3": "#177245",
}
SERIES = [COLOURS[f"series-{n}"] for n in (1, 2, 3)]


class Chart(NamedTuple):
    """Named series of (x, y) points; as `histogram`, y is the height of the bin that x begins."""

    title: str
    x_label: str
    series: dict[str, list[tuple[float, float]]]
    histogram: bool = False
    limit: float | None = None


def training_charts(run: dict) -> list[Chart]:
    """The curves of a run, without the ones it has no numbers for."""
    steps, history = run.get("step_losses") or [], run.get("history") or []
    scores = {"F1": "eval_f1", "precision": "eval_precision", "recall": "eval_recall"}
    if not is_entity_run(run) or not points(history, "epoch", "eval_f1"):
        scores = {"accuracy": "eval_accuracy", "macro F1": "eval_macro_f1", "F1": "eval_f1"}
    losses = {"training": "train_loss", "validation": "eval_loss"}
    charts = [
        Chart("Loss", "epoch", {n: points(history, "epoch", key) for n, key in losses.items()}),
        Chart(
            "Scores on validation",
            "epoch",
            {n: points(history, "epoch", key) for n, key in scores.items()},
        ),
        Chart("Training loss by step", "step", {"loss": thinned(points(steps, "step", "loss"))}),
        Chart(
            "Learning rate",
            "step",
            {"learning rate": thinned(points(steps, "step", "learning_rate"))},
        ),
    ]
    charts = [
        chart._replace(series={name: ys for name, ys in chart.series.items() if ys})
        for chart in charts
    ]
    return [chart for chart in charts if chart.series]


def points(rows: list[dict], x: str, y: str) -> list[tuple[float, float]]:
    """The finite numbers of two columns."""
    pairs = [(row.get(x), row.get(y)) for row in rows]
    return [p for p in pairs if all(isinstance(v, Real) and math.isfinite(v) for v in p)]


def thinned(line: list[tuple[float, float]], limit: int = STEP_POINTS) -> list:
    """At most `limit` points, each the mean of its neighbours: all of them weigh the same."""
    size = math.ceil(len(line) / limit) or 1
    groups = (line[first : first + size] for first in range(0, len(line), size))
    return [
        tuple(sum(values) / len(group) for values in zip(*group, strict=True)) for group in groups
    ]


def length_chart(run: dict) -> Chart | None:
    """How long the sentences are, as the share of each split's sentences in bins of one width."""
    lengths = _lengths(run)
    if not lengths:
        return None
    width = math.ceil((max(map(max, lengths.values())) + 1) / HISTOGRAM_BINS)
    bins = range(0, max(map(max, lengths.values())) + 1, width)
    series = {}
    for split, counts in lengths.items():
        filled, total = Counter(), sum(counts.values())
        for length, count in counts.items():
            filled[length // width * width] += count
        series[split] = [(start, 100 * filled[start] / total) for start in bins]
    title = "% of the sentences, by their number of sub-words"
    limit = run.get("max_seq_length")
    return Chart(title, "sub-words", series, True, limit if limit and limit <= bins.stop else None)


def _lengths(run: dict) -> dict[str, dict[int, int]]:
    """The histograms with whole numbers for keys (JSON makes strings of them)."""
    lengths = {
        split: {int(length): count for length, count in counts.items() if count}
        for split, counts in (run.get("lengths") or {}).items()
    }
    return {split: counts for split, counts in lengths.items() if counts}


def draw_chart(axes, chart: Chart) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for (name, line), colour in zip(chart.series.items(), cycle(SERIES), strict=False):
        xs, ys = zip(*line, strict=True)
        label = short(name)
        if chart.histogram:
            edges = [*xs, xs[-1] + (xs[1] - xs[0] if len(xs) > 1 else 1)]
            axes.stairs(ys, edges, color=colour, linewidth=1.4, label=label, fill=False)
        else:
            marker = "o" if len(line) <= 30 else None
            axes.plot(xs, ys, color=colour, linewidth=1.8, marker=marker, ms=4, label=label)
    if chart.limit:
        axes.axvline(chart.limit, color=COLOURS["muted"], linestyle="--", label="window")
    axes.set_title(chart.title, loc="left", fontsize=11, color=COLOURS["ink"], fontweight="bold")
    axes.set_xlabel(chart.x_label, color=COLOURS["muted"])
    axes.tick_params(colors=COLOURS["muted"], length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines:
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(COLOURS["muted"])
    if len(chart.series) > 1 or chart.limit:
        axes.legend(frameon=False, labelcolor=COLOURS["ink"], fontsize=9.5)


def draw_confusion(axes, names: list[str], counts: list[list[int]]) -> None:
    shares = [[count / (sum(row) or 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted", color=COLOURS["muted"])
    axes.set_ylabel("gold", color=COLOURS["muted"])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                colour = "white" if shares[y][x] > 0.55 else COLOURS["ink"]
                size = 8 if len(names) <= 20 else 5.5
                axes.text(x, y, f"{count}", ha="center", va="center", color=colour, fontsize=size)


def picture(size: tuple[float, float], draws: list, columns: int, file_format: str) -> bytes:
    """Draw each of `draws` (a function of axes) on a grid; `size` is one cell's, in inches."""
    import matplotlib
    from matplotlib.figure import Figure

    # Labels are no formulas ($ is a tag of the Penn Treebank); a page brings its own fonts.
    settings = {"text.parse_math": False, "svg.fonttype": "none", "font.size": 10}
    settings["svg.hashsalt"] = "report"  # the same run gives the same page

    rows = math.ceil(len(draws) / columns)
    target = io.BytesIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A label in a script that matplotlib's font lacks is drawn as boxes; no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph|Matplotlib currently does not support")
        figure = Figure((size[0] * columns, size[1] * rows), layout="constrained")
        for place, draw in enumerate(draws, start=1):
            draw(figure.add_subplot(rows, columns, place))
        if file_format == "svg":
            figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
        else:
            figure.savefig(target, format="png", dpi=160, facecolor="white")
    return target.getvalue()


def save_picture(path: Path, draws: list, size: tuple[float, float], columns: int = 1) -> None:
    """Write a PNG, or take away an older run's where there is nothing to draw."""
    if draws:
        write_whole(path, picture(size, draws, columns, "png"))
    else:
        path.unlink(missing_ok=True)


def chart_html(chart: Chart) -> Html:
    """A chart as inline SVG in the colours of the page."""
    svg = picture((5.0, 2.9), [lambda axes: draw_chart(axes, chart)], 1, "svg").decode()
    svg = svg[svg.index("<svg") :]
    # matplotlib's own style sheet and ids would reach beyond this picture.
    svg = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    label = escape(f"{chart.title}, by {chart.x_label}")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return tag("figure", Html(svg))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    os.replace(draft, path)


# --- The report of a run ------------------------------------------------------------------------


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
    survey = survey_examples(run.get("examples") or (), is_entity_run(run), run.get("label_names"))
    charts = training_charts(run)
    draws = [lambda axes, chart=chart: draw_chart(axes, chart) for chart in charts]
    save_picture(folder / "training_curves.png", draws, (5.0, 2.9), min(2, len(draws)) or 1)
    keys, cells = confusion_cells(survey.confusion)
    names = [short(key or "none") for key in keys]
    side = 1.6 + 0.42 * len(names)
    draws = [lambda axes: draw_confusion(axes, names, cells)] if names else []
    save_picture(folder / "confusion_matrix.png", draws, (side + 0.3, side))
    page = "".join([page_start(title_of(run)), *report_body(run, survey, charts), PAGE_END])
    write_whole(folder / "report.html", page.encode())


def is_entity_run(run: dict) -> bool:
    return run.get("entity_tags", are_entity_tags(run.get("label_names") or []))


def title_of(run: dict) -> str:
    return run.get("title") or f"{run.get('base_model', 'A model')} fine-tuned"


def report_body(run: dict, survey: Survey, charts: list[Chart]) -> Iterator[Html]:
    parts = {
        "Run": run_section(run),
        "Scores": scores_section(run),
        "Curves": curves_section(run, charts),
        "Types" if survey.entity_tags else "Tags": types_section(run),
        "Confusion": confusion_section(survey),
        "Mistakes": mistakes_section(survey, examples_split(run)),
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
        shown = [f"{len(labels)} IOB2 tags of {len(types)} entity types: "]
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


def _facts(heading: str, facts: dict | None) -> Html | None:
    if not facts:
        return None
    rows = [[name, secretless(value)] for name, value in sorted(facts.items())]
    return details(f"{heading} ({len(rows)})", table([], rows, heading, "facts"))


def scores_section(run: dict) -> Html | None:
    scores = run.get("scores")
    if not scores:
        return None
    known = {"precision": "Precision", "recall": "Recall", "f1": "F1", "macro_f1": "Macro F1"}
    known["accuracy"] = "Accuracy"
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
        "An entity counts as found when its type and both its ends are right, as in conlleval."
        if is_entity_run(run)
        else "Accuracy is the share of words with the right tag; macro F1 weighs all tags alike."
    )
    return section("scores", "Scores", tag("p", how), table(head, rows, "Scores", "numbers"))


def curves_section(run: dict, charts: list[Chart]) -> Html | None:
    if not charts:
        return None
    history = run.get("history") or []
    keys = [key for key in dict.fromkeys(key for row in history for key in row) if key != "epoch"]
    rows = [[number(row.get("epoch")), *(number(row.get(key)) for key in keys)] for row in history]
    head = ["Epoch", *(key.replace("_", " ") for key in keys)]
    return section(
        "curves",
        "Learning curves",
        tag("div", *map(chart_html, charts), class_="charts"),
        details("As numbers", table(head, rows, "Epochs", "numbers")) if rows else None,
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
            tables[split] = table(head, rows, f"Scores by {what}, {split}", "numbers")
    if not tables:
        return None
    first = examples_split(run) if examples_split(run) in tables else next(iter(tables))
    others = (details(split, one) for split, one in tables.items() if split != first)
    support = "entities of the type in the gold standard" if entity_tags else "words with the tag"
    return section(
        "types" if entity_tags else "tags",
        f"By {what}",
        tag("p", f"On {first}. Support: {support}."),
        tables[first],
        *others,
    )


def confusion_cells(confusion: Counter) -> tuple[list[str | None], list[list[int]]]:
    """Types (the most frequent first, none last) and counts, rows gold, columns predicted.

    Beyond `MATRIX_TYPES` the rarer types are counted together.
    """
    totals = Counter()
    for pair, count in confusion.items():
        for name in pair:
            totals[name] += count
    named = sorted((name for name in totals if name is not None), key=lambda n: (-totals[n], n))
    shown = named[:MATRIX_TYPES]
    rest = f"{len(named) - len(shown)} rarer ones"
    keys = shown + [rest] * (len(named) > len(shown)) + [None] * (None in totals)
    place = {name: keys.index(name if name in keys else rest) for name in totals}
    cells = [[0] * len(keys) for _ in keys]
    for (one, other), count in confusion.items():
        cells[place[one]][place[other]] += count
    return keys, cells


def confusion_section(survey: Survey) -> Html | None:
    keys, cells = confusion_cells(survey.confusion)
    if not keys:
        return None
    rows = []
    for y, (key, counts) in enumerate(zip(keys, cells, strict=True)):
        total = sum(counts)
        if not total:
            continue
        shaded = (
            tag(
                "span",
                number(count) if count else "·",
                class_=("cell hit" if x == y else "cell") if count else "cell zero",
                style=f"--s:{math.sqrt(count / total):.3f}" if count else None,
                title=f"{percent(count, total)} of gold {key or 'none'}" if count else None,
            )
            for x, count in enumerate(counts)
        )
        rows.append([pill(key), *shaded])
    head = [together("gold ↓", tag("br"), "predicted →"), *map(pill, keys)]
    what = "type of the entity it is in" if survey.entity_tags else "tag"
    return section(
        "confusion",
        "Confusion matrix",
        tag(
            "p",
            f"All {number(survey.words)} words by {what}. The shade grows with the row's share.",
        ),
        table(head, rows, "Confusion matrix", "numbers matrix"),
    )


def mistakes_section(survey: Survey, split: str | None) -> Html | None:
    if not survey.sentences:
        return None
    where = tag(
        "p",
        f"In {number(survey.sentences)} sentences of {split or 'the scored split'}. Each word "
        "has its gold tag above and its predicted tag below; ",
        tag("span", "marked words", class_="wrong-key"),
        " are those of the mistake. Confidence is the mean probability of the predicted tags.",
    )
    lists = _entity_mistakes(survey) if survey.entity_tags else _tag_confusions(survey)
    return section("mistakes", "Where it errs", where, *lists)


def _entity_mistakes(survey: Survey) -> Iterator[Html]:
    totals = Counter()
    for (kind, _), count in survey.kinds.items():
        totals[kind] += count
    yield kinds_table(survey, totals)
    mistakes = survey.mistakes
    for kind, meaning in KINDS.items():
        if kind == "wrong boundary" and survey.both_wrong:
            meaning += f" Both are wrong in {number(survey.both_wrong)} of these."
        yield tag("h3", kind.capitalize(), " ", tag("span", number(totals[kind]), class_="count"))
        yield tag("p", meaning, class_="quiet")
        yield mistake_list(mistakes.get(kind, []), totals[kind])


def kinds_table(survey: Survey, totals: Counter) -> Html:
    kinds = ["exact", *KINDS]
    names = sorted({name for _, name in survey.kinds}, key=lambda name: (_gold(survey, name), name))

    def row(label: object, counts: list[int]) -> list[object]:
        exact, spurious = counts[0], counts[2]
        gold = sum(counts) - spurious
        found = bar(exact / gold if gold else 0, f"{number(exact)} ({percent(exact, gold)})")
        return [label, number(gold), found, *map(number, counts[1:])]

    rows = [row(pill(name), [survey.kinds[kind, name] for kind in kinds]) for name in names]
    rows.append(row("all", [totals[kind] for kind in kinds]))
    head = ["Type", "In gold", "Found exactly", *(kind.capitalize() for kind in KINDS)]
    return table(head, rows, "Mistakes by type", "numbers")


def _gold(survey: Survey, name: str) -> int:
    """Minus the gold entities of a type: sorts the most frequent first."""
    return -sum(survey.kinds[kind, name] for kind in ("exact", *KINDS) if kind != "spurious")


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
        opened = {"open": ""} if place < MISTAKES_SHOWN else {}
        yield tag("details", tag("summary", heading), *sentences, class_="confusion", **opened)
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
    _, gold, predicted = mistake.pair
    words = " ".join(mistake.tokens[mistake.start : mistake.end])
    line = [
        together("gold ", pill(gold and gold[0])),
        together("predicted ", pill(predicted and predicted[0])),
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
    above, below = (_small_tag(one, entity_tags) for one in (gold, predicted))
    title = f"gold {gold}, predicted {predicted}"
    return together(tag("span", above, word_html, below, class_="stack", title=title), " ")


def _small_tag(tag_name: str, entity_tags: bool) -> Html:
    if entity_tags and tag_name == "O":
        return tag("span", "O", class_="pill none")
    return tag_pill(tag_name, entity_tags)


def corpus_section(run: dict) -> Html | None:
    counts, lengths = run.get("label_counts") or {}, _lengths(run)
    parts = []
    if counts:
        note = tag(
            "p", "Bars compare the labels other than O, each split for itself.", class_="quiet"
        )
        labels = label_table(counts, run.get("label_names"))
        parts += [tag("h3", "Words by label"), note, labels]
    if lengths:
        chart = length_chart(run)
        parts += [
            tag("h3", "Lengths of sentences, in sub-words"),
            tag("div", chart_html(chart), class_="charts"),
            length_table(lengths, run.get("windowed") or {}),
        ]
        if run.get("max_seq_length"):
            limit = number(run["max_seq_length"])
            note = f"A sentence beyond {limit} sub-words is read in overlapping windows."
            parts.append(tag("p", note, class_="quiet"))
    return section("corpus", "The corpus", *parts) if parts else None


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

    rows = [[_small_tag(label, entity_tags), *(cell(s, label) for s in counts)] for label in labels]
    rows.append(["all words", *(number(totals[split]) for split in counts)])
    return table(["Label", *counts], rows, "Words by label", "numbers")


def length_table(lengths: dict[str, dict[int, int]], windowed: dict[str, int]) -> Html:
    rows = []
    for split, counts in lengths.items():
        total, cut = sum(counts.values()), windowed.get(split)
        share = "–" if cut is None else f"{number(cut)} ({percent(cut, total)})"
        middle, high = (number(quantile(counts, part)) for part in (0.5, 0.95))
        rows.append([split, number(total), middle, high, number(max(counts)), share])
    head = ["Split", "Sentences", "Median", "95 % up to", "Longest", "Needed windows"]
    return table(head, rows, "Lengths of sentences", "numbers")


def quantile(counts: dict[int, int], part: float) -> int:
    """The smallest length that at least `part` of the sentences do not exceed."""
    seen, wanted = 0, part * sum(counts.values())
    for length in sorted(counts):
        seen += counts[length]
        if seen >= wanted:
            break
    return length


# --- Tagged texts -------------------------------------------------------------------------------


def render_texts(results: Iterable[dict], title: str = "Tagged texts") -> Iterator[str]:
    """A page of tagged texts in pieces, one for each result, so that any number streams.

    Each of `results` has `text` and `entities` (`entity_group`, `score`, `start`, `end`: code
    points of the text, in order) and, where each word is wanted with its tag, `words` (`tag`,
    `score`, `start`, `end`), which are then shown instead. Raises ValueError for offsets that
    overlap or lie outside the text.
    """
    counts, texts = Counter(), 0
    yield page_start(title) + f'{tag("header", tag("h1", title))}<main class="texts">\n'
    for texts, result in enumerate(results, start=1):
        for entity in result.get("entities") or ():
            counts[entity["entity_group"]] += 1
        yield (
            tag(
                "article",
                tag("span", texts, class_="line"),
                tag("div", *text_parts(result), class_="text", dir="auto"),
            )
            + "\n"
        )
    pills = (together(pill(kind), f" {number(n)} ") for kind, n in sorted(counts.items()))
    found = f"{number(texts)} text{'s' if texts != 1 else ''}, {number(counts.total())} entities "
    yield tag("p", found, *pills, class_="summary") + Html("</main>") + PAGE_END


def text_parts(result: dict) -> Iterator[object]:
    """A text cut at its words or entities, each of these marked."""
    text, position = result["text"], 0
    words = result.get("words")
    if not text:
        yield tag("span", "empty", class_="quiet")
    # Chunks and entities come as B- and I- tags, and share the colour of their type.
    entity_tags = are_entity_tags(word["tag"] for word in words or ())
    for one in words if words is not None else result.get("entities") or ():
        start, end = one["start"], one["end"]
        if not position <= start <= end <= len(text):
            raise ValueError(f"no place for {start}:{end} in a text of {len(text)}: {one}")
        yield text[position:start]
        marked = text[start:end]
        yield _word_mark(marked, one, entity_tags) if words is not None else _mark(marked, one)
        position = end
    yield text[position:]


def _mark(text: str, entity: dict) -> Html:
    kind, confidence = entity["entity_group"], f"{entity['score']:.3f}"
    label = tag("b", kind, " ", tag("i", confidence), dir="ltr")
    label = tag("span", label, class_="label")
    # Its own direction keeps the label behind the words, in whatever script they are.
    return tag("mark", text, label, class_="t", style=f"--h:{hue(kind)}", dir="auto")


def _word_mark(text: str, word: dict, entity_tags: bool) -> Html:
    if entity_tags and word["tag"] == "O":
        return escape(text)
    title = f"{word['tag']} {word['score']:.3f}"
    below = tag_pill(word["tag"], entity_tags)
    return tag("span", tag("bdi", text), below, class_="stack", title=title)


STYLE = """
:root{color-scheme:light dark;--bg:#f7f8fa;--panel:#fff;--ink:#1d2430;--muted:#5a6472;
--rule:#dde1e6;--accent:#1f5fb4;--bar:#cfe0f5;--hit:31 95 180;--miss:190 60 30;--wrong:#b3261e;
--notice:#fff4d6;--shade:#1d243038;--series-1:#1f5fb4;--series-2:#b8480e;--series-3:#177245;
--ts:90%;--tl:20%;--bs:75%;--bl:90%}
@media(prefers-color-scheme:dark){:root{--bg:#12151a;--panel:#1a1e25;--ink:#e7eaf0;--muted:#a0aab8;
--rule:#303742;--accent:#8ab8f5;--bar:#26446b;--hit:90 150 235;--miss:230 105 70;--wrong:#ff9d94;
--notice:#3a3014;--shade:#000c;--series-1:#7fb2f5;--series-2:#f29a62;--series-3:#6cc795;
--ts:85%;--tl:88%;--bs:45%;--bl:24%}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--bg);color:var(--ink);overflow-wrap:anywhere;
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,main{max-width:66rem;margin:0 auto;padding:0 1rem}
header{padding-top:1.75rem}
h1{font-size:1.65rem;line-height:1.2;margin:0 0 .75rem}
h2{font-size:1.2rem;margin:0 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p{margin:.25rem 0 .75rem}
a{color:var(--accent)}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:1rem 0}
section{background:var(--panel);border:1px solid var(--rule);border-radius:.75rem;
padding:1.1rem 1.25rem;margin:0 0 1rem;scroll-margin-top:.5rem}
.quiet,.count,dt{color:var(--muted)}
.count{font-weight:400}
.notice{background:var(--notice);border-radius:.5rem;padding:.5rem .75rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:0}
.tile{background:var(--panel);border:1px solid var(--rule);border-radius:.75rem;
padding:.55rem .9rem}
dt{font-size:.85rem}
dd{margin:0;font-size:1.6rem;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto;max-width:100%;margin:.25rem 0 .5rem;
background:linear-gradient(to right,var(--panel) 30%,transparent) 0 0/2.5rem 100% no-repeat local,
linear-gradient(to left,var(--panel) 30%,transparent) 100% 0/2.5rem 100% no-repeat local,
linear-gradient(to right,var(--shade),transparent) 0 0/.8rem 100% no-repeat scroll,
linear-gradient(to left,var(--shade),transparent) 100% 0/.8rem 100% no-repeat scroll}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
.command{background:var(--bg);border-radius:.5rem;padding:.6rem .75rem;font-size:.85rem;
white-space:pre-wrap;margin:.5rem 0}
table{border-collapse:collapse;font-size:.93rem}
th,td{padding:.35rem .7rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule);
overflow-wrap:normal}
tbody tr:last-child>*{border-bottom:0}
thead th{font-weight:600;color:var(--muted);white-space:nowrap}
th[scope=row]{font-weight:500}
.numbers{font-variant-numeric:tabular-nums;width:100%}
.numbers td,.numbers thead th+th{text-align:right;white-space:nowrap}
.facts th{color:var(--muted);padding-left:0;white-space:nowrap}
.facts td{overflow-wrap:anywhere;min-width:11rem}
.bar{display:block;min-width:6.5rem;padding-bottom:.3rem;
background:linear-gradient(var(--bar),var(--bar)) left bottom/var(--w) .25rem no-repeat}
.matrix{width:auto}
.matrix th[scope=row]{position:sticky;left:0;background:var(--panel)}
.matrix td{padding:1px}
.cell{display:block;min-width:3.2rem;padding:.3rem .45rem;border-radius:.25rem;
background:rgb(var(--miss)/calc(var(--s)*.55))}
.hit{background:rgb(var(--hit)/calc(var(--s)*.45))}
.zero{background:none;color:var(--muted)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem}
figure{margin:0}
svg{display:block;width:100%;height:auto;max-width:40rem}
svg text{font-family:inherit!important}
details{margin:.5rem 0}
summary{cursor:pointer;padding:.3rem 0}
.pill{display:inline-block;border-radius:.3rem;padding:0 .38em;font-size:.82em;line-height:1.5;
font-weight:600}
.numbers .pill{white-space:nowrap}
.t{color:hsl(var(--h) var(--ts) var(--tl));background:hsl(var(--h) var(--bs) var(--bl))}
.none{color:var(--muted);border:1px dashed var(--rule);font-weight:400}
.mistake{border-top:1px solid var(--rule);padding:.6rem 0 .35rem}
.mistake p{display:flex;flex-wrap:wrap;gap:.1rem .9rem;margin:0 0 .35rem;color:var(--muted);
font-size:.9rem;align-items:baseline}
.mention{color:var(--ink);font-weight:650;font-size:1rem}
.sentence{line-height:2}
.stack{display:inline-flex;flex-direction:column;align-items:center;vertical-align:middle;
line-height:1.35;margin:.15rem .05rem}
.stack .pill{font-size:.7rem}
.wrong,.wrong-key{font-weight:650;text-decoration:underline wavy var(--wrong);
text-underline-offset:.2em;text-decoration-thickness:1px}
.texts{display:flex;flex-direction:column;padding-bottom:2rem}
.summary{order:-1;color:var(--muted)}
.texts article{display:flex;gap:.9rem;background:var(--panel);border:1px solid var(--rule);
border-bottom-width:0;padding:.6rem .9rem;content-visibility:auto;contain-intrinsic-size:auto 3rem}
.texts article:last-of-type{border-bottom-width:1px}
.line{color:var(--muted);font-size:.8rem;line-height:1.9rem;min-width:1.6rem;text-align:right;
font-variant-numeric:tabular-nums;user-select:none}
.text{flex:1;min-width:0;white-space:pre-wrap;unicode-bidi:plaintext;line-height:1.9}
mark{border-radius:.35rem;padding:.12em .3em;box-decoration-break:clone;
-webkit-box-decoration-break:clone}
.label{margin-inline-start:.3em;user-select:none}
mark b{font-size:.7em}
mark i{font-style:normal;font-weight:400}
@media(max-width:40rem){section{padding:.9rem .85rem;border-radius:.6rem}h1{font-size:1.35rem}
dd{font-size:1.35rem}table{font-size:.88rem}th,td{padding:.3rem .4rem}.bar{min-width:4rem}
.tiles{grid-template-columns:1fr 1fr}}
"""
