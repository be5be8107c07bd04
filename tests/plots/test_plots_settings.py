"""Settings against score, and what a study's sweep is."""

from __future__ import annotations

import pandas as pd
import pytest

from metapt_explore import plots
from metapt_explore.plots.settings import importance_bars, parallel_settings
from metapt_explore.reporting.settings import swept_settings

STUDY = {
    "clusterings": [{"name": f"k-{k}", "algorithm": "kmeans", "n_clusters": k} for k in (4, 8)],
    "methods": [
        {"name": "PT", "kind": "pt"},
        *(
            {"name": f"M{k}{rate}", "kind": "metapt", "clustering": f"k-{k}", **({"inner_lr": 0.5} if rate else {})}
            for k in (4, 8)
            for rate in ("", "fast")
        ),
    ],
}
METHODS = ["M4", "M4fast", "M8", "M8fast"]


def test_a_sweep_is_what_meta_learned_methods_differ_in() -> None:
    found = swept_settings(STUDY, ["PT", *METHODS])
    assert found.to_dict("list") == {
        "inner lr": ["default", "0.5", "default", "0.5"],
        "clusters n clusters": [4, 4, 8, 8],
    }
    assert found.index.tolist() == METHODS
    assert swept_settings(STUDY, METHODS[:3]).empty  # three methods are no sweep


def test_a_line_is_a_method_from_its_settings_to_its_score() -> None:
    scores = dict(zip(METHODS, [0.5, 0.7, 0.6, 0.9], strict=True))
    figure = parallel_settings(swept_settings(STUDY, METHODS), scores)
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    # Drawn from the worst to the best, so that the best lies on top; heights by the order of values, and of scores.
    assert [line.name for line in lines] == ["M4", "M8", "M4fast", "M8fast"]
    assert list(lines[0].y) == [0, 0, 0] and list(lines[-1].y) == [1, 1, 1]
    assert lines[2].y[2] == pytest.approx(0.5) and list(lines[2].text) == ["4", "0.5", "70.0"]
    assert len(plots.figure_table(figure)) == 12
    assert "No method" in parallel_settings(pd.DataFrame(), {}).layout.title.text


def test_shares_are_drawn_with_what_acts_together_only() -> None:
    (bar,) = importance_bars({"rate": 0.6, "order": 0.3}, 0.1).data
    assert list(bar.x) == pytest.approx([60, 30, 10]) and list(bar.y) == ["rate", "order", "together only"]
