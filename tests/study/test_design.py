"""Designs of the comparison: paired seeds, balanced samples of texts, PT with the budget of the others."""

from __future__ import annotations

import itertools
import shutil
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import tiny
from kept import StopAt

from metapt_explore.api import run
from metapt_explore.cli.main import main
from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import Cancelled, TimeIsUp, UserError
from metapt_explore.fewshot import tuning
from metapt_explore.jobs.state import job_state
from metapt_explore.progress import state as progress
from metapt_explore.progress import terminal
from metapt_explore.reporting.report import make_report
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.record import Record, record_of
from metapt_explore.results.tables import efficiency_table
from metapt_explore.stages.fewshot import FewShot
from metapt_explore.stages.texts import _by_turns
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def config_of(world: Path, **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(world, **changes), "test")


def test_paired_seeds_give_each_score_its_own_pretraining(world: Path, tmp_path: Path) -> None:
    methods = [{"name": "PPT", "kind": "ppt"}]
    design = {"data_seeds": [1, 2], "init_seeds": [5, 6, 7], "pairing": "paired"}
    config = config_of(world, methods=methods, evaluation=design)
    results = Study(config, tmp_path / "paired").run()
    assert config.evaluation.pairs == [(5, 1), (6, 2), (7, 1)]
    for _, cells in results.groupby("task"):
        assert list(zip(cells["init_seed"], cells["data_seed"], strict=True)) == config.evaluation.pairs
    # The same scores as in the crossed design, where a pair stands in both.
    crossed = config_of(world, methods=methods, evaluation={**design, "pairing": "crossed"})
    every = Study(crossed, tmp_path / "crossed").run()
    keys = ["method", "task", "init_seed", "data_seed"]
    both = results.merge(every, on=keys, suffixes=("", "_crossed"))
    assert len(every) == 12 and len(both) == 6
    pd.testing.assert_series_equal(both["accuracy"], both["accuracy_crossed"], check_names=False)


def test_paired_seeds_must_reach(world: Path) -> None:
    with pytest.raises(UserError, match="1 data seeds are never used"):
        config_of(world, evaluation={"data_seeds": [1, 2, 3], "init_seeds": [0, 1], "pairing": "paired"})


