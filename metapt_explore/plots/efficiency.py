"""Label efficiency: scores, and differences from a baseline, by the number of labelled examples a class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.series import EfficiencyLine, beside, efficiency_lines
from metapt_explore.plots.style import GREY, finish, method_colors, nothing_yet, plain
from metapt_explore.statistics.numbers import number

NO_OTHERS = "Scores with other numbers of examples come with evaluation.more_shots."


def efficiency_curve(efficiency: pd.DataFrame, methods: Sequence[str], rows: str = "test") -> go.Figure:
    """Draws the mean score by the number of labelled examples a class, with 95 % intervals.

    Args:
        efficiency: What `label_efficiency` returned.
        methods: All methods of the study, so that each keeps its colour.
        rows: What scores are on, in words.
    """
    lines = efficiency_lines(efficiency, methods)
    if len(_measured(lines)) < 2:
        return nothing_yet(NO_OTHERS)
    return _drawn(lines, methods, f"accuracy on {rows}, mean over tasks (%)", "%{y:.1f} %")


def efficiency_difference(efficiency: pd.DataFrame, methods: Sequence[str], baseline: str) -> go.Figure:
    """Draws how far each method is ahead of the baseline by the number of examples, with 95 % intervals.

    Args:
        efficiency: What `label_efficiency` returned for that baseline.
        methods: All methods of the study, so that each keeps its colour.
        baseline: What is subtracted, seed by seed.
    """
    lines = efficiency_lines(efficiency, methods, difference=True)
    if len(_measured(lines)) < 2:
        return nothing_yet(f"Nothing to lay beside {plain(baseline, 40)} at several numbers of examples yet.")
    figure = _drawn(lines, methods, f"points of accuracy ahead of {plain(baseline, 30)}", "%{y:+.1f} points", sign=True)
    figure.add_hline(y=0, line={"color": GREY, "width": 1, "dash": "dot"})
    return figure


def _measured(lines: Sequence[EfficiencyLine]) -> list[int]:
    return sorted({shots for line in lines for shots in line.shots})


def _drawn(
    lines: Sequence[EfficiencyLine], methods: Sequence[str], title: str, value: str, *, sign: bool = False
) -> go.Figure:
    colors, measured = method_colors(methods), _measured(lines)
    figure = go.Figure()
    for place, line in enumerate(lines):
        aside = beside(place, len(lines))
        # Where there is no interval NaN stands, which is not drawn.
        low, high = ([math.nan if end is None else end for end in ends] for ends in (line.low, line.high))
        told = [
            "" if math.isnan(a + b) else f", 95 % interval {number(a, 1, sign=sign)} to {number(b, 1, sign=sign)}"
            for a, b in zip(low, high, strict=True)
        ]
        figure.add_trace(
            go.Scatter(
                x=[aside * shots for shots in line.shots],
                y=line.mean,
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [b - mean for b, mean in zip(high, line.mean, strict=True)],
                    "arrayminus": [mean - a for a, mean in zip(low, line.mean, strict=True)],
                    "thickness": 1.5,
                    "width": 3,
                },
                mode="lines+markers",
                line={"color": colors[line.method], "width": 2},
                marker={"size": 7},
                name=plain(line.method, 40),
                meta={"x": line.shots},
                customdata=list(zip(line.shots, line.pairs, told, strict=True)),
                hovertemplate=(
                    f"%{{customdata[0]}} a class: {value}%{{customdata[2]}}, %{{customdata[1]}} pairs of seeds"
                ),
            )
        )
    figure = finish(figure)
    figure.update_xaxes(
        type="log", tickmode="array", tickvals=measured, ticktext=[*map(str, measured)], title_text=SHOTS_AXIS
    )
    figure.update_yaxes(title_text=title)
    figure.update_layout(height=420)
    return figure


#: Of an axis on which doubling the examples is one length everywhere.
SHOTS_AXIS = "labelled examples a class (logarithmic)"
