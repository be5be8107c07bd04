"""The Few-shot page of a paired study with baselines, some of which have no initialisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tiny
from looking import charts, said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.config import BaselineConfig, StudyConfig, parse
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]


def drawn(at: AppTest) -> set[str]:
    """Methods in the spread over seeds."""
    spread = next(chart for chart in charts(at) if any("initialisation seed" in str(t) for t in chart["data"]))
    return {trace["name"] for trace in spread["data"]} - {"mean", "same seeds"}


def test_paired_seeds_and_baselines(world: Path, tmp_path: Path, show: Open) -> None:
    methods = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
    evaluation = {"data_seeds": [1, 2], "init_seeds": [0, 1, 2], "pairing": "paired", "more_shots": [2]}
    changes = {"methods": methods, "evaluation": evaluation, "baselines": ["majority", "tfidf"]}
    Study(parse(StudyConfig, tiny.study_tree(world, **changes), "test"), tmp_path).run()
    at = show(tmp_path, "fewshot")
    assert not at.exception and not said(at, "error")
    assert said(at, "warning").startswith("3 pairs of a data seed and an initialisation seed: this proves nothing")
    table = tab(at, "scores", "Start and worst").dataframe[0].value
    assert {"PT", "PPT", "majority", "tfidf"} <= set(table["method"])
    assert set(table.loc[table["method"] == "PPT", "seeds"]) == {3}
    # Baselines may lie far below: they are drawn where they are asked for.
    assert drawn(tab(at, "scores", "Seeds")) == {"PT", "PPT"}
    assert drawn(at.toggle(key="spread_of_baselines").set_value(True).run()) == {"PT", "PPT", "majority", "tfidf"}
    # At two numbers of examples a point each; what is laid beside can be chosen.
    tab(at, "scores", "Examples")
    scores, ahead = (chart for chart in charts(at) if "labelled examples" in str(chart["layout"].get("xaxis")))
    points = {trace["name"]: len(trace["x"]) for trace in scores["data"]}
    assert points == dict.fromkeys(["PT", "PPT", "majority", "tfidf"], 2)
    assert {trace["name"] for trace in ahead["data"]} == {"PPT", "majority", "tfidf"}
    chosen = at.selectbox(key="efficiency_baseline_tiny")
    assert chosen.value == "PT"
    needs = next(frame.value for frame in at.dataframe if "PT needs" in frame.value)
    assert set(needs["labels"]) == {"cannot be told"} and len(needs) == 6
    at = chosen.set_value("majority").run()
    assert any("majority needs" in frame.value for frame in at.dataframe) and not at.exception
    assert not show(tmp_path, "start").exception
    # A baseline more: the grid shows what is there of each, a baseline without initialisation counting once.
    workspace = Workspace(tmp_path)
    config = workspace.study_config("tiny")
    zero_shot = BaselineConfig(name="zero_shot", kind="zero_shot")
    workspace.save_study(config.model_copy(update={"baselines": [*config.baselines, zero_shot]}))
    at = show(tmp_path, "fewshot")
    # Two methods at two numbers of examples, three seeds and two tasks; two baselines at both, and one more.
    assert "32 of 36 scores are finished" in said(at, "info")
    grid = next(frame.value for frame in at.dataframe if len(frame.value) == 10).set_index("method")
    late = grid.index.str.startswith("zero_shot")
    assert grid[late].eq(0).all(axis=None) and grid[~late].eq(1).all(axis=None) and late.sum() == 2
    names = ["PT", "PPT", "majority", "tfidf", "zero_shot"]
    assert list(grid.index) == [*names, *(f"{name}, 2 examples" for name in names)]


def test_a_pretraining_for_each_number_of_examples(world: Path, tmp_path: Path, show: Open) -> None:
    tree = tiny.study_tree(world, methods=[{"name": "PPT", "kind": "ppt"}], evaluation={"more_shots": [1]})
    tree["pretraining"] = {"steps": 2, "meta_batch_size": 2, "support_shots": "match", "inner_lr": 0.5}
    Study(parse(StudyConfig, tree, "test"), tmp_path).run(until="prompts")
    at = show(tmp_path, "pretraining")
    assert not at.exception
    numbers = at.selectbox(key="pretrained_at")
    # Two steps of two tasks: eight query rows, and four or one support rows of each of two classes.
    assert numbers.options == ["4", "1"] and at.metric[2].value == str(2 * 2 * (8 + 8))
    at = numbers.set_value(1).run()
    assert at.metric[2].value == str(2 * 2 * (8 + 2)) and not at.exception
