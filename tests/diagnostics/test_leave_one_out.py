"""Leaving clusters out: ids move only where it is asked for, help is worked out by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
from scipy import stats

from metapt_explore.cli.main import main
from metapt_explore.config import StudyConfig, load_study, parse, to_yaml
from metapt_explore.diagnostics.leave_one_out import ALL_TASKS, format_help, help_table, leave_one_out, left_out
from metapt_explore.errors import UserError
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.record import record_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

METAPT: dict[str, Any] = {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}


def study_of(world: Path, workspace: Path, *methods: dict[str, Any], **changes: Any) -> Study:
    tree = tiny.study_tree(world, **{"name": "without", "methods": list(methods or [METAPT]), **changes})
    return Study(parse(StudyConfig, tree, "test"), workspace)


def test_ids_move_only_where_a_cluster_is_left_out(world: Path, finished: Path, tmp_path: Path) -> None:
    study = study_of(
        world,
        tmp_path,
        METAPT,
        {**METAPT, "name": "empty", "without": []},
        {**METAPT, "name": "less", "without": [1]},
        {**METAPT, "name": "others", "without": [0]},
        {**METAPT, "name": "one", "only": [1]},
        {"name": "one pool", "kind": "ppt", "clustering": "kmeans", "only": [1]},
    )
    ids = {method.name: study.prompt(method.name).id for method in study.config.methods}
    assert ids["MetaPT"] == ids["empty"] == Study(world / "tiny.yaml", finished).prompt("MetaPT").id
    assert len(set(ids.values())) == 5
    whole = study.auxiliary_tasks("kmeans").table("tasks")
    less = study.tasks_of(study.config.method("less"))
    pd.testing.assert_frame_equal(less.table("tasks"), whole[whole["task"] != 1].reset_index(drop=True))
    assert less.summary["tasks"] == 3 and "1" not in less.summary["sizes"]
    assert less.summary["counts"]["left_out"] == (whole["task"] == 1).sum()
    assert sum(less.summary["counts"].values()) == study.texts().summary["kept"]
    one = study.tasks_of(study.config.method("one")).table("tasks")
    assert set(one["task"]) == {1} and len(one) == (whole["task"] == 1).sum()
    # All spend the same; the list of the study keeps the entry of all tasks.
    assert len({study.prompt(name).summary["row_passes"] for name in ids}) == 1
    entries = [e["clustering"] for e in study.workspace.index("without") if e["kind"] in ("tasks", "some tasks")]
    assert set(entries) == {"kmeans", "kmeans without 1", "kmeans without 0", "kmeans only 1"}


def test_a_left_out_cluster_is_never_drawn(world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, {**METAPT, "without": [2, 0]}, evaluation={"tasks": [str(world / "mood.yaml")]})
    study.fewshot("MetaPT", "mood")
    texts = lineage(Workspace(tmp_path), "without", "MetaPT", "mood", data_seed=1, init_seed=0).texts()
    assert set(texts.loc[texts["drawn"] > 0, "cluster"]) == {1, 3}
    assert set(texts["cluster"]) == {0, 1, 2, 3} and texts["auxiliary_task"].dropna().isin([1, 3]).all()


def test_tasks_of_several_clusterings_are_left_out_by_their_own_numbers(world: Path, tmp_path: Path) -> None:
    joined = {**METAPT, "clustering": ["kmeans", "topics"]}
    evaluation = {"tasks": [str(world / "mood.yaml")]}
    study = study_of(world, tmp_path, joined, {**joined, "name": "less", "without": [5]}, evaluation=evaluation)
    names = study.task_names(["kmeans", "topics"])
    assert len(names) == 8 and names[0].startswith("kmeans 0") and names[4].startswith("topics 0")
    study.fewshot("less", "mood")
    texts = lineage(Workspace(tmp_path), "without", "less", "mood", data_seed=1, init_seed=0).texts()
    drawn = texts[texts["drawn"] > 0]
    assert 5 not in set(drawn["auxiliary_task"]) and {"cluster_2", "cluster_name_2"} <= set(texts.columns)
    # Tasks 0 to 3 are those of kmeans, 4 to 7 those of the topics.
    first = texts["auxiliary_task"] < 4
    assert (texts.loc[first, "auxiliary_task"] == texts.loc[first, "cluster"]).all()
    second = texts["auxiliary_task"] >= 4
    assert second.any() and (texts.loc[second, "auxiliary_task"] - 4 == texts.loc[second, "cluster_2"]).all()
    found = study.agreement(clustering=["kmeans", "topics"])
    assert [task["name"] for task in found.summary["tasks"]] == [*names.values(), "mood"]
    # What is listed with two clusterings is read like any other.
    assert len(study.results()) == 2
    assert set(record_of(study.workspace, "without").agreement["clustering"]) == {"kmeans + topics"}
    assert [method.without for method in study.leave_one_out("MetaPT").methods] == [[], *([k] for k in range(8))]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"without": [7]}, "method 'MetaPT': `without`: 'kmeans' has no cluster 7; its auxiliary tasks are 0, 1, 2, 3"),
        ({"only": [-1]}, "`only`: 'kmeans' has no cluster -1"),
        ({"without": [0, 1, 2, 3]}, "leaves out every auxiliary task"),
    ],
)
def test_clusters_that_do_not_exist_are_refused(
    world: Path, tmp_path: Path, method: dict[str, Any], message: str
) -> None:
    study = study_of(world, tmp_path, {**METAPT, **method})
    with pytest.raises(UserError, match=message):
        study.prompt("MetaPT")


def test_a_cluster_that_is_too_small_for_a_task_is_refused_with_the_reason(world: Path, tmp_path: Path) -> None:
    whole = study_of(world, tmp_path, METAPT)
    smallest = min(cluster["rows"] for cluster in whole.clusters("kmeans").summary["clusters"])
    auxiliary = {"min_size": smallest + 1}
    study = study_of(world, tmp_path, {**METAPT, "without": [3]}, auxiliary_tasks=auxiliary)
    with pytest.raises(UserError, match=f"cluster 3 of 'kmeans' is no auxiliary task .*min_size is {smallest + 1}"):
        study.prompt("MetaPT")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "PPT", "kind": "ppt", "without": [0]}, "go with `clustering`"),
        ({**METAPT, "without": [0], "only": [1]}, "not both"),
    ],
)
def test_settings_that_make_no_sense_are_refused(world: Path, method: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(StudyConfig, tiny.study_tree(world, methods=[method]), "test")


def test_clusters_as_classes_cannot_be_left_out(world: Path) -> None:
    tree = tiny.study_tree(world, methods=[{**METAPT, "without": [0]}], auxiliary_tasks={"classes": "clusters"})
    with pytest.raises(UserError, match="a task is made of several clusters"):
        parse(StudyConfig, tree, "test")


# ------------------------------------------------------------------------------------- the expansion


def test_the_expanded_study_is_one_that_can_be_read_back(tmp_path: Path) -> None:
    tour = load_study("tour")
    found = leave_one_out(tour, "MetaPT", [0, 2, 5])
    assert [method.without for method in found.methods] == [[], [0], [2], [5]]
    assert found.methods[0] == tour.method("MetaPT")
    rest = {"name", "title", "methods"}
    assert found.model_dump(exclude=rest) == tour.model_dump(exclude=rest)
    file = tmp_path / "study.yaml"
    file.write_text(to_yaml(found), encoding="utf-8")
    assert load_study(file) == found
    assert left_out(found, "MetaPT") == {0: "MetaPT without 0", 2: "MetaPT without 2", 5: "MetaPT without 5"}
    with pytest.raises(UserError, match="'PT' has no `clustering`"):
        leave_one_out(tour, "PT", [0, 1])
    with pytest.raises(UserError, match="a single cluster"):
        leave_one_out(tour, "MetaPT", [3])
    with pytest.raises(UserError, match="learns from some clusters already"):
        leave_one_out(found, "MetaPT without 0", [2, 5])


def scores(*rows: tuple[str, str, int, int, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["method", "task", "init_seed", "data_seed", "accuracy"])


def test_help_is_worked_out_by_hand() -> None:
    """Independent pairs of seeds: the paired t-test of scipy; the sign says that the cluster helps."""
    with_all, without = [0.80, 0.82, 0.78, 0.81, 0.79, 0.83], [0.75, 0.79, 0.74, 0.74, 0.76, 0.80]
    other = [0.81, 0.80, 0.79, 0.80, 0.80, 0.82]
    rows = [("M", "t", s, s, value) for s, value in enumerate(with_all)]
    rows += [("M-0", "t", s, s, value) for s, value in enumerate(without)]
    rows += [("M-1", "t", s, s, value) for s, value in enumerate(other)]
    table = help_table(scores(*rows), "M", {0: "M-0", 1: "M-1", 2: "M-2"})
    first = table.query("cluster == 0 and task == 't'").iloc[0]
    expected = stats.ttest_rel(with_all, without)
    low, high = expected.confidence_interval(0.95)
    assert first["help"] == pytest.approx(0.25 / 6)
    assert (first["low"], first["high"]) == pytest.approx((low, high))
    assert first["p"] == pytest.approx(expected.pvalue)
    assert first["p_holm"] == pytest.approx(2 * expected.pvalue) and first["verdict"] == "helps"
    assert (first["wins"], first["ties"], first["losses"], first["units"]) == (6, 0, 0, 6)
    second = table.query("cluster == 1 and task == 't'").iloc[0]
    assert (second["wins"], second["ties"], second["losses"]) == (3, 0, 3) and second["verdict"] == "cannot tell"
    assert set(table["cluster"]) == {0, 1} and list(table["task"]) == ["t", ALL_TASKS] * 2
    assert format_help(table, {0: "0: phones"})[0] == "t: 0: phones helps (+4.2 points)."


def test_few_units_and_crossed_seeds_are_not_oversold() -> None:
    few = [(m, "t", s, s, v + s / 1000 * (m == "M")) for m, v in (("M", 0.9), ("M-0", 0.5)) for s in range(3)]
    assert set(help_table(scores(*few), "M", {0: "M-0"})["verdict"]) == {"cannot tell"}
    # Crossed: what initialisations share makes the interval wider than that of independent units.
    differences = {0: 0.10, 1: -0.06}
    crossed = [
        (m, "t", i, d, 0.7 + (differences[i] + d / 1000 if m == "M" else 0.0)) for m in ("M", "M-0") for i in (0, 1)
        for d in range(4)
    ]  # fmt: skip
    row = help_table(scores(*crossed), "M", {0: "M-0"}).iloc[0]
    naive = stats.ttest_1samp([differences[i] + d / 1000 for i in (0, 1) for d in range(4)], 0)
    assert row["high"] - row["low"] > 2 * (naive.confidence_interval().high - naive.confidence_interval().low)
    assert help_table(pd.DataFrame(), "M", {0: "M-0"}).empty
    # One pre-training with the cluster and one without, on five few-shot samples; then two of each.
    for inits in ((0,), (0, 1)):
        one = [(m, "t", i, d, v + d / 1000) for m, v in (("M", 0.9), ("M-0", 0.5)) for i in inits for d in range(5)]
        assert set(help_table(scores(*one), "M", {0: "M-0"})["verdict"]) == {"cannot tell"}


def test_the_command_writes_runs_and_says(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["metapt", "leave-one-out", *map(str, words), "--workspace", str(tmp_path)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        return capsys.readouterr().out

    said = call(world / "tiny.yaml", "--method", "MetaPT")
    file = tmp_path / "studies" / "tiny" / "tiny-MetaPT-leave-one-out.yaml"
    assert str(file) in said and f"Run it: metapt run {file}" in said
    said = call(world / "tiny.yaml", "--method", "MetaPT", "--run")
    assert "accuracy with all clusters minus without this one" in said
    assert "cannot tell of any cluster" in said and "fewer rows" in said
    results = Study(file, tmp_path).results()
    assert results["method"].nunique() == 5
    table = help_table(results, "MetaPT", left_out(load_study(file), "MetaPT"))
    scores = results.groupby(["method", "task"])["accuracy"].mean()
    for row in table[table["task"] != ALL_TASKS].to_dict(orient="records"):
        expected = scores["MetaPT", row["task"]] - scores[f"MetaPT without {row['cluster']}", row["task"]]
        assert row["help"] == pytest.approx(expected)
