"""Why a clustering helps or not: agreement of gradients, and which cluster helps which task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import BLUE, MANY, VERMILION, finish, nothing_yet, plain
from metapt_explore.statistics.numbers import number as written

#: Vermilion below 0, blue above: colour-blind readers tell them apart, and 0 is light grey on either page.
DIVERGING = [[0.0, VERMILION], [0.5, "#F2F2F2"], [1.0, BLUE]]
#: Characters of a name that are shown.
SHOWN = 34
#: Cells with more of them in a row carry no figures.
MOST_WRITTEN = 16
#: Clusters that are shown of more than `MANY`.
MOST_SHOWN = 30
#: Pixels of a picture of many rows.
LARGE = 640
#: Standard errors from 0 at which a cosine is marked.
SURE = 2.0


def agreement_map(
    pairs: pd.DataFrame,
    tasks: Sequence[Mapping[str, Any]],
    value: Literal["corrected", "cosine"] = "corrected",
) -> go.Figure:
    """Heat map of gradient agreement: auxiliary tasks down, auxiliary and then downstream tasks across.

    Blue: the two pull the prompt the same way; vermilion: against one another. A star marks what is two standard errors
    or more from 0. Where a gradient is nothing but noise, its corrected cosines are left empty. A task's own cell holds
    the reliability of its gradient where cosines are shown as observed, and nothing where they are corrected.

    More than 40 auxiliary tasks stand in an order that puts alike ones side by side, without names at the axes (the
    pointer says them): tasks that are nearly one are seen as a blue square.

    Args:
        pairs: The table ``agreement`` of `Study.agreement`.
        tasks: ``tasks`` of its summary.
        value: Cosines corrected for noise, or as they were observed.
    """
    down = [str(task["name"]) for task in tasks if task["kind"] == "auxiliary"]
    across = down + [str(task["name"]) for task in tasks if task["kind"] != "auxiliary"]
    if not down or pairs.empty:
        return nothing_yet("No auxiliary task has been compared with another task.")
    title = "agreement of gradients, " + ("corrected for noise" if value == "corrected" else "as observed")
    if len(down) > MANY:
        return _many_agreements(pairs, down, across, value, f"{title}; {len(down):,} tasks, alike ones together")
    error = "corrected_standard_error" if value == "corrected" else "standard_error"
    known = {}
    for row in pairs.to_dict(orient="records"):
        known[row["first"], row["second"]] = known[row["second"], row["first"]] = (row[value], row[error])
    if value == "cosine":
        for task in tasks:
            estimate = task["reliability"]
            known[task["name"], task["name"]] = (np.nan if estimate is None else estimate, np.nan)
    numbers = np.array([[known.get((y, x), (np.nan, np.nan))[0] for x in across] for y in down], dtype=float)
    errors = np.array([[known.get((y, x), (np.nan, np.nan))[1] for x in across] for y in down], dtype=float)
    reliability = {str(task["name"]): task["reliability"] for task in tasks}
    hover = [
        [
            f"{plain(y, SHOWN)} · {plain(x, SHOWN)}<br>cosine {_signed(numbers[i, j])} ± {errors[i, j]:.2f}"
            f"<br>reliability {_share(reliability[y])} and {_share(reliability[x])}"
            for j, x in enumerate(across)
        ]
        for i, y in enumerate(down)
    ]
    sure = np.abs(numbers) >= SURE * errors
    figure = _heat_map(_Cells(numbers, sure, hover), down, across, reach=1.0, unit="cosine", written=_signed)
    if len(across) > len(down):
        figure.add_vline(x=len(down) - 0.5, line={"color": "#8C8C8C", "width": 2})
    return finish(figure, title=title + (" (own cell: reliability)" if value == "cosine" else ""))


def _many_agreements(pairs: pd.DataFrame, down: list[str], across: list[str], value: str, title: str) -> go.Figure:
    """A picture of all cosines: no names at the axes, and no sentence for each of a hundred thousand cells."""
    both = pd.concat([pairs, pairs.rename(columns={"first": "second", "second": "first"})], ignore_index=True)
    grid = both.drop_duplicates(["first", "second"], keep="last").pivot(index="first", columns="second", values=value)
    numbers = grid.reindex(index=down, columns=across).to_numpy(dtype="float32", copy=True)
    order = _alike_together(numbers[:, : len(down)])
    numbers = np.hstack([numbers[np.ix_(order, order)], numbers[order, len(down) :]])
    rows = [plain(down[place], SHOWN) for place in order]
    columns = rows + [plain(name, SHOWN) for name in across[len(down) :]]
    # Names that are cut to the same letters would share a place.
    rows, columns = ([f"{name} · {place + 1}" for place, name in enumerate(names)] for names in (rows, columns))
    figure = go.Figure(
        go.Heatmap(
            z=numbers,
            x=columns,
            y=rows,
            zmin=-1,
            zmax=1,
            zmid=0,
            colorscale=DIVERGING,
            hovertemplate="%{y}<br>%{x}<br>cosine %{z:.2f}<extra></extra>",
            hoverongaps=False,
            colorbar={"title": {"text": "cosine"}, "thickness": 14},
        )
    )
    figure.update_xaxes(type="category", showticklabels=False, ticks="", showgrid=False, title_text="tasks")
    figure.update_yaxes(type="category", showticklabels=False, ticks="", showgrid=False, title_text="auxiliary tasks")
    figure.update_yaxes(autorange="reversed")
    figure = finish(figure, title=title)
    figure.update_layout(height=LARGE)
    if len(across) > len(down):
        figure.add_vline(x=len(down) - 0.5, line={"color": "#8C8C8C", "width": 2})
    return figure


def _alike_together(cosines: np.ndarray) -> np.ndarray:
    """An order in which tasks that agree stand together; an unknown cosine counts as none."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    apart = 1.0 - np.clip(np.nan_to_num(cosines), -1.0, 1.0)
    apart = (apart + apart.T) / 2
    np.fill_diagonal(apart, 0.0)
    return np.asarray(leaves_list(linkage(squareform(apart, checks=False), method="average")))


