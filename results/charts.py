"""The pictures of a report: curves, histograms and the confusion matrix, as PNG or inline SVG."""

import io
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle
from numbers import Real
from typing import Any, NamedTuple
from xml.etree import ElementTree

from results.history import INTERVAL
from results.report_scores import ReliabilityRow
from support.text import printable

# Pictures stay small however long a run is.
STEP_POINTS = 300
HISTOGRAM_BINS = 40

# In a page, each of these colours becomes the CSS variable of that name and follows the theme.
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
SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

Point = tuple[float, float]
Band = tuple[float, float, float]  # x, and both ends of an interval
Axes = Any  # matplotlib.axes.Axes; matplotlib is imported only when a picture is drawn


class Chart(NamedTuple):
    """Named series of (x, y) points.

    In a `histogram`, y is the height of the bin that begins at x. `mark`: the name and the x of a
    vertical line. `bands`: the interval of each point of a series, from its lower to its upper end.
    """

    title: str
    x_label: str
    series: dict[str, list[Point]]
    histogram: bool = False
    mark: tuple[str, float] | None = None
    bands: Mapping[str, list[Band]] = {}


# --- The data of the charts ---------------------------------------------------------------------


def training_charts(
    history: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]],
    entity_tags: bool,
    kept_step: int | None = None,
) -> list[Chart]:
    """Return the curves of a run by step; a curve without points is left out.

    `history`: one mapping for each evaluation; `steps`: one for each logged step. `kept_step`: the
    step of the weights that were kept.
    """
    scores = {"F1": "eval_f1", "precision": "eval_precision", "recall": "eval_recall"}
    if not entity_tags or not points(history, "step", "eval_f1"):
        scores = {"accuracy": "eval_accuracy", "macro F1": "eval_macro_f1", "F1": "eval_f1"}
    losses = {"training": "train_loss", "validation": "eval_loss"}
    step_loss = thinned(points(steps, "step", "loss"))
    learning_rate = thinned(points(steps, "step", "learning_rate"))
    first, key = next(iter(scores.items()))  # areas of several scores would overlap
    bands = {first: line} if (line := _band(history, key)) else {}
    mark = ("weights kept", kept_step) if kept_step else None
    charts = [
        Chart("Loss", "step", _series(history, losses), mark=mark),
        Chart("Scores on validation", "step", _series(history, scores), mark=mark, bands=bands),
        Chart("Training loss by step", "step", {"loss": step_loss} if step_loss else {}),
        Chart("Learning rate", "step", {"learning rate": learning_rate} if learning_rate else {}),
    ]
    return [chart for chart in charts if chart.series]


def _series(
    history: Sequence[Mapping[str, Any]], columns: dict[str, str]
) -> dict[str, list[Point]]:
    lines = {name: points(history, "step", column) for name, column in columns.items()}
    return {name: line for name, line in lines.items() if line}


def _band(history: Iterable[Mapping[str, Any]], column: str) -> list[Band]:
    """Return the intervals of a score by step."""
    rows = ((row.get("step"), row.get(f"{column}{INTERVAL}")) for row in history)
    return [(step, *ends) for step, ends in rows if step is not None and ends]


def points(rows: Iterable[Mapping[str, Any]], x: str, y: str) -> list[Point]:
    """Return the pairs of two columns, without those that are missing or not finite."""
    pairs: Iterable[tuple[Any, Any]] = ((row.get(x), row.get(y)) for row in rows)
    return [pair for pair in pairs if all(isinstance(v, Real) and math.isfinite(v) for v in pair)]


