"""The report's figures: what they say can be read from the SVG, and equal figures are equal files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pandas as pd

from metapt_explore.plots.series import Difference
from metapt_explore.reporting.figures import difference_forest, paired_means, seed_spread, tuning_curves

METHODS = ["PT", "PPT"]


def results() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "task": task,
                "method": method,
                "init_seed": seed,
                "data_seed": seed,
                "accuracy": 0.5 + 0.1 * i + 0.01 * seed,
            }
            for task in ("sst-2", "a & b")
            for i, method in enumerate(METHODS)
            for seed in range(3)
        ]
    )


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]


def test_points_of_every_task_and_their_mean() -> None:
    svg = seed_spread(results(), METHODS)
    assert svg == seed_spread(results(), METHODS)
    assert {"sst-2", "a & b", "mean over tasks", "PT", "PPT"} <= set(texts(svg))
    assert not re.search(r"\d{4}-\d\d-\d\dT", svg)


def test_a_line_for_each_pair() -> None:
    found = texts(paired_means(results(), METHODS))
    assert "51.0 ± 1.0" in found and "61.0 ± 1.0" in found


def test_start_curves_use_test_scores_only() -> None:
    curves = pd.DataFrame(
        [
            {
                "task": "t",
                "method": m,
                "step": s,
                "init_seed": 0,
                "data_seed": 1,
                "test_accuracy": None if s == 7 else 0.5,
            }
            for m in METHODS
            for s in (0, 5, 7)
        ]
    )
    found = texts(tuning_curves(curves, METHODS))
    assert "5" in found and "7" not in found


def test_forest() -> None:
    lines = [Difference("t", 1.0, -1.0, 3.0), Difference("mean", 2.0, 1.0, 3.0, overall=True)]
    found = texts(difference_forest({"MetaPT against PPT": lines}))
    assert "MetaPT against PPT" in found and "mean" in found
