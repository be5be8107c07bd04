"""Choices at the edge of a grid, against counting by hand."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.statistics.grid_edges import GridEdge, SearchGrid, edge_sentences, grid_edges, lone_rates, wider

RATES = (0.001, 0.01, 0.1)


def scores(**chosen: list[float | None]) -> pd.DataFrame:
    rows = [(method, rate, 30) for method, rates in chosen.items() for rate in rates]
    return pd.DataFrame(rows, columns=["method", "learning_rate", "step"])


def test_shares_are_of_the_scores_whose_choice_is_known() -> None:
    table = scores(PT=[0.001, 0.1, 0.1, None], PPT=[0.01] * 4, tfidf=[None] * 4)
    grids = [SearchGrid(method, "learning_rate", RATES) for method in ("PT", "PPT", "tfidf", "not run")]
    found = {edge.grid.method: (edge.scores, edge.lowest, edge.highest) for edge in grid_edges(table, grids)}
    assert found == {"PT": (3, pytest.approx(1 / 3), pytest.approx(2 / 3)), "PPT": (4, 0.0, 0.0)}


def test_steps_have_one_edge_and_single_values_none() -> None:
    table = scores(PT=[0.01] * 3)
    steps = grid_edges(table, [SearchGrid("PT", "step", (0.0, 10.0, 30.0))])[0]
    assert (steps.lowest, steps.highest, steps.beyond()) == (None, 1.0, (False, True))
    assert grid_edges(table, [SearchGrid("PT", "learning_rate", (0.01,)), SearchGrid("PT", "c", (1.0, 2.0))]) == []


def test_methods_are_named_by_setting_end_and_value() -> None:
    def edge(method: str, setting: str, lowest: float, highest: float, values: tuple[float, ...] = RATES) -> GridEdge:
        return GridEdge(SearchGrid(method, setting, values), 10, lowest, highest)

    edges = [
        edge("PT", "learning_rate", 0, 0.46),
        edge("LoRA", "learning_rate", 0, 0.6, (0.0001, 0.003)),
        edge("PPT", "learning_rate", 0.3, 0.24),
        edge("TF-IDF", "c", 0.5, 0.0, (0.01, 100.0)),
    ]
    assert edge_sentences(edges) == [
        "Dev often chose the lowest learning rate of the grid: 0.001 for PPT (30 % of scores).",
        "Dev often chose the highest learning rate of the grid: 0.1 for PT (46 % of scores); 0.003 for LoRA (60 %).",
        "Dev often chose the lowest C of the logistic regression of the grid: 0.01 for TF-IDF (50 % of scores).",
    ]
    assert edge_sentences(edges, share=0.7) == []


def test_one_rate_beside_several_is_named() -> None:
    grids = [SearchGrid("SetFit", "learning_rate", (2e-5,)), SearchGrid("PT", "learning_rate", (0.01,))]
    assert lone_rates(grids, ["SetFit"]) == []
    assert "SetFit was given one" in lone_rates([*grids, SearchGrid("PPT", "learning_rate", RATES)], ["SetFit"])[0]


@given(
    st.lists(st.integers(-5, 5), min_size=2, max_size=6, unique=True), st.booleans(), st.booleans(), st.floats(1.5, 10)
)
def test_a_wider_grid_holds_the_old_one_and_goes_on_by_its_ratio(
    powers: list[int], below: bool, above: bool, ratio: float
) -> None:
    values = [ratio**power for power in powers]
    found = wider(values, below=below, above=above)
    assert found == sorted(found) and set(values) <= set(found) and len(found) == len(values) + below + above
    if above:
        assert found[-1] / found[-2] == pytest.approx(sorted(values)[-1] / sorted(values)[-2], rel=0.01)
