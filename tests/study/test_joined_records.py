"""A study whose seeds were run in two workspaces gives the record of one that was run in one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import tiny
import yaml

from metapt_explore.cli.main import main
from metapt_explore.cli.run import parse_seeds
from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.jobs.state import job_state
from metapt_explore.reporting.report import make_report
from metapt_explore.results.join import CELL, joined, refuse_to_lose
from metapt_explore.results.record import Record, record_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

DESIGN = {"data_seeds": [1, 2], "init_seeds": [5, 6, 7], "pairing": "paired"}
TELEMETRY = ["seconds", "pretraining_seconds", "study", "artifact"]


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=TELEMETRY, errors="ignore").sort_values(CELL, ignore_index=True)


@pytest.fixture(scope="module")
def tree(world: Path) -> dict[str, object]:
    methods = [{"name": "PPT", "kind": "ppt"}, {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}]
    return tiny.study_tree(world, methods=methods, baselines=["tfidf"], evaluation=DESIGN)


@pytest.fixture(scope="module")
def records(tree: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Record]:
    folder, found = tmp_path_factory.mktemp("parts"), {}
    for name, seeds in (("first", [5, 6]), ("second", [7]), ("whole", None)):
        config = parse(StudyConfig, tree, "test")
        Study(config, folder / name).run(seeds)
        found[name] = record_of(Workspace(folder / name), "tiny")
    return found


def test_seeds_that_were_not_asked_for_are_left_out(records: dict[str, Record]) -> None:
    assert set(records["first"].results["init_seed"].dropna()) == {5, 6}
    assert set(records["second"].results["init_seed"].dropna()) == {7}


def test_a_changed_study_still_lists_what_is_finished_of_other_seeds(tree: dict[str, object], tmp_path: Path) -> None:
    """A setting that changes no score of theirs empties the study's list; a run of other seeds fills it again."""
    config = parse(StudyConfig, tree, "test")
    Study(config, tmp_path).run([5, 6])
    assert job_state(Workspace(tmp_path), "tiny")["status"] == "partly"
    changed = parse(
        StudyConfig, {**tree, "title": "another", "evaluation": {**tree["evaluation"], "margin": 0.05}}, "test"
    )
    results = Study(changed, tmp_path).run([7])
    assert set(results["init_seed"].dropna()) == {5, 6, 7}
    assert len(results) == record_of(Workspace(tmp_path), "tiny").cells
    assert job_state(Workspace(tmp_path), "tiny")["status"] == "done"


def test_two_parts_are_the_whole(records: dict[str, Record], tmp_path: Path) -> None:
    first, second, whole = (records[name] for name in ("first", "second", "whole"))
    first.save(tmp_path)
    both = joined(Record.load(tmp_path), second)
    pd.testing.assert_frame_equal(cells(both.results)[cells(whole.results).columns], cells(whole.results))
    assert len(both.curves) == len(whole.curves)
    budgets, expected = ({a["method"]: a for a in record.budgets} for record in (both, whole))
    for method in ("PPT", "MetaPT", "tfidf"):
        for key in ("pretraining_row_passes", "tuning_row_passes", "diagnostic_rows", "init_seeds", "data_seeds"):
            assert budgets[method][key] == expected[method][key], (method, key)
    gains, expected_gains = (
        {found["name"]: found["gain"] for found in record.clusterings if found["gain"] is not None}
        for record in (both, whole)
    )
    assert gains == pytest.approx(expected_gains) and "kmeans" in gains
    both.save(tmp_path)
    # A report of the joined record says the same as one of the whole.
    sections = [
        make_report(record).markdown().split("## On equal terms?")[0] for record in (Record.load(tmp_path), whole)
    ]
    assert sections[0] == sections[1]


def test_of_a_pair_that_both_have_the_newer_counts(records: dict[str, Record]) -> None:
    older = replace(records["whole"], results=records["whole"].results.assign(accuracy=-1.0))
    both = joined(older, records["second"])
    of_second = both.results["init_seed"] == 7
    assert (both.results.loc[of_second, "accuracy"] >= 0).all()
    assert (both.results.loc[both.results["init_seed"] == 5, "accuracy"] == -1).all()
    assert not both.results.duplicated(CELL).any()


