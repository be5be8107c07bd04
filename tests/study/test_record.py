"""What is kept of a study, and what its methods spent; peaks of memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import tiny
import torch

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.reporting.agreement_tables import agreement_table
from metapt_explore.reporting.background_sections import terms_of
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import FIRST, Record, record_of
from metapt_explore.statistics import fairness_flags
from metapt_explore.storage.peak_memory import PeakWatch
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def test_a_record_is_read_back_as_it_was(finished: Path, tmp_path: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    assert record.cells == 12 == len(record.results)
    record.save(tmp_path)
    again = Record.load(tmp_path)
    assert list(again.results.columns[: len(FIRST)]) == FIRST
    pd.testing.assert_frame_equal(again.results, record.results[again.results.columns])
    pd.testing.assert_frame_equal(again.curves, record.curves)
    for key in ("study", "budgets", "clusterings", "texts", "tasks", "manifest", "title"):
        assert getattr(again, key) == json.loads(json.dumps(getattr(record, key))), key


def test_a_record_holds_neither_texts_nor_folders(world: Path, finished: Path, tmp_path: Path) -> None:
    record_of(Workspace(finished), "tiny").save(tmp_path)
    texts = {
        line
        for path in (finished / "artifacts").glob("*/rows.parquet")
        for line in pd.read_parquet(path)["text"]
        if len(line.split()) > 3
    }
    assert len(texts) > 20
    for path in tmp_path.iterdir():
        content = path.read_bytes().decode(errors="ignore")
        assert str(world) not in content and str(finished) not in content and str(tmp_path) not in content
        assert not [text for text in texts if text in content]


def test_accounts_say_what_was_spent(finished: Path) -> None:
    budgets = {budget["method"]: budget for budget in record_of(Workspace(finished), "tiny").budgets}
    assert list(budgets) == ["PT", "PPT", "MetaPT"]
    assert [budgets[name]["pretraining_row_passes"] for name in budgets] == [0, 64, 64]
    # 4 steps of 4 rows at two rates.
    assert {budget["tuning_row_passes"] for budget in budgets.values()} == {4 * 4 * 2}
    assert budgets["MetaPT"]["diagnostic_rows"] == 32
    # Of a score: dev at the start and at two steps of two rates; test likewise at the chosen rate, the start shared.
    (forward,) = {budget["forward_rows"] for budget in budgets.values()}
    assert forward == 5 * 8 + 2.5 * 20
    assert budgets["PPT"]["start"] == budgets["MetaPT"]["start"] == '"vocabulary"'
    assert all(budget["peak_mib"] > 50 for budget in budgets.values())
    assert all(budget["trained_parameters"] > 0 for budget in budgets.values())


def test_agreement_that_was_asked_for_is_in_the_record_and_the_report(finished: Path, tmp_path: Path) -> None:
    workspace = Workspace(shutil.copytree(finished, tmp_path / "workspace"))
    assert record_of(workspace, "tiny").agreement.empty
    study = Study(workspace.study_config("tiny"), workspace)
    tables = {name: study.agreement(clustering=name).table("agreement") for name in ("kmeans", "random")}
    study.agreement(method="MetaPT")
    record = record_of(workspace, "tiny")
    record.save(tmp_path / "record")
    again = Record.load(tmp_path / "record")
    pd.testing.assert_frame_equal(again.agreement, record.agreement)
    assert list(again.agreement.groupby(["clustering", "at"]).size().index) == [
        ("kmeans", "MetaPT"),
        ("kmeans", "the common start"),
        ("random", "the common start"),
    ]
    table = agreement_table(again.agreement).set_index(["clusters", "at"])
    for name, pairs in tables.items():
        of_mood = pairs[(pairs["first_kind"] == "auxiliary") & (pairs["second"] == "mood")]["corrected"].dropna()
        expected = "–" if of_mood.empty else f"{of_mood.mean():.2f}".replace("-", "−")
        assert table.loc[(name, "the common start"), "mood"] == expected
    written = make_report(again).markdown()
    assert "## Do the tasks agree?" in written and "The tasks of `kmeans` one by one, at MetaPT" in written
    assert "The tasks of `random`" not in written, "groups of a control have no meaning to look for"
    # A record of a study without it, written over this one, has none.
    record_of(Workspace(finished), "tiny").save(tmp_path / "record")
    assert Record.load(tmp_path / "record").agreement.empty


def test_a_damaged_record_is_said(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no record"):
        Record.load(tmp_path)
    record_of(Workspace(finished), "tiny").save(tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is damaged"):
        Record.load(tmp_path)


WATCHES = """
from metapt_explore.storage.peak_memory import PeakWatch

mib = 2**20
with PeakWatch() as outer:
    large = bytearray(120 * mib)
    large[::4096] = b"x" * len(large[::4096])
    del large
    with PeakWatch() as inner:
        small = bytearray(30 * mib)
        del small
print(outer.peak, inner.peak)
with PeakWatch() as outer, PeakWatch() as inner:
    large = bytearray(120 * mib)
    large[::4096] = b"x" * len(large[::4096])
print(outer.peak, inner.peak)
"""


def test_watches_within_one_another() -> None:
    """The outer one sees what was highest before the inner one; the inner one does not.

    In a process of its own: this one may keep freed memory, as the engine asks the system's allocator to.
    """
    found = subprocess.run(
        [sys.executable, "-c", WATCHES], capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    (outer, inner), (both, same) = (map(float, line.split()) for line in found.splitlines())
    assert outer >= inner + 60
    # Two readings of one process, a moment apart: the system may have given it a page in between.
    assert both > 120 and same > 120 and abs(both - same) < 8


def test_a_model_on_the_cpu_beside_an_idle_gpu_takes_host_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that was only asked for its name has nothing to say of a study on the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 0)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)
    with PeakWatch() as idle:
        pass
    assert idle.peak > 10
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 2 * 2**20)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    with PeakWatch() as used:
        pass
    assert used.peak == 2


def test_baselines_have_accounts_and_cells(world: Path, tmp_path: Path) -> None:
    baselines = ["majority", {"name": "zero", "kind": "zero_shot"}]
    methods = [{"name": "PT", "kind": "pt"}]
    config = parse(StudyConfig, tiny.study_tree(world, methods=methods, baselines=baselines), "test")
    results = Study(config, tmp_path).run()
    record = record_of(Workspace(tmp_path), config.name)
    # Two tasks and two data seeds; neither baseline has an initialisation.
    assert record.cells == len(results) == 3 * 2 * 2
    budgets = {budget["method"]: budget for budget in record.budgets}
    assert budgets["zero"]["trained_parameters"] == 0 and budgets["zero"]["tuning_row_passes"] == 0
    assert all(flag.severity == "note" for flag in fairness_flags([terms_of(budget) for budget in record.budgets]))
    assert "zero" in make_report(record).markdown()
