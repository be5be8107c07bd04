"""Pages of a study whose data seeds have starts of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from looking import charts, said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig, parse
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]
OF_CLUSTERS = {"kind": "metapt", "clustering": "kmeans"}
METHODS = [
    {"name": "PT", "kind": "pt"},
    {"name": "CT", "kind": "pt", "init": "demonstrations"},
    {"name": "HSML", **OF_CLUSTERS, "learner": "hsml", "families": 2},
    {"name": "Per cluster", **OF_CLUSTERS, "learner": "prompt_per_cluster", "tuning": {"mixture": "best"}},
]


@pytest.fixture(scope="module")
def begun(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("begun")
    evaluation = {"tasks": [str(world / "mood.yaml")], "steps": 2, "curve_steps": [0, 2], "test_rows": 8}
    tree = tiny.study_tree(world, methods=METHODS, evaluation=evaluation, prompt={"length": 12})
    Study(parse(StudyConfig, tree, "test"), workspace).run()
    return workspace


def test_the_few_shot_page_says_what_each_data_seed_began_from(begun: Path, show: Open) -> None:
    at = show(begun, "fewshot")
    assert not at.exception and not at.error
    table = tab(at, "scores", "Where tuning began").dataframe[0].value
    assert table.groupby("method").size().to_dict() == {"CT": 2, "HSML": 2, "Per cluster": 2}
    of = {method: rows["began from"].iloc[0] for method, rows in table.groupby("method")}
    assert "2 of its 8 few-shot rows" in of["CT"] and "texts cut" in of["CT"]
    assert of["HSML"].startswith("family ") and of["HSML"].endswith(" by gate")
    assert of["Per cluster"].endswith("(1.00) by best")


@pytest.mark.parametrize("page", ["pretraining", "lens", "compare", "export"])
def test_other_pages_open(page: str, begun: Path, show: Open) -> None:
    at = show(begun, page)
    assert not at.exception and not at.error, said(at)


def test_a_task_of_its_own_prompt_has_a_panel(begun: Path, show: Open) -> None:
    at = show(begun, "pretraining")
    at.selectbox(key="method").select("Per cluster").run()
    assert not at.exception and not at.error, said(at)
    assert any("own prompt" in caption.value for caption in at.caption)
    names = {trace.get("name") for chart in charts(at) for trace in chart["data"]}
    assert "all rows, at the task's own prompt" in names
