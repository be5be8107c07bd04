"""The Compare page: verdicts, any two methods, and from a score to its texts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import handmade
import pandas as pd
import pytest
from looking import charts, said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig
from metapt_explore.reporting.side_by_side import side_by_side
from metapt_explore.results.tables import results_table
from metapt_explore.statistics import compare
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


def no_error_but_missing_rows(at: AppTest) -> bool:
    """The workspace written by hand has no few-shot rows, which the last part of the page says."""
    return not at.exception and all("few-shot rows behind this score" in said_one for said_one in errors(at))


def errors(at: AppTest) -> list[str]:
    return [str(box.value).replace("\\", "") for box in at.error]


def test_the_studys_question_and_any_two_methods(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "compare")
    assert no_error_but_missing_rows(at)
    found = compare(results_table(demo, handmade.NAME), "MetaPT", "PPT")
    told = said(at, "markdown")
    assert found.verdict in told and found.sentence.split(" ")[0] in told
    tab(at, "compare", "Questions")
    questions = next(frame.value for frame in at.dataframe if "comparison" in frame.value)
    assert questions["comparison"].tolist()[0] == "MetaPT − PPT"
    # 0.70 and 0.75 against 0.55 and 0.65: 12.5 points in the mean, by hand.
    assert questions["difference"].tolist()[0] == "+12.5"
    at.selectbox(key="second_demo").set_value(("demo", "PT"))
    tab(at, "compare", "Seeds")
    assert no_error_but_missing_rows(at)
    forest, paired = charts(at)[:2]
    assert [trace["x"][0] for trace in forest["data"]] == pytest.approx([17.5, 17.5])
    assert forest["data"][-1]["y"] == ["mean over tasks"]
    assert paired["data"][0]["y"] == pytest.approx([50.0, 70.0]) and paired["data"][1]["y"] == pytest.approx(
        [60.0, 75.0]
    )


def test_one_method_is_not_compared_with_itself(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "compare")
    at.selectbox(key="second_demo").set_value(("demo", "MetaPT")).run()
    assert not at.exception and "two different methods" in said(at, "info")


def test_a_score_leads_to_its_texts(show: Open, copied: Workspace) -> None:
    at = tab(show(copied.folder, "compare"), "compare", "Trace")
    assert not at.exception and not at.error
    tree = next(code.value for code in at.code if "fewshot-" in code.value)
    assert "clusters-" in tree and "texts-" in tree and "metapt lineage" in tree
    texts = next(frame.value for frame in at.dataframe if "drawn" in frame.value)
    assert texts["drawn"].is_monotonic_decreasing and texts["drawn"].iloc[0] > 0
    rows = next(frame.value for frame in at.dataframe if set(frame.value) == {"split", "text", "label"})
    assert set(rows["split"]) == {"train", "dev", "test"}


def test_without_a_score_it_says_so(show: Open, demo: Workspace, running: Callable[..., Path]) -> None:
    running(demo, handmade.NAME, 2)
    kept = [entry for entry in demo.index(handmade.NAME) if entry["kind"] != "fewshot"]
    write_json(demo.study_folder(handmade.NAME) / "index.json", kept)
    at = show(demo.folder, "compare")
    assert not at.exception and "the study is running" in said(at, "info")


# --------------------------------------------------------------------------------- two studies


def second_study(demo: Workspace, other_rows: bool) -> None:
    """The same scores once more under another name, on the same or on other few-shot rows."""
    out = handmade.Writer(demo)
    splits = [out.artifact("split", number, {"warnings": []}, task="trec") for number in (0, 1)]
    demo.save_study(handmade.config().model_copy(update={"name": "again"}))
    rest = [entry for entry in demo.index(handmade.NAME) if entry["kind"] != "split"]
    for name, split in ((handmade.NAME, splits[0]), ("again", splits[int(other_rows)])):
        entry = {"kind": "split", "id": split, "title": "", "task": "trec"}
        write_json(demo.study_folder(name) / "index.json", [*rest, entry])


def test_methods_of_two_studies_on_the_same_rows(show: Open, demo: Workspace) -> None:
    second_study(demo, other_rows=False)
    both = side_by_side(demo, ("demo", "MetaPT"), ("again", "PT"))
    assert both.notes == [] and (both.first, both.second) == ("demo: MetaPT", "again: PT")
    assert compare(both.results, both.first, both.second).difference == pytest.approx(0.175)
    at = show(demo.folder, "compare", "demo")
    at.selectbox(key="second_demo").set_value(("again", "PT")).run()
    assert no_error_but_missing_rows(at) and "again: PT" in said(at, "markdown")


def test_the_pair_follows_the_scores_that_come_in_until_one_is_chosen(show: Open, demo: Workspace) -> None:
    """With its first scores a study has one method only, and another study's stands against it."""
    second_study(demo, other_rows=False)
    file, whole = demo.study_folder("demo") / "index.json", demo.index("demo")
    write_json(file, [entry for entry in whole if entry.get("method") in (None, "PT")])
    at = show(demo.folder, "compare", "demo")
    pair = [at.selectbox(key=f"{which}_demo") for which in ("first", "second")]
    assert "again" in [box.value[0] for box in pair]
    write_json(file, whole)
    at.run()
    pair = [at.selectbox(key=f"{which}_demo") for which in ("first", "second")]
    assert [box.value for box in pair] == [("demo", "MetaPT"), ("demo", "PPT")]
    pair[1].set_value(("again", "PT")).run()
    at.run()
    assert at.selectbox(key="second_demo").value == ("again", "PT") and not at.exception


