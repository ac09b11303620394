"""The pictures of a report: curves, histograms and the confusion matrix, as PNG or inline SVG."""

import io
import math
import re
import warnings
from collections import Counter
from functools import partial
from itertools import cycle
from numbers import Real
from typing import NamedTuple

from support.markup import Html, escape, printable, tag

# Pictures stay small however long a run is.
STEP_POINTS = 300
HISTOGRAM_BINS = 40

# In a page each of these colours becomes the variable of its name, and follows the theme.
COLOURS = {
    "ink": "#1d2430",
    "muted": "#5a6472",
    "rule": "#dde1e6",
    "series-1": "#1f5fb4",
    "series-2": "#b8480e",
    "series-3": "#177245",
}
SERIES = [colour for name, colour in COLOURS.items() if name.startswith("series")]
CURVES_SIZE = (5.0, 2.9)  # inches


class Chart(NamedTuple):
    """Named series of (x, y) points; as `histogram`, y is the height of the bin that x begins."""

    title: str
    x_label: str
    series: dict[str, list[tuple[float, float]]]
    histogram: bool = False
    limit: float | None = None


def training_charts(history: list[dict], steps: list[dict], entity_tags: bool) -> list[Chart]:
    """The curves of a run, by epoch and by step, without the ones it has no numbers for."""
    scores = {"F1": "eval_f1", "precision": "eval_precision", "recall": "eval_recall"}
    if not entity_tags or not points(history, "epoch", "eval_f1"):
        scores = {"accuracy": "eval_accuracy", "macro F1": "eval_macro_f1", "F1": "eval_f1"}
    losses = {"training": "train_loss", "validation": "eval_loss"}
    history = [row | {"done": epochs_done(row)} for row in history]
    by_epoch = {n: points(history, "done", key) for n, key in losses.items()}
    scores_by_epoch = {n: points(history, "done", key) for n, key in scores.items()}
    charts = [
        Chart("Loss", "epochs done", by_epoch),
        Chart("Scores on validation", "epochs done", scores_by_epoch),
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


def epochs_done(row: dict) -> float | None:
    """Epochs behind a row of the history: epoch 0, the first, is measured at its end."""
    return None if row.get("epoch") is None else row["epoch"] + 1


def points(rows: list[dict], x: str, y: str) -> list[tuple[float, float]]:
    """The finite numbers of two columns."""
    pairs = [(row.get(x), row.get(y)) for row in rows]
    return [p for p in pairs if all(isinstance(v, Real) and math.isfinite(v) for v in p)]


def thinned(line: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `STEP_POINTS` points, each the mean of its neighbours: all of them weigh the same."""
    size = math.ceil(len(line) / STEP_POINTS) or 1
    groups = (line[first : first + size] for first in range(0, len(line), size))
    return [
        tuple(sum(values) / len(group) for values in zip(*group, strict=True)) for group in groups
    ]


def length_chart(lengths: dict[str, dict[int, int]], limit: int | None) -> Chart:
    """How long the sentences are, as the share of each split's sentences in bins of one width.

    `lengths`: by split, the sentences by their number of sub-words; `limit`: the window's length.
    """
    end = max(map(max, lengths.values())) + 1
    width = math.ceil(end / HISTOGRAM_BINS)
    bins = range(0, end, width)
    series = {}
    for split, counts in lengths.items():
        filled, total = Counter(), sum(counts.values())
        for length, count in counts.items():
            filled[length // width * width] += count
        series[split] = [(start, 100 * filled[start] / total) for start in bins]
    title = "% of the sentences, by their number of sub-words"
    return Chart(title, "sub-words", series, True, limit if limit and limit <= bins.stop else None)


def curves_png(charts: list[Chart]) -> bytes:
    """Charts side by side, two in a row."""
    draws = [partial(_draw_chart, chart=chart) for chart in charts]
    return _picture(CURVES_SIZE, draws, "png")


def confusion_png(names: list[str | None], counts: list[list[int]]) -> bytes:
    """The confusion matrix of `mistakes.confusion_cells`."""
    side = 1.6 + 0.42 * len(names)
    draw = partial(_draw_confusion, names=[_short(name or "none") for name in names], counts=counts)
    return _picture((side + 0.3, side), [draw], "png")


def _short(name: str) -> str:
    """A name that fits into a picture."""
    name = printable(name)
    return name if len(name) <= 24 else name[:23] + "…"


def _draw_chart(axes, chart: Chart) -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for (name, line), colour in zip(chart.series.items(), cycle(SERIES), strict=False):
        xs, ys = zip(*line, strict=True)
        label = _short(name)
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


def _draw_confusion(axes, names: list[str], counts: list[list[int]]) -> None:
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


def _picture(size: tuple[float, float], draws: list, file_format: str) -> bytes:
    """Draw each of `draws` (a function of axes), two in a row; `size` is one's, in inches."""
    import matplotlib
    from matplotlib.figure import Figure

    # Labels are no formulas ($ is a tag of the Penn Treebank); a page brings its own fonts.
    settings = {"text.parse_math": False, "svg.fonttype": "none", "font.size": 10}
    settings["svg.hashsalt"] = "report"  # the same run gives the same page
    columns = min(2, len(draws))
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


def chart_html(chart: Chart) -> Html:
    """A chart as inline SVG in the colours of the page."""
    svg = _picture(CURVES_SIZE, [partial(_draw_chart, chart=chart)], "svg").decode()
    svg = svg[svg.index("<svg") :]
    # matplotlib's own style sheet and ids would reach beyond this picture.
    svg = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for attribute in ("width", "height"):
        svg = re.sub(rf'(<svg[^>]*?) {attribute}="[^"]*"', r"\1", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    label = escape(f"{chart.title}, by {chart.x_label}")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return tag("figure", Html(svg))