def test_methods_that_came_later_are_added(
    tree: dict[str, object], records: dict[str, Record], tmp_path: Path, world: Path
) -> None:
    later = tiny.study_tree(world, methods=[*tree["methods"], {"name": "PT", "kind": "pt"}], evaluation=DESIGN)
    Study(parse(StudyConfig, later, "test"), tmp_path).run([5, 6])
    both = joined(records["whole"], record_of(Workspace(tmp_path), "tiny"))
    assert both.methods == ["PPT", "MetaPT", "PT"] and both.study["baselines"]
    assert [budget["method"] for budget in both.budgets] == ["PPT", "MetaPT", "PT", "tfidf"]
    # 3 methods × 3 pairs and the baseline on 2 data seeds, on 2 tasks; PT lacks a pair.
    assert both.cells == (3 * 3 + 2) * 2 and len(both.results) == both.cells - 2
    changed = {**records["whole"].study, "methods": [{"name": "PT", "kind": "pt", "init": "random"}]}
    with pytest.raises(UserError, match=r"methods \(PT\) differ"):
        joined(replace(records["whole"], study=changed), record_of(Workspace(tmp_path), "tiny"))


def test_methods_stand_in_the_order_of_whichever_study_names_them_all(records: dict[str, Record]) -> None:
    """The first MetaPT method is in the primary test: a part that was run first must not decide which that is."""
    other = {"name": "MetaPT far", "kind": "metapt", "clustering": "kmeans", "inner_lr": 0.9}
    record, newer = records["first"], records["second"]
    ppt, meta = record.study["methods"]
    part = replace(record, study={**record.study, "methods": [ppt, other]})
    whole = replace(newer, study={**newer.study, "methods": [ppt, meta, other]})
    assert [method["name"] for method in joined(part, whole).study["methods"]] == ["PPT", "MetaPT", "MetaPT far"]
    assert [method["name"] for method in joined(whole, part).study["methods"]] == ["PPT", "MetaPT", "MetaPT far"]
    neither = replace(newer, study={**newer.study, "methods": [meta]})
    assert [method["name"] for method in joined(part, neither).study["methods"]] == ["PPT", "MetaPT far", "MetaPT"]


def test_machines_are_all_named(records: dict[str, Record]) -> None:
    first, second = records["first"], records["second"]
    assert "others" not in joined(first, second).manifest
    elsewhere = replace(first, manifest={**first.manifest, "cpu": "another one"})
    both = joined(elsewhere, second)
    assert both.manifest["cpu"] == second.manifest["cpu"]
    assert [other["cpu"] for other in both.manifest["others"]] == ["another one"]
    assert "another one" in make_report(both).markdown()
    assert len(joined(both, second).manifest["others"]) == 1


def test_records_of_different_studies_are_not_joined(records: dict[str, Record]) -> None:
    first, second = records["first"], records["second"]
    with pytest.raises(UserError, match="pretraining differ"):
        joined(replace(first, study={**first.study, "pretraining": {"steps": 9}}), second)
    with pytest.raises(UserError, match="other clusters of kmeans"):
        joined(replace(first, clusterings=[{**first.clusterings[0], "sizes": [1]}]), second)
    tasks = [{**task, "checksums": {"train": "other"}} for task in first.tasks]
    with pytest.raises(UserError, match="other few-shot rows"):
        joined(replace(first, tasks=tasks), second)
    with pytest.raises(UserError, match="other pre-training texts"):
        joined(replace(first, texts={"kept": 1}), second)


def test_no_score_of_a_record_is_lost(records: dict[str, Record], tmp_path: Path) -> None:
    refuse_to_lose(records["first"], records["whole"], tmp_path)
    lost = len(records["whole"].results) - len(records["first"].results)
    with pytest.raises(UserError, match=f"has {lost} scores that this one has not.*--add"):
        refuse_to_lose(records["whole"], records["first"], tmp_path)


