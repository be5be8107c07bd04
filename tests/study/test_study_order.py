"""Results stand in the study's order, whatever was computed first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import Record, record_of
from metapt_explore.results.study_order import StudyOrder
from metapt_explore.results.tables import curves_table, results_table, summary_table
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace


@pytest.fixture(scope="module")
def copied(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(shutil.copytree(finished, tmp_path_factory.mktemp("order") / "workspace"))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_order_of_the_list_is_no_information(copied: Workspace, finished: Path, data: st.DataObject) -> None:
    original = Workspace(finished)
    shuffled = data.draw(st.permutations(original.index("tiny")))
    write_json(copied.study_folder("tiny") / "index.json", shuffled)
    for made in (results_table, curves_table):
        pd.testing.assert_frame_equal(made(copied, "tiny"), made(original, "tiny"))
    summaries = [summary_table(results_table(workspace, "tiny")) for workspace in (copied, original)]
    pd.testing.assert_frame_equal(*summaries)
    # Rows of the same task follow one another, in the order in which the study lists tasks and methods.
    config = original.study_config("tiny")
    names = [Path(task).stem for task in config.evaluation.tasks]
    expected = [(task, method.name) for task in names for method in config.methods]
    assert list(zip(summaries[0]["task"], summaries[0]["method"], strict=True)) == expected


def test_the_report_is_the_same_whatever_came_first(copied: Workspace, finished: Path) -> None:
    original = Workspace(finished)
    write_json(copied.study_folder("tiny") / "index.json", original.index("tiny")[::-1])
    reports = [make_report(record_of(workspace, "tiny")).markdown() for workspace in (copied, original)]
    assert reports[0] == reports[1]


@given(st.permutations(range(8)))
def test_rows_of_joined_records_are_ordered_likewise(places: list[int]) -> None:
    rows = [(task, method, init) for task in ("b", "a") for method in ("Z", "new") for init in (1, None)]
    table = pd.DataFrame(rows, columns=["task", "method", "init_seed"]).assign(data_seed=13)
    table["init_seed"] = table["init_seed"].astype("Int64")
    found = StudyOrder(["b", "a"], ["Z"], [1]).rows(table.iloc[list(places)])
    pd.testing.assert_frame_equal(found, table)


def test_a_record_keeps_the_order(finished: Path, tmp_path: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    record.save(tmp_path)
    assert make_report(Record.load(tmp_path)).markdown() == make_report(record).markdown()
