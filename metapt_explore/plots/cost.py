"""What a method costs against what it gives, and which ones no other beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.series import PAIR
from metapt_explore.plots.style import GREY, finish, method_colors, nothing_yet, plain

#: So many methods all have their names beside them; of more only those that no other beats.
MANY = 5
SECONDS = "seconds a score: tuning and<br>its share of pre-training (logarithmic)"
PASSES = "row passes a score: tuning and<br>its share of pre-training (logarithmic)"
COLUMNS = ["method", "cost", "score", "deviation", "front"]


def cost_table(
    results: pd.DataFrame, methods: Sequence[str], passes: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Cost and mean accuracy of each method, and whether it lies on the Pareto front.

    Args:
        results: What `results_table` returned.
        methods: Methods in the order of the study.
        passes: Row passes of one score by method; seconds as measured when absent.

    Returns:
        Columns method, cost, score and deviation (of the mean over tasks, over pairs of seeds; shares of 1), and front:
        whether no other method is as cheap and better, or as good and cheaper. Only tasks that every method has count.

    Example:
        >>> rows = [("PT", 0.5, 1.0), ("PPT", 0.7, 4.0), ("slow", 0.6, 9.0)]
        >>> table = pd.DataFrame(rows, columns=["method", "accuracy", "seconds"])
        >>> table = table.assign(task="a", init_seed=0, data_seed=0, pretraining_seconds=0.0)
        >>> cost_table(table, ["PT", "PPT", "slow"])["front"].tolist()
        [True, True, False]
    """
    common, _ = on_common_tasks(results, methods)
    records = []
    for method in methods:
        rows = common[common["method"] == method]
        if rows.empty or (passes is not None and method not in passes):
            continue
        # The mean over tasks of each pair of seeds: its spread is that of what the point is.
        of_pairs = rows.groupby(PAIR, dropna=False)["accuracy"].mean()
        records.append(
            {
                "method": method,
                "cost": _seconds(rows) if passes is None else float(passes[method]),
                "score": float(rows.groupby("task")["accuracy"].mean().mean()),
                "deviation": float(of_pairs.std(ddof=1)) if len(of_pairs) > 1 else 0.0,
            }
        )
    table = pd.DataFrame(records, columns=COLUMNS[:-1]).dropna(subset=["cost"]).reset_index(drop=True)
    points = list(zip(table["cost"], table["score"], strict=True))
    front = [
        not any((c <= cost and s >= score) and (c, s) != (cost, score) for c, s in points) for cost, score in points
    ]
    return table.assign(front=front)


def _seconds(rows: pd.DataFrame) -> float:
    # One pre-training serves all scores of its initialisation seed.
    by_seed = rows.groupby("init_seed", dropna=False)
    share = float((by_seed["pretraining_seconds"].max() / by_seed.size()).mean())
    return float(rows["seconds"].mean()) + (0.0 if pd.isna(share) else share)


def cost_against_accuracy(
    results: pd.DataFrame, methods: Sequence[str], passes: Mapping[str, float] | None = None
) -> go.Figure:
    """Draws what each method costs for one score against what it gives, with the Pareto front.

    Args:
        results: What `results_table` returned.
        methods: All methods of the study, so that each keeps its colour.
        passes: Row passes of one score by method; seconds as measured when absent.
    """
    if results.empty:
        return nothing_yet("No score is there yet.")
    table = cost_table(results, methods, passes)
    if table.empty:
        return nothing_yet("What methods cost is not known.")
    paid = table.loc[table["cost"] > 0, "cost"]
    # What costs nothing has no place on a logarithmic axis: it stands left of everything else, and says so.
    least = float(paid.min()) / 3 if len(paid) else 1.0
    unit, form = ("s", ",.1f") if passes is None else ("row passes", ",.0f")
    figure = go.Figure()
    front = table[table["front"]].sort_values("cost")
    figure.add_trace(
        go.Scatter(
            x=front["cost"].clip(lower=least).to_list(),
            y=(100 * front["score"]).to_list(),
            mode="lines",
            line={"color": GREY, "width": 1, "dash": "dot", "shape": "hv"},
            name="best for its cost",
            showlegend=False,
            hoverinfo="skip",
        )
    )
    colors = method_colors(methods)
    for row in table.to_dict(orient="records"):
        name, cost = plain(row["method"], 30), float(row["cost"])
        named = len(table) <= MANY or bool(row["front"])
        told = f"{cost:{form}} {unit} a score" if cost > 0 else f"no {unit}"
        figure.add_trace(
            go.Scatter(
                x=[max(cost, least)],
                y=[100 * float(row["score"])],
                error_y={"type": "data", "array": [100 * float(row["deviation"])], "thickness": 1, "width": 0},
                mode="markers+text" if named else "markers",
                marker={"color": colors[row["method"]], "size": 13 if row["front"] else 8},
                text=[name if cost > 0 else f"{name} (free)"],
                textposition="top left" if cost > table["cost"].median() else "top right",
                name=name,
                showlegend=False,
                hovertemplate=f"{name}: %{{y:.1f}} % for {told}<extra></extra>",
            )
        )
    figure = finish(figure)
    figure.update_xaxes(type="log", title_text=SECONDS if passes is None else PASSES)
    figure.update_yaxes(title_text="accuracy, mean over tasks (%)")
    figure.update_layout(height=420, margin_t=20)
    return _note_left_out(figure, on_common_tasks(results, methods)[1])


def on_common_tasks(table: pd.DataFrame, methods: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the tasks that every method has scores on, and the other tasks.

    While a study runs methods are not equally far: a mean over an easy task is not one over all.
    """
    wanted = table[table["method"].isin(methods)]
    groups = wanted.groupby("method")["task"].agg(set)
    common = set.intersection(*groups) if len(groups) else set()
    left_out = sorted(set(wanted["task"]) - common)
    return wanted[wanted["task"].isin(common)], left_out


def _note_left_out(figure: go.Figure, tasks: list[str]) -> go.Figure:
    if tasks:
        names = ", ".join(plain(task, 20) for task in tasks)
        note = {"text": f"without {names}: not all methods have scores there yet", "font": {"size": 12}}
        figure.update_layout(title={**note, "x": 0.01, "xanchor": "left"}, margin_t=60)
    return figure
