"""Rows of large files are counted before they are read; a look before a run says what reading them takes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from tiny import study_tree

from metapt_explore.cli.plan import plan_in_terminal
from metapt_explore.config import StudyConfig, TextsConfig
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import problems
from metapt_explore.study.problems import looking
from metapt_explore.texts import file_content, scan_cost


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_content, "STREAMED_BYTES", 1)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_rows_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    table = pd.DataFrame({"text": [f"a text of number {n:05}" for n in range(3000)], "label": "a"})
    file = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        table.to_parquet(file, index=False)
    elif kind == "jsonl":
        table.to_json(file, orient="records", lines=True)
    else:
        table.to_csv(file, index=False, sep="\t" if kind == "tsv" else ",")
    assert scan_cost.count_rows(file, kind) == (3000, True)
    cost = scan_cost.scan_cost(TextsConfig(file=str(file), limit=100), ["a text of number"])
    assert cost is not None
    assert (cost.rows, cost.counted, cost.kept) == (3000, True, 100)
    assert cost.seconds >= 0 and cost.peak_mib > 60
    # Of a larger file the rest is taken to be as long-winded as its beginning.
    monkeypatch.setattr(scan_cost, "COUNTED_BYTES", 20_000)
    rows, counted = scan_cost.count_rows(file, kind)
    assert rows == pytest.approx(3000, rel=0.05) and counted == (kind == "parquet")


def test_more_kept_texts_take_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the process itself holds goes up and down between the two.
    held = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=0))
    monkeypatch.setattr(scan_cost, "psutil", SimpleNamespace(Process=lambda: held))
    file = tmp_path / "rows.csv"
    pd.DataFrame({"text": ["a long text " * 400] * 2000}).to_csv(file, index=False)
    few, all_of_them = (scan_cost.scan_cost(TextsConfig(file=str(file), limit=limit), []) for limit in (10, None))
    assert few is not None and all_of_them is not None
    assert few.kept < all_of_them.kept == 2000 and all_of_them.peak_mib > few.peak_mib


def test_small_and_packed_files_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_content, "STREAMED_BYTES", 10**6)
    file = tmp_path / "rows.csv"
    file.write_text("text\na\n", encoding="utf-8")
    assert scan_cost.scan_cost(TextsConfig(file=str(file)), []) is None


def test_a_look_says_it_and_leaves_what_takes_too_long(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StudyConfig.model_validate(study_tree(world))
    with looking(config, Workspace(tmp_path / "ws")) as found:
        said = [notice for notice in found.notices if " rows; reading and comparing them takes about" in notice]
        assert len(said) == 1 and found.texts is not None and not found.problems
    monkeypatch.setattr(problems, "LONGEST_LOOK_S", -1.0)
    with looking(config, Workspace(tmp_path / "ws")) as found:
        assert any("not read now" in notice for notice in found.notices)
        assert found.texts is None and not found.problems


@pytest.mark.parametrize("limit", [None, 60])
def test_a_plan_goes_by_the_rows_of_texts_that_are_not_read(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: int | None
) -> None:
    tree = study_tree(world)
    tree["texts"]["limit"] = limit
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(tree), encoding="utf-8")
    monkeypatch.setattr(problems, "LONGEST_LOOK_S", -1.0)
    assert plan_in_terminal(str(file), tmp_path / "ws", as_json=True)
    plan = json.loads(capsys.readouterr().out)
    rows = scan_cost.count_large(StudyConfig.model_validate(tree).texts)
    assert rows is not None and rows > 60
    assert plan["clusterings"] and plan["assumed_texts"] is None
    assert {each["rows"] for each in plan["clusterings"].values()} == {limit or rows}
    # Reading them is a part of what the run will take.
    assert plan["before_seconds"] >= scan_cost.FIXED_S