def thinned(line: list[Point]) -> list[Point]:
    """Return at most `STEP_POINTS` points, each the mean of a group of neighbours."""
    size = math.ceil(len(line) / STEP_POINTS) or 1
    groups = [line[first : first + size] for first in range(0, len(line), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def length_chart(lengths: Mapping[str, Mapping[int, int]], limit: int | None) -> Chart:
    """Return the histogram of sentence lengths, in percent of each split's sentences.

    `lengths`: for each split, the number of sentences of each length in sub-words. `limit`: the
    length of a window.
    """
    end = max(max(counts) for counts in lengths.values()) + 1
    bin_width = math.ceil(end / HISTOGRAM_BINS)
    bins = range(0, end, bin_width)
    series: dict[str, list[Point]] = {}
    for split, counts in lengths.items():
        heights: Counter[int] = Counter()
        for length, count in counts.items():
            heights[length // bin_width * bin_width] += count
        total = sum(counts.values())
        series[split] = [(start, 100 * heights[start] / total) for start in bins]
    mark = ("window", limit) if limit and limit <= bins.stop else None
    return Chart("Sentences by length (%)", "sub-words", series, True, mark)


# --- Drawing ------------------------------------------------------------------------------------


def curves_png(charts: list[Chart]) -> bytes:
    """Return a picture of charts, two in a row."""
    draws = [partial(_draw_chart, chart=chart) for chart in charts]
    return _picture(CURVES_SIZE, draws, "png")


def confusion_png(names: list[str | None], counts: list[list[int]]) -> bytes:
    """Return a picture of the confusion matrix of `mistakes.confusion_cells`."""
    side = 1.6 + 0.42 * len(names)
    draw = partial(_draw_confusion, names=[_short(name or "none") for name in names], counts=counts)
    return _picture((side + 0.3, side), [draw], "png")


def chart_svg(chart: Chart) -> str:
    """Return a chart as an `svg` element in the colours of the page, safe to put into HTML."""
    return _svg(partial(_draw_chart, chart=chart), f"{chart.title}, by {chart.x_label}")


def reliability_svg(rows: Sequence[ReliabilityRow]) -> str:
    """Return the reliability diagram as an `svg` element: score against the share that is right."""
    label = "Reliability diagram: the share of right predictions by their score"
    return _svg(partial(_draw_reliability, rows=rows), label)


def _svg(draw: Callable[[Axes], None], label: str) -> str:
    """Return a drawing as an `svg` element in the colours of the page."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    svg = ElementTree.fromstring(_picture(CURVES_SIZE, [draw], "svg").decode())
    # matplotlib's style sheet would apply to the whole page.
    for parent in list(svg.iter()):
        for child in list(parent):
            if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata"):
                parent.remove(child)
    for element in svg.iter():
        if element.tag == f"{{{SVG}}}g":
            element.attrib.pop("id", None)  # not unique on a page of several pictures
        for key, value in element.attrib.items():
            for name, colour in COLOURS.items():
                value = value.replace(colour, f"var(--{name})")
            element.set(key, value)
    for size in ("width", "height"):
        svg.attrib.pop(size, None)
    svg.set("role", "img")
    svg.set("aria-label", label)
    return ElementTree.tostring(svg, encoding="unicode")


def _short(name: str) -> str:
    """Return a name shortened to 24 characters, to fit into a picture."""
    name = printable(name)
    return name if len(name) <= 24 else name[:23] + "…"


def _draw_chart(axes: Axes, chart: Chart) -> None:
    from matplotlib.ticker import MaxNLocator

    for (name, line), colour in zip(chart.series.items(), cycle(SERIES), strict=False):
        xs, ys = zip(*line, strict=True)
        label = _short(name)
        if chart.histogram:
            edges = [*xs, xs[-1] + (xs[1] - xs[0] if len(xs) > 1 else 1)]
            axes.stairs(ys, edges, color=colour, linewidth=1.4, label=label, fill=False)
        else:
            marker = "o" if len(line) <= 30 else None
            axes.plot(xs, ys, color=colour, linewidth=1.8, marker=marker, ms=4, label=label)
            if band := chart.bands.get(name):
                steps, low, high = zip(*band, strict=True)
                if len(band) == 1:  # an area needs two points
                    axes.vlines(steps, low, high, color=colour, linewidth=1)
                axes.fill_between(steps, low, high, color=colour, alpha=0.13, linewidth=0)
    if chart.mark:
        name, x = chart.mark
        axes.axvline(x, color=COLOURS["muted"], linestyle="--", linewidth=1.2, label=name, zorder=0)
    axes.set_title(chart.title, loc="left", fontsize=11, color=COLOURS["ink"], fontweight="bold")
    axes.set_xlabel(chart.x_label, color=COLOURS["muted"])
    axes.tick_params(colors=COLOURS["muted"], length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(_y_ticks())
    axes.grid(axis="y", color=COLOURS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines:
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(COLOURS["muted"])
    if len(chart.series) > 1 or chart.mark:
        axes.legend(frameon=False, labelcolor=COLOURS["ink"], fontsize=9.5)


def _y_ticks() -> Any:
    """Return the format of the numbers at an axis.

    The power of ten of very small and very large numbers is written once, at the end of the axis.
    """
    from matplotlib.ticker import ScalarFormatter

    ticks = ScalarFormatter(useOffset=False)
    ticks.set_powerlimits((-3, 6))
    return ticks


def _draw_reliability(axes: Axes, rows: Sequence[ReliabilityRow]) -> None:
    scores = [row.mean_score for row in rows]
    shares = [row.precision.value for row in rows]
    below, above = zip(*(row.errors for row in rows), strict=True)
    axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linestyle="--", linewidth=1)
    axes.errorbar(
        scores, shares, [below, above], fmt="o-", color=SERIES[0], linewidth=1.6, ms=5, elinewidth=1
    )
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    title = "Share that is right"
    axes.set_title(title, loc="left", fontsize=11, color=COLOURS["ink"], fontweight="bold")
    axes.set_xlabel("score", color=COLOURS["muted"])
    axes.tick_params(colors=COLOURS["muted"], length=0)
    axes.grid(color=COLOURS["rule"], linewidth=0.8)
    axes.set_axisbelow(True)
    for side in axes.spines:
        axes.spines[side].set_visible(False)


def _draw_confusion(axes: Axes, names: list[str], counts: list[list[int]]) -> None:
    shares = [[count / (sum(row) or 1) for count in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted", color=COLOURS["muted"])
    axes.set_ylabel("gold", color=COLOURS["muted"])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    font_size = 8 if len(names) <= 20 else 5.5
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                colour = "white" if shares[y][x] > 0.55 else COLOURS["ink"]
                axes.text(
                    x, y, f"{count}", ha="center", va="center", color=colour, fontsize=font_size
                )


def _picture(
    size: tuple[float, float], draws: Sequence[Callable[[Axes], None]], file_format: str
) -> bytes:
    """Return a picture of several drawings, two in a row.

    `draws`: functions that draw on axes. `size`: the size of one drawing in inches. `file_format`:
    "png" or "svg".
    """
    # Imported here so that a script without pictures does not load matplotlib.
    import matplotlib
    from matplotlib.figure import Figure

    settings = {
        "text.parse_math": False,  # labels are not formulas: "$" is a tag of the Penn Treebank
        "svg.fonttype": "none",  # text, in the fonts of the page
        "svg.hashsalt": "report",  # the same run gives the same page
        "font.size": 10,
    }
    columns = min(2, len(draws))
    rows = math.ceil(len(draws) / columns)
    target = io.BytesIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # If its font lacks a script, matplotlib draws boxes; the picture is still useful.
        warnings.filterwarnings("ignore", message="Glyph|Matplotlib currently does not support")
        figure = Figure((size[0] * columns, size[1] * rows), layout="constrained")
        for place, draw in enumerate(draws, start=1):
            draw(figure.add_subplot(rows, columns, place))
        if file_format == "svg":
            figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
        else:
            figure.savefig(target, format="png", dpi=160, facecolor="white")
    return target.getvalue()
