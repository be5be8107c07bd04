"""The Few-shot page of a paired study with baselines, some of which have no initialisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tiny
from looking import charts, said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig, parse
from metapt_explore.runs.study import Study

Open = Callable[..., AppTest]


def test_paired_seeds_and_baselines(world: Path, tmp_path: Path, show: Open) -> None:
    methods = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
    evaluation = {"data_seeds": [1, 2], "init_seeds": [0, 1, 2], "pairing": "paired", "more_shots": [2]}
    changes = {"methods": methods, "evaluation": evaluation, "baselines": ["majority", "tfidf"]}
    Study(parse(StudyConfig, tiny.study_tree(world, **changes), "test"), tmp_path).run()
    at = show(tmp_path, "fewshot")
    assert not at.exception and not said(at, "error")
    assert said(at, "warning").startswith("3 pairs of a data seed and an initialisation seed: this proves nothing")
    table = at.dataframe[0].value
    assert {"PT", "PPT", "majority", "tfidf"} <= set(table["method"])
    assert set(table.loc[table["method"] == "PPT", "seeds"]) == {3}
    assert len(charts(at)) >= 2
    assert not show(tmp_path, "start").exception
