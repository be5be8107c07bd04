"""Studies of hundreds of clusters and tasks: every figure stays small enough to read, to send and to draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from drawn import meta_lines, traces

from metapt_explore import plots

COUNT = 512
#: Pixels that a reader scrolls at most for one figure, and bytes of it that go to the browser.
TALLEST, HEAVIEST = 1_300, 3_000_000


def agreements(count: int) -> tuple[pd.DataFrame, list[dict]]:
    """Two kinds of tasks that agree among themselves, in turn, and one downstream task."""
    names = [f"{number}: task" for number in range(count)] + ["trec"]
    kinds = [number % 2 for number in range(count)] + [0]
    first, second = np.triu_indices(len(names), k=1)
    same = np.array(kinds)[first] == np.array(kinds)[second]
    value = np.where(same, 0.8, -0.4)
    pairs = pd.DataFrame(
        {
            "first": np.array(names)[first],
            "second": np.array(names)[second],
            **{column: value for column in ("cosine", "corrected")},
            **{column: 0.1 for column in ("standard_error", "corrected_standard_error")},
        }
    )
    tasks = [
        {"name": name, "kind": "auxiliary" if place < count else "downstream", "reliability": 0.5}
        for place, name in enumerate(names)
    ]
    return pairs, tasks


def clusters() -> list[dict]:
    return [
        {"cluster": c, "name": f"{c}: alpha, beta, gamma", "rows": c + 1, "keywords": [], "labels": {"a": c, "b": 1}}
        for c in range(COUNT)
    ]


def big_map() -> go.Figure:
    random = np.random.default_rng(0)
    rows = 60_000
    frame = pd.DataFrame(
        {
            "row": range(rows),
            "cluster": random.integers(-1, COUNT, size=rows),
            "x": random.normal(size=rows),
            "y": random.normal(size=rows),
        }
    )
    return plots.cluster_map(frame, pd.Series(["a text"] * rows), clusters())


def helped() -> go.Figure:
    rows = [
        {"cluster": c, "task": t, "help": 0.01 * (c == 77), "low": 0.0, "high": 0.1, "verdict": "no difference",
         "wins": 1, "ties": 0, "losses": 0, "units": 1}
        for c in range(COUNT)
        for t in ("trec", "mr")
    ]  # fmt: skip
    return plots.help_map(pd.DataFrame(rows), {})


def sliced() -> go.Figure:
    rows = [
        {"slice": f"{c}: words", "method": method, "accuracy": 0.5, "low": 0.4, "high": 0.6, "rows": c + 1}
        for c in range(COUNT)
        for method in ("PT", "MetaPT")
    ]
    return plots.slice_dots(pd.DataFrame(rows))


FIGURES = {
    "map": big_map,
    "sizes": lambda: plots.cluster_sizes(clusters()),
    "contingency": lambda: plots.contingency_map(pd.DataFrame(1, index=range(COUNT), columns=range(COUNT)), {}, {}),
    "agreement": lambda: plots.agreement_map(*agreements(COUNT)),
    "losses": lambda: plots.meta_loss(meta_lines(COUNT, steps=20), {}),
    "help": helped,
    "slices": sliced,
    "confusion": lambda: plots.confusion_map(pd.DataFrame(1, index=map(str, range(150)), columns=map(str, range(150)))),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_of_hundreds_stays_small(name: str) -> None:
    figure = FIGURES[name]()
    assert len(figure.data) <= 60 and len(figure.layout.annotations or ()) <= 60
    assert (figure.layout.height or 0) <= (1_600 if name == "confusion" else TALLEST)
    assert len(figure.to_json()) < HEAVIEST


def test_many_tasks_that_agree_stand_side_by_side() -> None:
    figure = plots.agreement_map(*agreements(60))
    (heat,) = traces(figure)
    cosines = np.array(heat["z"])
    assert cosines.shape == (60, 61) and np.isnan(np.diag(cosines)).all()
    block = cosines[:30, :30][~np.eye(30, dtype=bool)]
    assert (block == np.float32(0.8)).all() and (cosines[:30, 30:60] == np.float32(-0.4)).all()
    assert len({int(name.split(":")[0]) % 2 for name in heat["y"][:30]}) == 1, "names go with their rows"
    assert len(set(heat["x"])) == 61 and heat["x"][-1].startswith("trec")
    # What is drawn is what the pairs say, cell by cell.
    even = {name for name in heat["y"] if int(name.split(":")[0]) % 2 == 0}
    assert all((value > 0) == (name in even) for name, value in zip(heat["y"], cosines[:, -1], strict=True))


def test_of_many_clusters_left_out_those_that_matter_are_shown() -> None:
    figure = helped()
    assert len(figure.data[0].z) == 30 and "77" in figure.layout.yaxis.ticktext
    assert "30 of 512 clusters" in figure.layout.title.text.replace("<br>", " ")


def test_of_many_slices_the_largest_are_shown() -> None:
    figure = sliced()
    assert figure.layout.title.text == "the 30 largest of 512 slices"
    assert len(figure.data[0].y) == 30 and "511: words (512)" in figure.data[0].y
