"""Small hand-made records, and what stands in the figures that are drawn of them."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go


def traces(figure: go.Figure, **wanted: object) -> list[dict]:
    """Traces as plain values, those that have the wanted attributes."""
    found = [trace.to_plotly_json() for trace in figure.data]
    return [trace for trace in found if all(trace.get(key) == value for key, value in wanted.items())]


def titles(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


CLUSTERS = [
    {"cluster": 0, "name": "0: <i>phone</i>", "rows": 2, "keywords": [], "labels": {"positive": 2}, "membership": 1},
    {"cluster": 1, "name": "1: book", "rows": 3, "keywords": [],
     "labels": {"negative": 1, "unlabelled": 2}, "membership": 1},
]  # fmt: skip


def points(count: int) -> pd.DataFrame:
    """Rows 0, 1, 2 …, every third an outlier, the others in clusters 0 and 1."""
    rows = range(count)
    return pd.DataFrame(
        {
            "row": rows,
            "cluster": [row % 3 - 1 for row in rows],
            "x": [float(row) for row in rows],
            "y": [2.0 * row for row in rows],
        }
    )


def meta_lines(tasks: int, steps: int = 2) -> pd.DataFrame:
    """Task t has query loss t / 10 at the last step, and 9 before."""
    return pd.DataFrame(
        [
            {"step": step, "task": task, "support_before": 0.8, "support_after": 0.5,
             "query": task / 10 if step == steps - 1 else 9.0}
            for step in range(steps)
            for task in range(tasks)
        ]
    )  # fmt: skip


def curves() -> pd.DataFrame:
    """Two seeds of two methods on two tasks; rates that dev did not choose have no test score."""
    rows = []
    for task in ("trec", "<b>mr</b>"):
        for method, gain in (("PT", 0.0), ("MetaPT", 0.2)):
            for seed, luck in ((13, 0.0), (21, 0.1)):
                for step in (0, 1):
                    cell = {"task": task, "method": method, "data_seed": seed, "init_seed": 0, "step": step}
                    score = 0.5 + gain + luck * step
                    rows.append({**cell, "learning_rate": 0.1, "test_accuracy": score})
                    rows.append({**cell, "learning_rate": 0.9, "test_accuracy": None})
    return pd.DataFrame(rows).astype({"test_accuracy": float})


def results() -> pd.DataFrame:
    """Seed 13 and 21 of two methods; MetaPT lacks seed 21."""
    cells = [("PT", 13, 0.5), ("PT", 21, 0.7), ("MetaPT", 13, 0.8)]
    return pd.DataFrame(
        [{"task": "trec", "method": m, "data_seed": s, "init_seed": 0, "accuracy": a} for m, s, a in cells]
    )


def decoded_floats(values: pd.Series) -> list[float]:
    """As a map holds them."""
    return values.astype("float32").tolist()