def help_map(table: pd.DataFrame, names: Mapping[int, str]) -> go.Figure:
    """Heat map of how much each cluster helps each task.

    Blue: scores are better with the cluster than without it; vermilion: worse. A star marks what remains after the
    correction for looking at all cells (``verdict`` of `help_table`). Of more than 40 clusters those are shown that
    matter most: marked ones first, then by the largest difference.

    Args:
        table: What `diagnostics.leave_one_out.help_table` returned.
        names: Names of the clusters.
    """
    if table.empty:
        return nothing_yet("No cluster has been left out yet.")
    clusters, tasks = list(dict.fromkeys(table["cluster"])), list(dict.fromkeys(table["task"]))
    cells = {(row["cluster"], row["task"]): row for row in table.to_dict(orient="records")}
    title = "accuracy with all clusters minus without this one"
    if len(clusters) > MANY:
        title += f"; {MOST_SHOWN} of {len(clusters):,} clusters, the largest differences"
        told = table.assign(sure=table["verdict"].isin(["helps", "hurts"]), size=table["help"].abs())
        most = told.groupby("cluster", sort=False)[["sure", "size"]].max()
        shown = set(most.sort_values(["sure", "size"], ascending=False, kind="stable").index[:MOST_SHOWN])
        clusters = [cluster for cluster in clusters if cluster in shown]
    numbers = np.array([[100 * cells[c, t]["help"] if (c, t) in cells else np.nan for t in tasks] for c in clusters])
    sure = np.array([[cells.get((c, t), {}).get("verdict") in ("helps", "hurts") for t in tasks] for c in clusters])
    hover = [
        [
            f"{plain(names.get(int(c), c), SHOWN)} · {plain(t, SHOWN)}<br>{_points(100 * row['help'])} points, 95 % "
            f"{_points(100 * row['low'])} to {_points(100 * row['high'])}<br>{row['wins']} better, {row['ties']} "
            f"equal, {row['losses']} worse of {row['units']}; {row['verdict']}"
            if (row := cells.get((c, t)))
            else "no score yet"
            for t in tasks
        ]
        for c in clusters
    ]
    # At least one point, so that differences of nothing stay pale.
    reach = max(1.0, float(np.nanmax(np.abs(numbers))))
    rows = [names.get(int(cluster), str(cluster)) for cluster in clusters]
    figure = _heat_map(
        _Cells(numbers, sure, hover), rows, [str(t) for t in tasks], reach=reach, unit="points", written=_points
    )
    return finish(figure, title=title)


@dataclass(frozen=True, eq=False)
class _Cells:
    """What a heat map shows: numbers, which of them are marked, and what is read on hovering."""

    numbers: np.ndarray
    sure: np.ndarray
    hover: list[list[str]]


def _heat_map(
    cells: _Cells,
    down: list[str],
    across: list[str],
    *,
    reach: float,
    unit: str,
    written: Callable[[float], str],
) -> go.Figure:
    """Cells on places 0, 1, 2 …: two names that are cut to the same letters would share a place."""
    text = [
        ["" if np.isnan(number) else written(number) + ("*" if sure else "") for number, sure in zip(*row, strict=True)]
        for row in zip(cells.numbers, cells.sure, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=[[None if np.isnan(number) else float(number) for number in row] for row in cells.numbers],
            zmin=-reach,
            zmax=reach,
            zmid=0,
            colorscale=DIVERGING,
            text=text,
            texttemplate="%{text}" if len(across) <= MOST_WRITTEN else None,
            customdata=cells.hover,
            hovertemplate="%{customdata}<extra></extra>",
            colorbar={"title": {"text": unit}, "thickness": 14},
            xgap=1,
            ygap=1,
        )
    )
    for axis, labels in (("xaxis", across), ("yaxis", down)):
        ticks = {"tickvals": list(range(len(labels))), "ticktext": [plain(label, SHOWN) for label in labels]}
        figure.update_layout({axis: {**ticks, "showgrid": False}})
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=170 + 34 * len(down))
    return figure


def _signed(value: float) -> str:
    return written(value, 2, sign=True)


def _points(value: float) -> str:
    return written(value, 1, sign=True)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
