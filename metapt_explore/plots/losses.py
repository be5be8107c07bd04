"""What pre-training learns, task by task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import BLUE, GREY, VERMILION, axis_titles, facets, finish, nothing_yet, place

#: More panels than this are not looked at.
MOST_TASKS = 12
#: Losses of a task whose mean says which task is worst.
LAST = 5
#: Episodes of a task from which lines are running means, and over how many.
TREND_FROM, WINDOW = 12, 7
LINES = {
    "support_before": ("support, before the inner step", {"color": GREY, "dash": "dot", "width": 1.5}),
    "support_after": ("support, after the inner step", {"color": BLUE, "dash": "dash", "width": 1.5}),
    "query": ("query, after the inner step", {"color": VERMILION, "width": 2}),
}
#: Of a method that takes no inner steps, but has a prompt for each task.
OWN_LINES = {"loss": ("all rows, at the task's own prompt", {"color": VERMILION, "width": 2})}


def meta_loss(metrics: pd.DataFrame, names: Mapping[int, str]) -> go.Figure:
    """Draws the losses of pre-training against the outer step.

    Of meta-learning each auxiliary task gets a panel with its loss on support rows before and after
    the inner step, and on query rows after it; the task whose last query losses are highest comes first,
    and at most twelve are drawn. A method that takes no inner step has one loss a task. From a dozen episodes a task
    on, lines are running means of seven. Pooled pre-training has one panel with the loss of the whole batch.

    Args:
        metrics: A prompt's metrics: step and task with support_before, support_after and query, or
            step and loss.
        names: Names of the tasks by number.
    """
    if metrics.empty:
        return nothing_yet("No step is finished yet.")
    lines, last_line = (LINES, "query") if "query" in metrics else (OWN_LINES, "loss")
    if last_line == "loss" and metrics["task"].nunique() == 1:
        return _pooled(metrics)
    by_task = {int(str(task)): rows.sort_values("step") for task, rows in metrics.groupby("task")}
    # An episode is a few rows: one loss says little.
    last = {task: float(rows[last_line].tail(LAST).mean()) for task, rows in by_task.items()}
    order = sorted(by_task, key=lambda task: (-last[task], task))
    shown = order[:MOST_TASKS]
    figure = facets([names.get(task, f"task {task}") for task in shown], same_y=True)
    many = max(len(by_task[task]) for task in shown) >= TREND_FROM
    for index, task in enumerate(shown):
        rows = by_task[task]
        for column, (label, line) in lines.items():
            figure.add_trace(
                go.Scatter(
                    x=rows["step"].to_list(),
                    y=rows[column].to_list(),
                    mode="markers" if many else "lines+markers",
                    line=line,
                    marker={"size": 4, "color": line["color"]},
                    opacity=0.35 if many else 1,
                    name=label,
                    legendgroup=column,
                    showlegend=index == 0 and not many,
                    hovertemplate="step %{x}: %{y:.3f} nats",
                ),
                **place(index, len(shown)),
            )
    if many:
        _trends(figure, [by_task[task] for task in shown], lines)
    axis_titles(figure, len(shown), x="outer step (number)", y="loss (nats)")
    highest = "query loss" if last_line == "query" else "loss"
    title = f"{len(shown)} of {len(order)} tasks, highest {highest} first" if len(order) > len(shown) else ""
    return finish(figure, title=title)


def _trends(figure: go.Figure, panels: list[pd.DataFrame], lines: Mapping[str, tuple[str, Any]]) -> None:
    """Running means over the points, which jump from episode to episode."""
    for index, rows in enumerate(panels):
        for column, (label, line) in lines.items():
            mean = rows[column].rolling(WINDOW, min_periods=1, center=True).mean()
            figure.add_trace(
                go.Scatter(
                    x=rows["step"].to_list(),
                    y=mean.to_list(),
                    mode="lines",
                    line=line,
                    name=label,
                    legendgroup=column,
                    showlegend=index == 0,
                    hovertemplate=f"step %{{x}}: %{{y:.3f}} nats, mean of {WINDOW} episodes",
                ),
                **place(index, len(panels)),
            )


def _pooled(metrics: pd.DataFrame) -> go.Figure:
    rows = metrics.sort_values("step")
    figure = go.Figure(
        go.Scatter(
            x=rows["step"].to_list(),
            y=rows["loss"].to_list(),
            mode="lines+markers",
            line={"color": VERMILION, "width": 2},
            marker={"size": 4},
            name="loss of the batch",
            hovertemplate="step %{x}: %{y:.3f} nats",
        )
    )
    figure = finish(figure)
    figure.update_xaxes(title_text="outer step (number)")
    figure.update_yaxes(title_text="loss (nats)")
    figure.update_layout(height=350, showlegend=True)
    return figure
