"""Support rows that follow the labelled examples: resolved once, in ids, draws, budgets and control alike."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from matched_world import SIZES, config_of

from metapt_explore.config import load_study, to_yaml
from metapt_explore.config.auxiliary_tasks import AuxiliaryTasksConfig
from metapt_explore.config.support import most_classes
from metapt_explore.cost.count import Reckoning
from metapt_explore.errors import UserError
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.results.tables import efficiency_table
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.registry import count
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.overview import pipeline
from metapt_explore.study.study import Study


def test_rows_a_class_become_rows_a_task(world: Path) -> None:
    assert config_of(world, 3).pretraining.support_size == 6
    match = config_of(world, "match", [1, 16])
    assert match.pretraining.support_size == 2 * match.evaluation.shots == 8
    assert [match.at_shots(shots).pretraining.support_size for shots in (None, 1, 16)] == [8, 2, 32]
    fixed = config_of(world, 3, [1, 16])
    assert {fixed.at_shots(shots).pretraining.support_size for shots in (None, 1, 16)} == {6}
    assert config_of(world, None, [1]).at_shots(1).pretraining.support_size == 8


def test_a_study_that_is_written_reads_back_as_it_was(world: Path, tmp_path: Path) -> None:
    config = config_of(world, "match", [1, 16])
    (tmp_path / "study.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert load_study(tmp_path / "study.yaml") == config
    (tmp_path / "brief.yaml").write_text(to_yaml(config, brief=True), encoding="utf-8")
    assert load_study(tmp_path / "brief.yaml") == config
    assert yaml.safe_load(to_yaml(config))["pretraining"]["support_shots"] == "match"


def test_two_sizes_are_refused(world: Path) -> None:
    with pytest.raises(UserError, match=r"makes `support_size` 6 \(3 rows of each of 2 classes\), not 8; leave"):
        config_of(world, 3, support_size=8)
    with pytest.raises(UserError, match="support_shots"):
        config_of(world, "few")
    with pytest.raises(UserError, match="support_shots"):
        config_of(world, 0)


@pytest.mark.parametrize(
    ("auxiliary", "classes"),
    [
        ({"labels": {"a": "a", "b": "b", "c": "c"}}, 3),
        ([{"format": "sentence_pair"}], 3),
        ([{"format": "cluster_classes", "classes": [2, 5]}, {"format": "selection", "options": 4}], 5),
        ([{"labels": {"a": "a", "b": "b"}}, {"format": "selection", "options": 4}], 4),
    ],
)
def test_tasks_with_most_classes_count(auxiliary: Any, classes: int) -> None:
    assert most_classes(AuxiliaryTasksConfig.model_validate(auxiliary)) == classes


def test_an_episode_has_as_many_rows_of_a_class_as_shots_and_the_pool_the_same_rows(world: Path) -> None:
    rows = {label: list(range(100 * place, 100 * place + 60)) for place, label in enumerate(("negative", "positive"))}
    study = config_of(world, "match", [1, 2, 16])
    methods = {method.name: method for method in study.methods}
    for shots in (1, 2, 4, 16):
        at = study.at_shots(shots)
        drawn = {}
        for name in ("PPT", "MetaPT"):
            tasks = {task: {label: of[30 * task : 30 * task + 30] for label, of in rows.items()} for task in (0, 1)}
            method: Any = methods[name]
            drawn[name] = make_learner(PretrainingTask(tasks, at.pretraining, method, 0, 0)).draw(0)
        for labels in drawn["MetaPT"].support_labels:
            assert Counter(labels) == {0: shots, 1: shots}
        assert len(drawn["PPT"].rows) == len(drawn["MetaPT"].rows) == 2 * (2 * shots + 4)


def test_ids_change_by_the_rows_alone(world: Path, tmp_path: Path) -> None:
    """The same rows by another name are the same question, and nobody's id changes who does not ask for it."""
    named, sized = (Study(config, tmp_path) for config in (config_of(world, 3), config_of(world, None, support_size=6)))
    for method in ("PPT", "MetaPT"):
        assert named.prompt(method).id == sized.prompt(method).id
    assert "support_shots" not in named.prompt("MetaPT").stage["config"]


def test_a_prompt_is_pretrained_for_each_number_of_examples(world: Path, matched: Path) -> None:
    config, workspace = config_of(world, "match", [1, 2]), Workspace(matched)
    study = Study(config, workspace)
    planned = count(study, Reckoning.of(config))
    table = efficiency_table(workspace, "tiny")
    assert table.groupby(["method", "shots"]).size().eq(1).all() and len(table) == 3 * 3
    sizes, ids = {}, {}
    for shots in (None, 1, 2):
        for method in ("PT", "PPT", "MetaPT"):
            prompt = study.prompt(method, shots=shots)
            ids[method, shots] = prompt.id
            sizes[method, shots] = prompt.stage["config"].get("support_size"), prompt.summary.get("row_passes")
            assert study.fewshot(method, "mood", shots=shots).stage["parents"]["prompt"] == prompt.id
    assert {ids["PT", shots] for shots in (None, 1, 2)} == {ids["PT", None]}
    assert len({ids["MetaPT", shots] for shots in (None, 1, 2)}) == 3
    for shots, k in ((None, 4), (1, 1), (2, 2)):
        rows = SIZES["steps"] * SIZES["meta_batch_size"] * (2 * k + SIZES["query_size"])
        for method in ("PPT", "MetaPT"):
            assert sizes[method, shots] == (2 * k, rows)
            called = method if shots is None else f"{method} at {shots} shot{'s' * (shots > 1)}"
            assert planned[f"prompt/{called}/0"].trained == rows
    (step,) = [step for step in pipeline(workspace, config) if step.name == "Prompts"]
    assert (step.status, step.said) == ("done", "7 prompts")
    # As in a study that asks for so many rows; the few-shot rows, which no text may equal, are the same.
    alone = Study(config_of(world, 1, [1, 2]), workspace)
    for shots in (None, 2):
        assert Prompt.at(alone, alone.config.method("MetaPT"), 0, shots).id == ids["MetaPT", 1]
