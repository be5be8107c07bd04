"""Which methods chose a value at the edge of the grid they were given: they might do better with a wider one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

#: A method is named from this share of its scores on.
NAMED_SHARE = 0.25
#: Settings that dev chooses, columns of the results table, in words.
SETTINGS = {"learning_rate": "learning rate", "step": "number of steps", "c": "C of the logistic regression"}


@dataclass(frozen=True)
class SearchGrid:
    """The values of a setting that dev could choose for a method.

    Attributes:
        method: Its name.
        setting: A column of the results table, a key of `SETTINGS`.
        values: Ascending.
    """

    method: str
    setting: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class GridEdge:
    """How often dev chose the ends of a grid.

    Attributes:
        grid: The grid.
        scores: Scores of which it is known what dev chose.
        lowest: Share of them with the lowest value; None for steps, of which fewer than none cannot be.
        highest: Share of them with the highest.
    """

    grid: SearchGrid
    scores: int
    lowest: float | None
    highest: float

    def beyond(self, share: float = NAMED_SHARE) -> tuple[bool, bool]:
        """Whether the lowest and the highest value were chosen so often."""
        return (self.lowest or 0.0) >= share, self.highest >= share


def grid_edges(results: pd.DataFrame, grids: Sequence[SearchGrid]) -> list[GridEdge]:
    """How often each method's choice lies at an end of its grid.

    Args:
        results: What `results_table` returned.
        grids: What each method could choose from; those with one value, where nothing is chosen, are left out.

    Example:
        >>> table = pd.DataFrame({"method": "PT", "learning_rate": [0.01, 0.1, 0.1, 0.1]})
        >>> found = grid_edges(table, [SearchGrid("PT", "learning_rate", (0.001, 0.01, 0.1))])[0]
        >>> found.lowest, found.highest, found.beyond()
        (0.0, 0.75, (False, True))
    """
    edges = []
    for grid in grids:
        if len(grid.values) < 2 or grid.setting not in results:
            continue
        chosen = results.loc[results["method"] == grid.method, grid.setting].dropna().to_numpy(dtype=float)
        if not len(chosen):
            continue
        lowest = None if grid.setting == "step" else float(np.isclose(chosen, grid.values[0], atol=0).mean())
        edges.append(GridEdge(grid, len(chosen), lowest, float(np.isclose(chosen, grid.values[-1], atol=0).mean())))
    return edges


def edge_sentences(edges: Sequence[GridEdge], share: float = NAMED_SHARE) -> list[str]:
    """Names the methods whose choice often lies at an edge, a sentence for each setting and end.

    Example:
        >>> edge = GridEdge(SearchGrid("PT", "learning_rate", (0.001, 0.01, 0.1)), 70, 0.0, 0.46)
        >>> edge_sentences([edge])
        ['Dev often chose the highest learning rate of the grid: 0.1 for PT (46 % of scores).']
    """
    sentences = []
    for setting, title in SETTINGS.items():
        for end, place in (("lowest", 0), ("highest", -1)):
            by_value: dict[float, list[str]] = {}
            for edge in edges:
                if edge.grid.setting == setting and edge.beyond(share)[place]:
                    chosen = edge.highest if place else edge.lowest or 0.0
                    of_scores = "" if by_value else " of scores"
                    told = f"{edge.grid.method} ({100 * chosen:.0f} %{of_scores})"
                    by_value.setdefault(edge.grid.values[place], []).append(told)
            if by_value:
                told = "; ".join(f"{value:g} for {', '.join(names)}" for value, names in by_value.items())
                sentences.append(f"Dev often chose the {end} {title} of the grid: {told}.")
    return sentences


def lone_rates(grids: Sequence[SearchGrid], methods: Sequence[str]) -> list[str]:
    """Names those of the methods that were given one learning rate where others could choose among several.

    Example:
        >>> grids = [SearchGrid("PT", "learning_rate", (0.01, 0.1)), SearchGrid("SetFit", "learning_rate", (2e-05,))]
        >>> lone_rates(grids, ["SetFit"])
        ['SetFit was given one learning rate (2e-05), others several: it might do better with another.']
    """
    rates = {grid.method: grid.values for grid in grids if grid.setting == "learning_rate"}
    lone = {method: rates[method][0] for method in methods if len(rates.get(method, ())) == 1}
    if not lone or not any(len(values) > 1 for values in rates.values()):
        return []
    named = ", ".join(f"{method} was given one learning rate ({rate:g})" for method, rate in lone.items())
    return [f"{named}, others several: it might do better with another."]


def wider(values: Sequence[float], *, below: bool, above: bool) -> list[float]:
    """A grid with one value more at an end, or at both, by the ratio of the two values there.

    Example:
        >>> wider([0.001, 0.004, 0.016, 0.064], below=False, above=True)
        [0.001, 0.004, 0.016, 0.064, 0.256]
        >>> wider([0.01, 0.003], below=True, above=False)
        [0.0009, 0.003, 0.01]
    """
    ordered = sorted(values)
    low = [float(f"{ordered[0] ** 2 / ordered[1]:.3g}")] if below else []
    high = [float(f"{ordered[-1] ** 2 / ordered[-2]:.3g}")] if above else []
    return [*low, *ordered, *high]