def test_scored_on_other_seeds_no_test_row_is_looked_at(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = [{"name": "PT", "kind": "pt"}]
    design = {"data_seeds": [1, 2, 3], "init_seeds": [5, 6, 7], "pairing": "paired", "scored_on": "other_seeds"}
    config = config_of(world, methods=methods, evaluation={**design, "tasks": [str(world / "mood.yaml")]})
    study, seen = Study(config, tmp_path), []
    rows = study.split("mood").table("rows")
    real = tuning.tune

    def watched(*args: Any, **settings: Any) -> Any:
        seen.append((args[1].train, args[1].dev, args[1].scored))
        return real(*args, **settings)

    monkeypatch.setattr(tuning, "tune", watched)
    results = study.run()
    assert len(seen) == 3 == len(results)
    test = set(rows.loc[rows["split"] == "test", "text"])
    for (train, dev, scored), seed in zip(seen, (1, 2, 3), strict=True):
        own = {*train[seed].texts, *dev[seed].texts}
        others = rows[(rows["split"] == "dev") & (rows["data_seed"] != seed)]
        assert set(scored.texts) == set(others["text"]) - own and not set(scored.texts) & (own | test)
        assert len(set(scored.texts)) == len(scored.texts) >= 6
        by_text = dict(zip(others["text"], others["label"], strict=True))
        names = list(study.tasks["mood"].labels)
        assert [by_text[text] for text in scored.texts] == [names[label] for label in scored.labels]
    behind = lineage(Workspace(tmp_path), "tiny", "PT", "mood", data_seed=2, init_seed=6).rows()
    assert behind["split"].value_counts().to_dict() == {"train": 8, "dev": 8, "scored": len(seen[1][2].texts)}
    assert set(behind.loc[behind["split"] == "scored", "text"]) == set(seen[1][2].texts)
    assert "no test row was looked at" in make_report(record_of(Workspace(tmp_path), config.name)).markdown()
    with pytest.raises(UserError, match="pairing: paired"):
        config_of(world, evaluation={"scored_on": "other_seeds"})
    with pytest.raises(UserError, match="goes without `baselines`"):
        config_of(world, baselines=["tfidf"], evaluation=design)


def test_starts_alone_are_scored(world: Path, tmp_path: Path) -> None:
    """With no tuning step a score is the start's, the one that a study with steps reports as such."""
    config = config_of(world, evaluation={"steps": 0})
    results = Study(config, tmp_path / "none").run()
    assert (results["step"] == 0).all() and results["accuracy"].equals(results["start_accuracy"])
    tuned = Study(config_of(world), tmp_path / "tuned").run()
    keys = ["method", "task", "data_seed", "init_seed"]
    both = results.merge(tuned, on=keys, suffixes=("", "_tuned"))
    assert both["start_accuracy"].tolist() == both["start_accuracy_tuned"].tolist() and len(both) == len(results)
    record = record_of(Workspace(tmp_path / "none"), config.name)
    assert {budget["tuning_row_passes"] for budget in record.budgets} == {0}
    assert "## Scores" in make_report(record).markdown()


def test_labels_take_turns() -> None:
    import numpy as np

    labels = np.array(["a", "a", "b", "a", "b", "a"])
    assert _by_turns(labels).tolist() == [0, 2, 1, 4, 3, 5]


def test_a_balanced_sample(world: Path, tmp_path: Path) -> None:
    def counts(name: str, **texts: Any) -> dict[str, int]:
        study = Study(config_of(world, name=name, texts=texts), Workspace(tmp_path / name))
        return dict(study.texts().table("texts")["label"].value_counts(dropna=False))

    balanced = counts("balanced", balanced=True, limit=21)
    assert sum(balanced.values()) == 21 and max(balanced.values()) - min(balanced.values()) == 1
    assert set(balanced) == {"negative", "positive"}
    plain = counts("plain", limit=21)
    assert plain != balanced


def test_pt_with_the_budget_of_the_others(world: Path, tmp_path: Path) -> None:
    methods = [{"name": "PT", "kind": "pt"}, {"name": "PT+", "kind": "pt", "extra_tuning": True}]
    study = Study(config_of(world, methods=methods), tmp_path)
    short, long = study.fewshot("PT", "mood"), study.fewshot("PT+", "mood")
    assert study.prompt("PT").id == study.prompt("PT+").id and short.id != long.id
    # 64 rows of pre-training are 16 more steps of 4 rows; two data seeds at two rates.
    assert long.summary["row_passes"] - short.summary["row_passes"] == 64 * 2 * 2
    curves = long.table("curves")
    same = curves[curves["step"] <= 4].merge(
        short.table("curves"), on=["data_seed", "learning_rate", "step"], suffixes=("", "_short")
    )
    assert len(same) == 12
    assert same["dev_loss"].to_numpy() == pytest.approx(same["dev_loss_short"].to_numpy(), rel=1e-5)


def test_a_pull_towards_the_start(world: Path, tmp_path: Path) -> None:
    """A pull of 1 / learning rate takes every step back."""
    rate = 0.01
    evaluation = {"learning_rates": [rate]}
    methods = [
        {"name": "free", "kind": "pt"},
        {"name": "held", "kind": "pt", "tuning": {"proximal": 1 / rate}},
        {"name": "pulled", "kind": "pt", "tuning": {"proximal": 0.5 / rate}},
    ]
    study = Study(config_of(world, methods=methods, evaluation=evaluation), tmp_path)
    last = {
        name: study.fewshot(name, "mood").table("curves").query("step == 4")["dev_loss"].to_numpy()
        for name in ("free", "held", "pulled")
    }
    first = study.fewshot("free", "mood").table("curves").query("step == 0")["dev_loss"].to_numpy()
    assert last["held"] == pytest.approx(first, rel=1e-6)
    assert (last["pulled"] != last["free"]).all() and (last["pulled"] != last["held"]).all()


def test_chunks_of_time_and_a_copied_folder(
    world: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped each time the time is up, and moved to another folder between two chunks: the same scores."""
    # A clock that goes on by a second each time it is read: a slow machine makes the same chunks as a fast one.
    clock = SimpleNamespace(monotonic=partial(next, itertools.count()))
    for module in (progress, terminal):
        monkeypatch.setattr(module, "time", clock)
    folder, chunks = tmp_path / "0", 0
    while True:
        try:
            study = run(world / "tiny.yaml", folder, minutes=1)
            break
        except TimeIsUp:
            chunks += 1
            moved = tmp_path / str(chunks)
            shutil.copytree(folder, moved)
            shutil.rmtree(folder)
            folder = moved
        assert chunks < 400, "no chunk gets further than the one before"
    assert chunks > 1
    scores = ["method", "task", "data_seed", "init_seed", "accuracy", "start_accuracy", "dev_accuracy", "test_loss"]
    expected = Study(world / "tiny.yaml", finished).results()
    pd.testing.assert_frame_equal(study.results()[scores], expected[scores], check_exact=True)


def test_a_stage_may_take_longer_than_a_chunk(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation over many data seeds, longer than the time there is each time: it comes to its end all the same."""
    evaluation = {"data_seeds": [1, 2, 3, 4], "init_seeds": [0], "steps": 12, "curve_steps": [0, 6]}
    methods = [{"name": "PT", "kind": "pt"}]
    config = config_of(world, methods=methods, evaluation=evaluation)
    expected = Study(config, tmp_path / "whole").fewshot("PT", "mood").table("results")
    attempts = 0
    while True:
        # Time for eight passes, of which an evaluation takes more than twenty.
        study = Study(config, tmp_path / "cut")
        stop = StopAt(8)
        monkeypatch.setattr(FewShot, "advance", lambda stage, done, stop=stop: stop(done))
        try:
            study.fewshot("PT", "mood")
            break
        except Cancelled:
            attempts += 1
            assert attempts < 20, "no chunk gets further than the one before"
    assert attempts > 1
    metrics = study.fewshot("PT", "mood").metrics
    assert metrics["step"].tolist() == list(range(1, 13))
    scores = ["data_seed", "accuracy", "start_accuracy", "dev_accuracy", "test_loss"]
    found = study.fewshot("PT", "mood").table("results")
    pd.testing.assert_frame_equal(found[scores], expected[scores], check_exact=True)


def test_time_that_is_up_is_no_failure(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["metapt", "run", str(world / "tiny.yaml"), "--workspace", str(tmp_path), "--minutes", "0"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 75
    assert job_state(Workspace(tmp_path), "tiny")["status"] == "cancelled"


def test_shuffled_labels_are_the_same_labels_of_other_rows(world: Path, tmp_path: Path) -> None:
    plain = Study(config_of(world, name="plain"), tmp_path).split("mood")
    mixed = Study(config_of(world, name="mixed", evaluation={"shuffle_labels": True}), tmp_path).split("mood")
    assert plain.id != mixed.id
    before, after = plain.table("rows"), mixed.table("rows")
    assert before["text"].tolist() == after["text"].tolist()
    assert before["label"].tolist() != after["label"].tolist()
    for (_, old), (_, new) in zip(
        before.groupby(["split", "data_seed"], dropna=False),
        after.groupby(["split", "data_seed"], dropna=False),
        strict=True,
    ):
        assert sorted(old["label"]) == sorted(new["label"])


def test_the_same_prompts_on_fewer_and_more_examples(world: Path, tmp_path: Path) -> None:
    """A study's own scores do not change by it; each number of shots has the scores of a study of its own."""
    methods = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
    design = {"data_seeds": [1], "init_seeds": [0]}
    config = config_of(world, methods=methods, evaluation={**design, "more_shots": [1, 3]})
    study = Study(config, tmp_path / "both")
    main = study.run()
    table = efficiency_table(study.workspace, "tiny")
    assert sorted(table["shots"].unique()) == [1, 3, config.evaluation.shots]
    assert table.groupby("shots").size().nunique() == 1 and len(main) == len(table) // 3
    assert len(study.split("mood", 1).table("rows").query("split == 'train'")) == 2
    scores = ["method", "task", "accuracy", "start_accuracy", "test_loss"]
    alone = Study(config_of(world, methods=methods[:1], evaluation={**design, "shots": 1}), tmp_path / "one").run()
    expected = table[(table["shots"] == 1) & (table["method"] == "PT")].reset_index(drop=True)
    pd.testing.assert_frame_equal(expected[scores], alone[scores], check_dtype=False)
    record = record_of(study.workspace, "tiny")
    record.save(tmp_path / "record")
    assert len(Record.load(tmp_path / "record").efficiency) == len(table)


def test_at_one_example_the_last_step_is_kept_whatever_dev_says(world: Path, tmp_path: Path) -> None:
    design = {"shots": 1, "data_seeds": [1, 2], "init_seeds": [0], "learning_rates": [0.5], "select_by": "last"}
    methods = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
    config = config_of(world, methods=methods, evaluation=design)
    study = Study(config, tmp_path)
    results = study.run()
    assert set(results["step"]) == {config.evaluation.steps} and set(results["learning_rate"]) == {0.5}
    make_report(record_of(study.workspace, "tiny")).write(tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "No prompt was chosen on dev" in text and "were chosen on dev" not in text and "dev chose" not in text
    told = str(lineage(study.workspace, "tiny", "PPT", "mood", data_seed=1, init_seed=0))
    assert "nothing chosen on dev" in told


def test_the_last_step_is_of_one_rate(world: Path) -> None:
    with pytest.raises(UserError, match="give one learning rate"):
        config_of(world, evaluation={"select_by": "last", "learning_rates": [0.1, 0.2]})
    with pytest.raises(UserError, match="give one learning rate"):
        config_of(world, methods=[{"name": "PT", "kind": "pt", "tuning": {"select_by": "last"}}])


@pytest.mark.parametrize(("shots", "message"), [([0], "less than 1"), ([4, 4], "stands twice")])
def test_wrong_numbers_of_shots(world: Path, shots: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(world, evaluation={"more_shots": shots})
