"""The report of a study: complete, from a workspace as from a record; what it says where there is nothing to find."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny

from metapt_explore.cli.main import main
from metapt_explore.config import StudyConfig, parse
from metapt_explore.reporting.report import make_report, verdicts
from metapt_explore.reporting.tables import score_table
from metapt_explore.results.record import Record, record_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

SECTIONS = [
    "## The answer",
    "## Scores",
    "## Tests",
    "## Steadier?",
    "## A better start?",
    "## Errors",
    "## On equal terms?",
    "## Clusters and auxiliary tasks",
    "## Data",
    "## What this does not say",
    "## Made with",
]


def test_every_section_is_there_in_both_forms(finished: Path, tmp_path: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    markdown, page = make_report(record).write(tmp_path)
    lines = markdown.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("## ")] == SECTIONS
    figures = {"seeds", "differences", "pairs", "starts", "confusion", "calibration"}
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == figures
    for heading in SECTIONS:
        assert f"<h2>{heading.removeprefix('## ')}</h2>" in page.read_text(encoding="utf-8")
    # A random model learns nothing that 20 test rows could show, and it says so.
    assert "Nothing learned: MetaPT (" in markdown.read_text(encoding="utf-8")
    assert "No method learned anything of 'mood'" in markdown.read_text(encoding="utf-8")


def test_a_record_gives_the_same_report(finished: Path, tmp_path: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    record.save(tmp_path)
    assert make_report(Record.load(tmp_path)).markdown() == make_report(record).markdown()


def test_the_score_table_by_hand() -> None:
    """Spread of the mean over tasks is that of the units' means: here 0, though each task's is not."""
    rows = [("M", "a", 1, 0.6), ("M", "a", 2, 0.8), ("M", "b", 1, 0.8), ("M", "b", 2, 0.6)]
    table = pd.DataFrame(rows, columns=["method", "task", "data_seed", "accuracy"]).assign(init_seed=0)
    assert score_table(table, ["M"]).to_dict(orient="records") == [
        {"method": "M", "a": "70.0 ± 14.1", "b": "70.0 ± 14.1", "mean": "70.0 ± 0.0", "pairs": "2"}
    ]


def test_a_study_without_scores_and_one_that_is_half_done(world: Path, tmp_path: Path) -> None:
    study = Study(parse(StudyConfig, tiny.study_tree(world), "test"), tmp_path)
    study.split("mood")
    assert "Nothing is finished yet" in make_report(record_of(study.workspace, "tiny")).markdown()
    assert verdicts(record_of(study.workspace, "tiny")) == []
    study.fewshot("PT", "mood")
    study.fewshot("PPT", "question")
    half = make_report(record_of(study.workspace, "tiny")).markdown()
    assert "not finished: 4 of 12 scores" in half and "no two methods" in half


def test_the_command(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def command(*arguments: str) -> list[Path]:
        monkeypatch.setattr(sys, "argv", ["metapt", "report", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return [Path(line) for line in capsys.readouterr().out.split("\n") if line]

    files = command("tiny", "--workspace", str(finished), "--out", str(tmp_path / "kept"), "--record")
    assert [file.name for file in files] == ["report.md", "report.html"] and all(file.exists() for file in files)
    before = files[0].read_text(encoding="utf-8")
    files[0].unlink()
    command(str(tmp_path / "kept"))
    assert files[0].read_text(encoding="utf-8") == before


def test_shuffled_labels_make_no_difference(world: Path, tmp_path: Path) -> None:
    """Ten pairs of seeds on labels that mean nothing: no method is said to help, however well it was pre-trained."""
    evaluation = {
        "shuffle_labels": True,
        "pairing": "paired",
        "init_seeds": list(range(10)),
        "data_seeds": [1, 2, 3, 4, 5],
        "learning_rates": [0.02],
        "steps": 3,
        "margin": 0.1,  # test sets of 20 rows
    }
    config = parse(StudyConfig, tiny.study_tree(world, evaluation=evaluation), "test")
    results = Study(config, tmp_path).run()
    assert abs(results.groupby("task")["accuracy"].mean() - 0.5).max() < 0.1
    record = record_of(Workspace(tmp_path), "tiny")
    said = verdicts(record)
    assert len(said) == 3
    for sentence in said:
        assert "Nothing learned:" in sentence, sentence
    assert "Labels were shuffled on purpose" in make_report(record).markdown()


def test_comparisons_with_too_few_seeds_share_a_line(finished: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    assert "Too few seeds" not in make_report(record).markdown()  # MetaPT and PPT against PT: a line each
    pooled = record.results[record.results["method"] == "PPT"]
    ahead = pooled.assign(method="Far", accuracy=pooled["accuracy"] + 0.025)
    methods = [*record.study["methods"], {**record.study["methods"][-1], "name": "Far", "inner_lr": 0.1}]
    more = replace(
        record, results=pd.concat([record.results, ahead]), study={**record.study, "methods": methods}, cells=16
    )
    lines = make_report(more).markdown().splitlines()
    (said,) = [line for line in lines if line.startswith("- **Too few seeds to say anything**")]
    assert "against PPT: Far +2.5 (1); against PT: PPT " in said
    assert not any(line.startswith("- **Does Far") for line in lines)


def test_what_dev_chose_at_the_edge_of_the_grid_is_said(finished: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    record.results["learning_rate"] = np.where(record.results["method"] == "PT", 0.05, 0.01)
    assert "PT: dev chose the highest learning rate tried (0.05)" in make_report(record).markdown()


def test_tasks_that_ask_for_more_steps_are_named(finished: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    steps = record.study["evaluation"]["steps"]
    record.results["step"] = np.where(record.results["task"] == "mood", steps, 0)
    said = f"Dev kept the last of {steps} tuning steps for 100 % of the scores on mood: more steps may be better there."
    assert said in make_report(record).markdown()
    # Dev rows that were trained on ask for more steps in any case.
    overlap = {"task": "mood", "part": "dev", "other_task": "mood", "other_part": "train", "texts": 8, "share": 1.0}
    assert "Dev kept the last" not in make_report(replace(record, overlaps=[overlap])).markdown()
    # A method that tunes on by itself says nothing of the study's number of steps.
    record.study["methods"] = [{**method, "tuning": {"steps": 2 * steps}} for method in record.study["methods"]]
    assert "Dev kept the last" not in make_report(record).markdown()


def test_label_efficiency_is_reported(world: Path, tmp_path: Path) -> None:
    methods = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
    evaluation: dict[str, Any] = {"data_seeds": [1], "more_shots": [1, 2]}
    config = parse(StudyConfig, tiny.study_tree(world, methods=methods, evaluation=evaluation), "test")
    Study(config, tmp_path).run()
    record = record_of(Workspace(tmp_path), config.name)
    document = make_report(record)
    lines = document.markdown().splitlines()
    assert "## With fewer and with more examples" in lines and "### How many labels does it save?" in lines
    heads = [place for place, line in enumerate(lines) if line == "| method | 1 a class | 2 a class | 4 a class |"]
    assert len(heads) == 2
    # One pair of seeds has no interval: means, and their differences, by hand.
    means = record.efficiency.groupby(["method", "shots"])["accuracy"].mean()
    written = [f"{100 * means['PPT', shots]:.1f}" for shots in (1, 2, 4)]
    assert f"| PPT | {' | '.join(written)} |" in lines
    apart = [f"{100 * (means['PPT', s] - means['PT', s]):+.1f}".replace("-", "−") for s in (1, 2, 4)]
    assert f"| PPT | {' | '.join(apart)} |" in lines
    assert "| method | examples a class | PT needs | 95 % interval | labels |" in lines
    assert len([line for line in lines if line.startswith("| PPT | ") and line.endswith("– | cannot be told |")]) == 3
    assert any(line.startswith("Whether PPT saves labels against PT cannot be told at 1, 2, 4") for line in lines)
    assert any(getattr(block, "name", "") == "efficiency" for block in document.blocks)


def test_calibrated_means_are_over_pairs_that_all_methods_have(finished: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    results = record.results.copy()
    seeds = sorted(results["data_seed"].unique())
    assert len(seeds) == 2
    early = (results["method"] == "PT") & (results["data_seed"] == seeds[0])
    results.loc[early, ["calibrated_accuracy", "start_calibrated_accuracy"]] = np.nan
    text = make_report(replace(record, results=results)).markdown()
    _, rest = text.split("calibrated: the mean over the test rows")[0].rsplit("Accuracy of the prompt before", 1)
    pairs = [line.rsplit("|", 2)[1].strip() for line in rest.splitlines() if line.startswith(("| PT |", "| PPT |"))]
    assert pairs == ["1", "1"]


def test_a_study_that_is_scored_on_other_seeds_claims_no_test_row(world: Path, tmp_path: Path) -> None:
    evaluation = {"scored_on": "other_seeds", "pairing": "paired", "data_seeds": [1, 2], "init_seeds": [0, 1]}
    methods = [{"name": "PPT", "kind": "ppt"}]
    config = parse(StudyConfig, tiny.study_tree(world, methods=methods, evaluation=evaluation), "test")
    Study(config, tmp_path).run()
    text = make_report(record_of(Workspace(tmp_path), config.name)).markdown()
    assert "Scored rows: dev rows of the other data seeds" in text and "no test row was looked at" in text
    assert "| test rows |" not in text and "share their test rows" not in text
