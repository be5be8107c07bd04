"""`metapt screen` on the tiny model: losses by plain scoring, one sentence a method, nothing computed twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call
from test_task_formats import FORMATS, config_of

from metapt_explore.config import MetaPTMethod, StudyConfig, parse, to_yaml
from metapt_explore.diagnostics import adapted_losses as adapting
from metapt_explore.diagnostics.displacement import expected
from metapt_explore.diagnostics.headroom import Estimate
from metapt_explore.diagnostics.screen import SAID, Screening, format_estimate
from metapt_explore.diagnostics.task_gradients import balanced_draws
from metapt_explore.errors import UserError
from metapt_explore.models.scoring import score_all
from metapt_explore.pretraining.episodes import read_tasks
from metapt_explore.reporting.report import make_report
from metapt_explore.results.join import joined
from metapt_explore.results.record import Record, record_of
from metapt_explore.seeds import stream
from metapt_explore.stages.common_start import CommonStart
from metapt_explore.stages.format_rows import FormatRows
from metapt_explore.stages.headroom import MOST_DRAWS
from metapt_explore.stages.task_patterns import read_patterns
from metapt_explore.study.inner_gradient import inner_gradient, keep_inner_gradient, kept_inner_gradient
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs


@pytest.fixture
def study(world: Path, finished: Path, tmp_path: Path) -> Study:
    return Study(world / "tiny.yaml", shutil.copytree(finished, tmp_path / "workspace"))


def test_losses_before_adapting_by_plain_scoring(study: Study) -> None:
    found = study.headroom("MetaPT")
    table, auxiliary = found.table("headroom"), study.config.auxiliary_tasks
    tasks = read_tasks(study.auxiliary_tasks("kmeans").table("tasks"), list(auxiliary.labels))
    assert sorted(set(table["task"])) == sorted(tasks) and len(table) == MOST_DRAWS * len(tasks)
    pattern = study.backbone.pattern(auxiliary, "auxiliary_tasks")
    inputs, prompt = as_inputs(study.texts().table("texts")), study.prompt("PT").tensors("prompt")["prompt"]
    for task, classes in tasks.items():
        draws, _ = balanced_draws(classes, 64, draws=8, rng=stream(7, "agreement", task))
        for number, (_, (rows, labels)) in enumerate(draws[:MOST_DRAWS]):
            bank = study.backbone.bank([inputs[row] for row in rows], pattern)
            scores = score_all(study.backbone, prompt[None], bank, pattern=pattern)[0]
            by_hand = torch.nn.functional.cross_entropy(scores, torch.tensor(labels))
            row = table[(table["task"] == task) & (table["draw"] == number)].iloc[0]
            assert row["query_before"] == pytest.approx(float(by_hand), abs=1e-4)
            assert row["query_rows"] == len(rows) and row["support_rows"] == 4
    summary = found.summary
    assert summary["displacement"]["tuning"] == pytest.approx(0.05, rel=0.01)  # the higher of two rates
    assert summary["displacement"]["outer"] == pytest.approx(0.05, rel=0.01)
    assert summary["displacement"]["inner"] == pytest.approx(table["moved_inner"].mean())
    assert found.stage["parents"]["prompt"] == study.prompt("PT").id  # the common start
    assert study.headroom("MetaPT").id == found.id != study.headroom("MetaPT", at="PPT").id


def test_an_inner_loop_that_moves_nothing_has_none(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    real = adapting.adapt
    monkeypatch.setattr(adapting, "adapt", lambda prompt, rates, batch, **more: real(prompt, 0.0, batch, **more))
    gains = study.headroom("MetaPT").summary["over_tasks"]
    assert {gain: (told["value"], told["high"]) for gain, told in gains.items()} == dict.fromkeys(gains, (0.0, 0.0))
    assert "do not move the prompt" in study.screen("MetaPT").warning


def test_a_measured_gradient_is_as_long_as_that_of_the_screening(study: Study) -> None:
    """Settings, and one support gradient, foretell how far the inner steps go: `metapt plan` and pages show that."""
    method = study.config.method("MetaPT")
    assert isinstance(method, MetaPTMethod) and study.config.pretraining_of(method).inner_optimiser == "gradient"
    gradient = inner_gradient(study, study.texts())
    assert gradient is not None
    foretold = expected(method, study.config, gradient).inner
    real = study.headroom("MetaPT").summary["displacement"]["inner"]
    assert foretold is not None and 0.5 < foretold / real < 2
    assert kept_inner_gradient(study.workspace, study.config) is None
    keep_inner_gradient(study, study.texts())
    assert kept_inner_gradient(study.workspace, study.config) == gradient
    longer = study.config.model_copy(update={"prompt": study.config.prompt.model_copy(update={"length": 9})})
    assert kept_inner_gradient(study.workspace, longer) is None, "of another prompt nothing is known"
    assert inner_gradient(study, None) is None


def test_only_meta_learned_methods_are_screened(study: Study) -> None:
    with pytest.raises(UserError, match="'PPT' is not meta-learned"):
        study.headroom("PPT")
    tree = study.config.model_copy(update={"methods": study.config.methods[:2]})
    with pytest.raises(UserError, match="no meta-learned method"):
        Study(tree, study.workspace).run(until="screen")


def test_the_command_says_one_sentence_a_method_and_why(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    method = {"name": "Reptile", "kind": "metapt", "clustering": "topics", "learner": "reptile"}
    methods: list[Any] = [*(m.model_dump(exclude_defaults=True) for m in study.config.methods), method]
    tree = {**study.config.model_dump(exclude_defaults=True), "methods": methods, "agreement": {"rows": 8, "draws": 3}}
    file = tmp_path / "study.yaml"
    file.write_text(to_yaml(parse(StudyConfig, tree, "test")), encoding="utf-8")
    where = ["--workspace", study.workspace.folder]
    assert call(monkeypatch, "screen", file, *where) == 0
    said = capsys.readouterr().out
    for name in ("MetaPT", "Reptile"):
        assert any(f"{name}: {sentence}" in said for sentence in SAID.values())
    assert said.count("Gradient cosine between tasks") == 2 and said.count("Cosine with downstream tasks") == 2
    monkeypatch.setattr(Study, "backbone", property(lambda self: pytest.fail("the model was loaded")))
    assert call(monkeypatch, "screen", file, "--json", *where) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["method"] for record in records] == ["MetaPT", "Reptile"]
    assert set(records[0]["gains"]) == {"inner", "tuning", "own"} and set(records[0]["downstream"]) == set(study.tasks)


def test_what_was_screened_is_in_the_record_and_the_report(study: Study, tmp_path: Path) -> None:
    before = record_of(study.workspace, "tiny")
    assert before.screenings == [] and "meta-learn?" not in make_report(before).markdown()
    before.save(tmp_path / "before")
    assert "screenings" not in json.loads((tmp_path / "before" / "record.json").read_text(encoding="utf-8"))
    found, headroom = study.screen("MetaPT"), study.headroom("MetaPT")
    record = record_of(study.workspace, "tiny")
    assert [told["method"] for told in record.screenings] == ["MetaPT"]
    record.save(tmp_path / "record")
    again = Record.load(tmp_path / "record")
    assert again.screenings == record.screenings
    assert Screening.of(again.screenings[0]).as_dict() == found.as_dict()
    markdown = make_report(again).markdown()
    assert markdown == make_report(record).markdown()
    assert "## Was there anything to meta-learn?" in markdown and f"MetaPT: {found.sentence}" in markdown
    for task in headroom.summary["tasks"]:
        assert f"{task['query_before']:.3f}" in markdown
    told = record.screenings[0]["losses"]
    assert len(told) == len(headroom.summary["tasks"]) + 1 and "| mean over tasks |" in markdown
    assert format_estimate(Estimate.of(told[-1]["query_inner"]), 3) in markdown
    assert told[-1]["query_before"]["n"] == len(headroom.summary["tasks"])
    assert joined(before, record).screenings == record.screenings


def test_tasks_of_several_formats_are_each_read_in_their_own_way(world: Path, tmp_path: Path) -> None:
    config = config_of(world, tmp_path, FORMATS, agreement={"rows": 8, "draws": 2})
    study = Study(config, tmp_path / "workspace")
    table = study.headroom("MetaPT").table("headroom")
    tasks, texts = study.tasks_of(config.method("MetaPT")), FormatRows(study).artifact.table("texts")
    reading = read_patterns(config, tasks, study.backbone)
    gradient = inner_gradient(study, study.texts())
    assert gradient is not None and gradient > 0
    prompt = study.make(CommonStart.of(study, 0)).tensors("prompt")["prompt"]
    inputs = as_inputs(texts)
    assert len({reading.of_task[task] for task in table["task"]}) > 2  # labels, clusters with words of their own, pairs
    for task, row in table[table["draw"] == 1].set_index("task").iterrows():
        number = int(str(task))
        draws, _ = balanced_draws(reading.tasks[number], 8, draws=2, rng=stream(7, "agreement", number))
        _, (rows, labels) = draws[1]
        pattern = reading.pattern_of(number)
        scores = score_all(
            study.backbone, prompt[None], study.backbone.bank([inputs[r] for r in rows], pattern), pattern=pattern
        )[0]
        by_hand = torch.nn.functional.cross_entropy(scores, torch.tensor(labels))
        assert row["query_before"] == pytest.approx(float(by_hand), abs=1e-4)
    assert study.screen("MetaPT").tasks == len(reading.tasks)