def test_methods_of_two_studies_on_other_rows_are_not_compared(demo: Workspace) -> None:
    second_study(demo, other_rows=True)
    both = side_by_side(demo, ("demo", "MetaPT"), ("again", "PT"))
    assert both.results.empty and "other few-shot rows there: trec" in both.notes[0]


def swept(demo: Workspace) -> None:
    """Makes PPT and MetaPT of the study one method under two clustering seeds."""
    tree = handmade.config().model_dump(mode="json", exclude_unset=True)
    clustering, (pt, _, meta) = tree["clusterings"][0], tree["methods"]
    tree["clusterings"] = [{**clustering, "name": f"kmeans-s{seed}", "seed": seed} for seed in (0, 1)]
    tree["methods"] = [pt, *({**meta, "name": f"MetaPT-s{seed}", "clustering": f"kmeans-s{seed}"} for seed in (0, 1))]
    names = {"PT": "PT", "PPT": "MetaPT-s0", "MetaPT": "MetaPT-s1"}
    entries = [entry | {"method": names.get(entry.get("method", ""))} for entry in demo.index("demo")]
    demo.save_study(StudyConfig.model_validate(tree))
    write_json(demo.study_folder("demo") / "index.json", entries)


def test_a_method_under_several_clustering_seeds_is_offered_as_one(show: Open, demo: Workspace) -> None:
    swept(demo)
    both = side_by_side(demo, ("demo", "MetaPT"), ("demo", "PT"))
    assert both.stands_for == (["MetaPT-s0", "MetaPT-s1"], []) and both.notes == []
    # Means of two draws, 0.625 and 0.70, against 0.50 and 0.60.
    assert compare(both.results, "MetaPT", "PT").difference == pytest.approx(0.1125)
    assert "not independent" in side_by_side(demo, ("demo", "MetaPT"), ("demo", "MetaPT-s1")).notes[0]
    at = show(demo.folder, "compare")
    # What joins several stands before the first of them.
    assert at.selectbox(key="first_demo").options == ["PT", "MetaPT", "MetaPT-s0", "MetaPT-s1"]
    assert not at.exception and at.selectbox(key="first_demo").value == ("demo", "MetaPT")
    assert "stands for MetaPT-s0, MetaPT-s1: choose one of them" in said(tab(at, "compare", "Trace"), "info")


def test_a_joined_method_without_a_score_is_not_offered(show: Open, demo: Workspace) -> None:
    swept(demo)
    index = demo.study_folder("demo") / "index.json"
    write_json(index, [entry for entry in demo.index("demo") if not str(entry["method"]).startswith("MetaPT")])
    at = show(demo.folder, "compare")
    assert not at.exception and "only one method" in said(at, "info")


def test_compared_by_macro_f1(show: Open, demo: Workspace, tmp_path: Path) -> None:
    folder = shutil.copytree(demo.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*.lock", ".lock"))
    for file in folder.glob("artifacts/fewshot-*/results.parquet"):
        table = pd.read_parquet(file)
        table.assign(macro_f1=1 - table["accuracy"]).to_parquet(file, index=False)
    at = show(folder, "compare")
    at.segmented_control(key="metric_demo").set_value("macro_f1").run()
    tab(at, "compare", "Questions")
    questions = next(frame.value for frame in at.dataframe if "comparison" in frame.value)
    # By accuracy it is 12.5 points ahead.
    assert questions["difference"].tolist()[0] == "−12.5"
    assert "macro F1" in said(at, "markdown")