def test_no_decision_of_a_record_is_lost(records: dict[str, Record], tmp_path: Path) -> None:
    """Nor a curve, nor numbers of others: a record that has the same scores may still know less."""
    whole = records["whole"]
    refuse_to_lose(whole, whole, tmp_path)
    assert len(whole.predictions) and len(whole.curves)
    rest = whole.predictions[whole.predictions["row"] != whole.predictions["row"].iloc[0]]
    for predictions in (pd.DataFrame(), rest):
        fewer = replace(whole, predictions=predictions)
        with pytest.raises(UserError, match=r"would be lost: decisions .* behind \d+ scores: .*--replace"):
            refuse_to_lose(whole, fewer, tmp_path)
        refuse_to_lose(whole, fewer, tmp_path, but_scores=True)
    with pytest.raises(UserError, match=f"{len(whole.curves)} lines of curves.parquet"):
        refuse_to_lose(whole, replace(whole, curves=pd.DataFrame()), tmp_path)
    published = replace(whole, published=[{"method": "PT"}])
    with pytest.raises(UserError, match="numbers of others"):
        refuse_to_lose(published, whole, tmp_path)
    with pytest.raises(UserError, match="scores that this one has not"):
        refuse_to_lose(whole, records["first"], tmp_path, but_scores=True)


def test_number_formats_are_not_mixed(records: dict[str, Record]) -> None:
    """What counts is what `auto` came to, not how it is written."""
    first, second = records["first"], records["second"]
    assert second.manifest["dtype"] == second.study["model"]["dtype"] == "float32"
    said_otherwise = {**first.study, "model": {key: v for key, v in first.study["model"].items() if key != "dtype"}}
    both = joined(replace(first, study=said_otherwise), second)
    assert len(both.results) == len(joined(first, second).results) and "dtype" not in both.study["model"]
    # A model that is all defaults is not written.
    brief = [{key: value for key, value in record.study.items() if key != "model"} for record in (first, second)]
    assert "model" not in joined(replace(first, study=brief[0]), replace(second, study=brief[1])).study
    half = replace(first, manifest={**first.manifest, "dtype": "bfloat16"})
    with pytest.raises(UserError, match="computed in bfloat16, these scores in float32"):
        joined(half, second)
    with pytest.raises(UserError, match="model differ"):
        joined(replace(first, study={**first.study, "model": {**first.study["model"], "max_text_tokens": 9}}), second)


def test_on_the_command_line(
    tree: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump({**tree, "baselines": []}), encoding="utf-8")

    def metapt(*words: str) -> object:
        monkeypatch.setattr(sys, "argv", ["metapt", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    for seeds, name in (("5", "a"), ("6-7", "b")):
        workspace = str(tmp_path / name)
        assert metapt("run", str(file), "--workspace", workspace, "--init-seeds", seeds) == 0
        assert metapt("report", "tiny", "-w", workspace, "--record", "--add", "--out", str(tmp_path / "record")) == 0
    found = Record.load(tmp_path / "record")
    assert len(found.results) == found.cells == 12
    assert "not finished" not in (tmp_path / "record" / "report.md").read_text(encoding="utf-8")
    assert metapt("report", "tiny", "-w", str(tmp_path / "a"), "--record", "--out", str(tmp_path / "record")) == 2
    assert "would be lost" in capsys.readouterr().err and len(Record.load(tmp_path / "record").results) == 12
    assert metapt("run", str(file), "--workspace", str(tmp_path / "a"), "--init-seeds", "5-") == 2
    assert "numbers and ranges" in capsys.readouterr().err
    assert metapt("run", str(file), "--workspace", str(tmp_path / "a"), "--init-seeds", "8") == 2
    assert "is not among evaluation.init_seeds" in capsys.readouterr().err


def test_seeds_as_they_are_written() -> None:
    assert parse_seeds("3, 1,1-2") == [3, 1, 2]
    for wrong in ("", "a", "2-1", "-1", "1,,2"):
        with pytest.raises(UserError):
            parse_seeds(wrong)
