"""Figures of decisions for a report, as SVG: confusion matrices and calibration curves (the dashboard's: `plots`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from metapt_explore.plots.errors import MOST_WRITTEN
from metapt_explore.plots.style import BLUE, GREY, method_colors
from metapt_explore.reporting.figures import _label_left, _legend, _name, _panels, as_svg

#: Tasks that are drawn.
MOST_TASKS = 12
#: Letters of a class's name beside a matrix.
LONGEST_CLASS = 14
#: More classes are drawn without their names.
MOST_NAMED = 30
#: Shares from which a figure in a cell is white, on the darker half of the colours.
DARK = 0.6


def confusion_maps(by_task: Mapping[str, Mapping[str, pd.DataFrame]]) -> str:
    """Draws a confusion matrix for each task (down) and method (across).

    Args:
        by_task: Of each task and method what `statistics.errors.confusion` returned.
    """
    from matplotlib.colors import LinearSegmentedColormap

    methods = list(dict.fromkeys(name for tables in by_task.values() for name in tables))
    titles = [f"{task}: {method}" for task in by_task for method in methods]
    classes = max(len(table) for tables in by_task.values() for table in tables.values())
    height = 0.8 + min(0.2 * max(4, classes), 4.0)
    figure, axes = _panels(titles, columns=len(methods), height=height)
    colors = LinearSegmentedColormap.from_list("shares", ["#ffffff", BLUE])
    tables = [of_task.get(method) for of_task in by_task.values() for method in methods]
    for axis, counts in zip(axes, tables, strict=True):
        if counts is None:
            axis.set_axis_off()
            continue
        shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
        axis.pcolormesh(shares, cmap=colors, vmin=0, vmax=1, edgecolors="#e4e8ec", linewidth=0.5)
        axis.invert_yaxis()
        for which, names in (("y", counts.index), ("x", counts.columns)):
            shown = [_name(name, LONGEST_CLASS) for name in names] if len(names) <= MOST_NAMED else []
            ticks = [place + 0.5 for place in range(len(shown))]
            turned = {"rotation": 30, "ha": "right"} if which == "x" and len(shown) > 3 else {}
            getattr(axis, f"set_{which}ticks")(ticks, shown, **turned)
        axis.tick_params(length=0, labelsize=7.5)
        if shares.shape[1] <= MOST_WRITTEN:
            for (down, across), share in np.ndenumerate(shares):
                color = "white" if share > DARK else "#1b1f24"
                where = (across + 0.5, down + 0.5)
                axis.text(*where, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=7.5)
    _label_left(axes, "is")
    return as_svg(figure)


def calibration_curves(by_task: Mapping[str, Mapping[str, pd.DataFrame]]) -> str:
    """Draws how often methods are right by how sure they are, a panel for each task.

    Args:
        by_task: Of each task and method what `statistics.calibration.calibration` returned.
    """
    methods = list(dict.fromkeys(name for tables in by_task.values() for name in tables))
    figure, axes = _panels(list(by_task), columns=min(4, len(by_task)), height=2.2)
    colors = method_colors(methods)
    for axis, tables in zip(axes, by_task.values(), strict=True):
        axis.plot([0, 100], [0, 100], ":", color=GREY, linewidth=1)
        for name, table in tables.items():
            if table.empty:  # every decision was for a word of no class
                continue
            sure, right = 100 * table["confidence"], 100 * table["accuracy"]
            axis.plot(sure, right, "-", color=colors[name], linewidth=1.3)
            axis.scatter(sure, right, s=4 + 50 * table["decisions"] / table["decisions"].sum(), color=colors[name])
        axis.set_xlim(0, 102)
        axis.set_ylim(0, 102)
        axis.set_xlabel("sure, %")
    _label_left(axes, "right, %")
    _legend(figure, methods, colors)
    return as_svg(figure)
