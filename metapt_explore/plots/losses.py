"""What pre-training learns, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import BLUE, GREY, VERMILION, axis_titles, facets, finish, nothing_yet, place

#: Panels that are drawn where nobody chose: the worst tasks and, where there are more, the mean of all.
FIRST_PANELS = 6
#: Losses of a task whose mean says which task is worst.
LAST = 5
#: Steps of a task from which lines are running means, and over how many.
TREND_FROM, WINDOW = 12, 7
LINES = {
    "support_before": ("support, before the inner steps", {"color": GREY, "dash": "dot", "width": 1.5}),
    "support_after": ("support, after the inner steps", {"color": BLUE, "dash": "dash", "width": 1.5}),
    "query": ("query, after the inner steps", {"color": VERMILION, "width": 2}),
}
#: Of a method that takes no inner steps, but has a prompt for each task.
OWN_LINES = {"loss": ("all rows, at the task's own prompt", {"color": VERMILION, "width": 2})}


def step_means(metrics: pd.DataFrame) -> pd.DataFrame:
    """One row for each step and task: a step may draw a task more than once.

    Args:
        metrics: A prompt's metrics, with step and task.
    """
    return metrics.groupby(["step", "task"], as_index=False, sort=True).mean(numeric_only=True)


def last_losses(metrics: pd.DataFrame) -> pd.Series[float]:
    """The mean of each task's last losses, worst first: of query rows, where there are any.

    Args:
        metrics: A prompt's metrics, with step and task.
    """
    column = "query" if "query" in metrics else "loss"
    # An episode is a few rows: one loss says little.
    last = step_means(metrics).groupby("task")[column].apply(lambda losses: losses.tail(LAST).mean())
    return last.sort_index().sort_values(ascending=False, kind="stable")


def meta_loss(metrics: pd.DataFrame, names: Mapping[int, str], tasks: Sequence[int] = ()) -> go.Figure:
    """Draws the losses of pre-training against the outer step.

    Of meta-learning each auxiliary task gets a panel with its loss on support rows before and after
    the inner steps, and on query rows after them, each the mean over the step's draws of the task. A method that takes
    no inner step has one loss a task. From a dozen steps a task on, lines are running means of seven. Pooled
    pre-training has one panel with the loss of the whole batch.

    Args:
        metrics: A prompt's metrics: step and task with support_before, support_after and query, or
            step and loss.
        names: Names of the tasks by number.
        tasks: Which to draw; else those whose last query losses are highest, and the mean of all where they are more.
    """
    if metrics.empty:
        return nothing_yet("No step is finished yet.")
    lines, last_line = (LINES, "query") if "query" in metrics else (OWN_LINES, "loss")
    if last_line == "loss" and metrics["task"].nunique() == 1:
        return _pooled(metrics)
    means = step_means(metrics)
    order = [int(task) for task in last_losses(metrics).index]
    shown = [task for task in tasks if task in order]
    panels: list[tuple[str, pd.DataFrame]] = []
    if not shown:
        shown = order
        if len(order) > FIRST_PANELS:
            shown = order[: FIRST_PANELS - 1]
            panels.append((f"mean of all {len(order)} tasks", means.groupby("step", as_index=False).mean()))
    panels += [(names.get(task, f"task {task}"), means[means["task"] == task]) for task in shown]
    figure = facets([title for title, _ in panels], same_y=True)
    many = max(len(rows) for _, rows in panels) >= TREND_FROM
    for index, (_, rows) in enumerate(panels):
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
                **place(index, len(panels)),
            )
    if many:
        _trends(figure, [rows for _, rows in panels], lines)
    axis_titles(figure, len(panels), x="outer step (number)", y="loss (nats)")
    return finish(figure, title=f"{len(shown)} of {len(order)} tasks" if len(order) > len(shown) else "")


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
                    hovertemplate=f"step %{{x}}: %{{y:.3f}} nats, mean of {WINDOW} steps",
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
