"""Results stand in the study's order, whatever was computed first."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import Record, record_of
from metapt_explore.results.study_order import StudyOrder
from metapt_explore.results.tables import curves_table, results_table, summary_table
from metapt_explore.stages.lens import Lens
from metapt_explore.storage.files import write_json
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


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


@pytest.mark.parametrize("seed", [0, 1])
def test_all_that_a_record_holds_is_the_same(matched: Path, tmp_path: Path, seed: int) -> None:
    """Budgets, clusterings, curves … of a study of several numbers of examples, byte for byte; and the lens's id."""
    original = Workspace(matched)
    name = original.study_names()[0]
    entries = original.index(name)
    shuffled = _Reordered(matched, random.Random(seed).sample(entries, len(entries)))
    for workspace, target in ((original, tmp_path / "one"), (shuffled, tmp_path / "other")):
        record_of(workspace, name).save(target)
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes(), file
    asked = [Lens(Study(workspace.study_config(name), workspace)).config() for workspace in (original, shuffled)]
    assert asked[0] == asked[1]
    assert [str(prompt).split(",")[0] for prompt in asked[0]["names"]][:3] == ["PT", "PPT", "MetaPT"]


class _Reordered(Workspace):
    """A workspace whose list of artifacts stands in another order."""

    def __init__(self, folder: Path, entries: list[IndexEntry]) -> None:
        super().__init__(folder)
        self._entries = entries

    def index(self, name: str) -> list[IndexEntry]:
        return list(self._entries)


def test_entries_stand_by_task_method_seed_examples_and_clustering() -> None:
    order = StudyOrder(["b", "a"], ["Z", "Y"], [5, 1], [], [1, 16], ["k8", "k4"])
    expected: list[dict[str, Any]] = [
        {"task": "b", "method": "Z", "init_seed": 5},
        {"task": "b", "method": "Z", "init_seed": 5, "shots": 1},
        {"task": "b", "method": "Z", "init_seed": 5, "shots": 16},
        {"task": "b", "method": "Y", "init_seed": 5},
        {"task": "b", "method": "Y", "init_seed": 1},
        {"task": "b", "method": "Y"},
        {"task": "a", "method": "Z", "init_seed": 5},
        {"clustering": "k8"},
        {"clustering": "k4"},
        {"clustering": "gone"},
        {},
    ]
    entries = [cast(IndexEntry, {"kind": "any", "id": str(99 - place), **of}) for place, of in enumerate(expected)]
    for shuffled in (entries[::-1], sorted(entries, key=lambda entry: entry["id"])):
        assert order.entries(shuffled) == entries


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
