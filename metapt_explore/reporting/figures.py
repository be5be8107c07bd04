"""Figures of a report as SVG: small, printable, readable without a script. The dashboard's are in `plots`."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.escaping import one_line
from metapt_explore.plots import series
from metapt_explore.plots.series import Difference
from metapt_explore.plots.style import BLUE, GREY, VERMILION, method_colors
from metapt_explore.reporting.document import unquoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Letters of a name that are drawn: beside an axis or in a legend, and above a panel.
LONGEST, LONGEST_TITLE = 36, 60
SETTINGS: Any = {
    # Equal figures are equal files: no random ids, no date; text stays text.
    "svg.hashsalt": "metapt_explore",
    "svg.fonttype": "none",
    # Names are no formulas: `$\\x{y}$` would be read as one, and fail.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8c8c8c",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
}


def difference_forest(panels: Mapping[str, Sequence[Difference]], unit: str = "points of accuracy") -> str:
    """Draws differences with their intervals, one panel for each comparison; an interval over 0 is grey.

    Args:
        panels: Title of each comparison, and its lines from top to bottom.
        unit: What the axis counts.
    """
    rows = max(len(lines) for lines in panels.values())
    figure, axes = _panels(list(panels), columns=min(2, len(panels)), height=0.32 * rows + 0.9, same_x=True)
    for axis, lines in zip(axes, panels.values(), strict=False):
        axis.axvline(0, color=GREY, linewidth=1)
        for place, line in enumerate(reversed(lines)):
            color = (BLUE if line.mean > 0 else VERMILION) if line.clear else GREY
            size, width = (6, 2.2) if line.overall else (4, 1.2)
            if line.low is not None and line.high is not None:
                axis.plot([line.low, line.high], [place, place], color=color, linewidth=width)
            axis.plot(line.mean, place, "o", color=color, markersize=size)
        axis.set_yticks(range(len(lines)), [_name(line.name) for line in reversed(lines)])
        for label, line in zip(axis.get_yticklabels(), reversed(lines), strict=True):
            label.set_fontweight("bold" if line.overall else "normal")
        axis.set_ylim(-0.6, rows - 0.4)
        axis.set_xlabel(f"difference in {unit}")
    return as_svg(figure)


def seed_spread(results: pd.DataFrame, methods: Sequence[str], column: str = "accuracy") -> str:
    """Draws every score as a point, with the mean as a bar, for each task and for the mean over tasks."""
    panels = series.seed_scores(results, methods, column=column, over_tasks=True)
    figure, axes = _panels([panel.title for panel in panels], columns=min(4, len(panels)), height=2.3)
    colors = method_colors(methods)
    order = {method: place for place, method in enumerate(methods)}
    for axis, panel in zip(axes, panels, strict=False):
        for scored in panel.methods:
            place = order[scored.method]
            x = [place + aside for aside in _beside(len(scored.scores))]
            axis.plot(x, scored.scores, "o", color=colors[scored.method], markersize=3, alpha=0.75)
            axis.plot([place - 0.3, place + 0.3], [scored.mean] * 2, color="#1b1f24", linewidth=1.4)
        axis.set_xticks([])
        axis.set_xlim(-0.6, len(methods) - 0.4)
        axis.grid(axis="y", color="#e4e8ec", linewidth=0.7)
        axis.set_axisbelow(True)
    _label_left(axes, "accuracy, %" if column == "accuracy" else column)
    _legend(figure, methods, colors)
    return as_svg(figure)


def tuning_curves(curves: pd.DataFrame, methods: Sequence[str]) -> str:
    """Draws mean test accuracy after 0, 1, 2 … tuning steps for each task, with a standard error around it.

    Args:
        curves: What `curves_table` returned; rows without a test score are of other learning rates.
        methods: In the order of the study.
    """
    panels = series.tuning_curves(curves, methods)
    figure, axes = _panels([panel.task for panel in panels], columns=min(4, len(panels)), height=2.1)
    colors = method_colors(methods)
    steps = sorted({step for panel in panels for curve in panel.curves for step in curve.steps})
    for axis, panel in zip(axes, panels, strict=False):
        for curve in panel.curves:
            x, color = [steps.index(step) for step in curve.steps], colors[curve.method]
            low = [mean - error for mean, error in zip(curve.mean, curve.error, strict=True)]
            high = [mean + error for mean, error in zip(curve.mean, curve.error, strict=True)]
            axis.fill_between(x, low, high, color=color, alpha=0.15, lw=0)
            axis.plot(x, curve.mean, "-o", color=color, markersize=3, linewidth=1.5)
        axis.set_xticks(range(len(steps)), [f"{step:g}" for step in steps])
        axis.grid(axis="y", color="#e4e8ec", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.set_xlabel("tuning steps")
    _label_left(axes, "accuracy, %")
    _legend(figure, methods, colors)
    return as_svg(figure)


def paired_means(results: pd.DataFrame, methods: Sequence[str]) -> str:
    """Draws the mean over tasks of each pair of seeds, a line for a pair: who is better, and steadier."""
    means = series.pair_means(results, methods)
    width = 1.1 * len(means.methods) + 1.6
    figure, (axis,) = _panels([""], columns=1, height=3.0, width=width)
    colors = method_colors(methods)
    for row in means.rows:
        y = [math.nan if value is None else value for value in row]
        axis.plot(range(len(y)), y, color="#c4c9cf", linewidth=0.8, zorder=1)
    for place, (method, mean, deviation) in enumerate(zip(means.methods, means.means, means.deviations, strict=True)):
        values = means.of(place)
        axis.plot([place] * len(values), values, "o", color=colors[method], markersize=5, zorder=2)
        axis.plot([place - 0.18, place + 0.18], [mean] * 2, color="#1b1f24", linewidth=2, zorder=3)
        if deviation is not None:
            note = f"{mean:.1f} ± {deviation:.1f}"
            axis.annotate(note, (place, max(values)), (0, 7), textcoords="offset points", ha="center")
    axis.set_xticks(range(len(means.methods)), [_name(m) for m in means.methods], rotation=20, ha="right")
    axis.set_xlim(-0.5, len(means.methods) - 0.5)
    axis.margins(y=0.12)
    axis.set_ylabel(f"accuracy, %, mean over {means.tasks} tasks")
    return as_svg(figure)


def label_efficiency(efficiency: pd.DataFrame, methods: Sequence[str], baseline: str) -> str:
    """Draws scores, and beside them differences from the baseline, by examples a class, with 95 % intervals.

    Args:
        efficiency: What `label_efficiency` returned for that baseline.
        methods: In the order of the study.
        baseline: What is subtracted.
    """
    scores, apart = (series.efficiency_lines(efficiency, methods, difference=which) for which in (False, True))
    titles = ["", f"ahead of {baseline}"] if apart else [""]
    figure, axes = _panels(titles, columns=len(titles), height=3.2)
    colors = method_colors(methods)
    measured = sorted({shots for line in scores for shots in line.shots})
    for axis, lines, name in zip(axes, (scores, apart), ("accuracy, %", "points of accuracy"), strict=False):
        for place, line in enumerate(lines):
            x = [series.beside(place, len(lines)) * shots for shots in line.shots]
            color = colors[line.method]
            axis.plot(x, line.mean, "-o", color=color, markersize=3.5, linewidth=1.4)
            for where, low, high in zip(x, line.low, line.high, strict=True):
                if low is not None and high is not None:
                    axis.plot([where, where], [low, high], color=color, linewidth=1)
        axis.set_xscale("log", base=2)
        axis.set_xticks(measured, [str(shots) for shots in measured])
        axis.set_xticks([], minor=True)
        axis.grid(axis="y", color="#e4e8ec", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.set_xlabel("labelled examples a class")
        axis.set_ylabel(name)
    for axis in axes[1:]:
        axis.axhline(0, color=GREY, linewidth=1)
    _legend(figure, [line.method for line in scores], colors)
    return as_svg(figure)


def _panels(
    titles: Sequence[str], *, columns: int, height: float, same_x: bool = False, width: float = 8.6
) -> tuple[Figure, list[Axes]]:
    import matplotlib as mpl
    from matplotlib.figure import Figure as New

    rows = -(-len(titles) // columns)
    with mpl.rc_context(SETTINGS):
        figure = New(figsize=(width, rows * height + 0.3), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex="all" if same_x else False)
        axes = [axis for row in grid for axis in row]
        for axis, title in zip(axes, titles, strict=False):
            axis.set_title(_name(title, LONGEST_TITLE))
    for unused in axes[len(titles) :]:
        unused.set_axis_off()
    return figure, axes[: len(titles)]


def _legend(figure: Figure, methods: Sequence[str], colors: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colors[method], marker="o", markersize=4) for method in methods]
    names = [_name(method) for method in methods]
    figure.legend(handles, names, loc="outside lower center", ncols=min(4, len(handles)), frameon=False)


def _label_left(axes: Sequence[Axes], text: str) -> None:
    for axis in axes:
        if axis.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axis.set_ylabel(text)


def _beside(points: int) -> list[float]:
    """Small steps to the side, so that equal scores do not hide one another."""
    return [((index % 5) - 2) * 0.07 for index in range(points)]


def _name(name: object, longest: int = LONGEST) -> str:
    """A name as it stands in a figure: on one line, cut where it is too long."""
    line = one_line(unquoted(str(name)))
    return line if len(line) <= longest else f"{line[:longest]}…"


def as_svg(figure: Figure) -> str:
    """A figure as the text of an SVG file: equal figures are equal texts."""
    import matplotlib as mpl
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    file = io.StringIO()
    with mpl.rc_context(SETTINGS), warnings.catch_warnings():
        # Text stays text in the file: its reader's fonts have what ours lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
