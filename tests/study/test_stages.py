"""The list of stages: keys, ids before anything is computed, how far a run goes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.cost.count import Reckoning
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Stage
from metapt_explore.stages.fewshot import FewShot
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.registry import REQUESTS, STAGES, UNTIL, asked, needs_model, parts_until, shares
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import Texts
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def study_of(world: Path, workspace: Path, **changes: Any) -> Study:
    return Study(parse(StudyConfig, tiny.study_tree(world, **changes), "test"), workspace)


def everything(world: Path, workspace: Path) -> Study:
    methods = [
        {"name": "PT", "kind": "pt"},
        {"name": "PT and probe", "kind": "pt", "verbalizer": {"read": "probe_ensemble"}},
        {"name": "PPT", "kind": "ppt"},
        {"name": "less", "kind": "metapt", "clustering": "kmeans", "without": [1]},
    ]
    evaluation = {"init_seeds": [0, 1], "more_shots": [2]}
    return study_of(world, workspace, methods=methods, baselines=["tfidf", "setfit"], evaluation=evaluation)


def test_every_stage_of_a_study_has_a_key_of_its_own(world: Path, tmp_path: Path) -> None:
    study = everything(world, tmp_path)
    keys = Counter(stage.key for stage in asked(study))
    assert set(keys.values()) == {1}
    assert {"split/mood", "split/mood at 2 shots", "fewshot/PT and probe/mood at 2 shots/1"} <= set(keys)
    assert {stage.kind for stage in asked(study)} == {kind.kind for kind in STAGES if kind.part != "request"} - {
        "labels",
        "format_rows",
    }
    planned = shares(study, Reckoning.of(study.config))
    assert planned.keys() <= keys.keys() and min(planned.values()) > 0
    assert not any(tmp_path.iterdir()), "planning writes nothing"


def test_an_id_is_known_before_anything_is_computed(world: Path, finished: Path, tmp_path: Path) -> None:
    fresh, there = study_of(world, tmp_path), Study(world / "tiny.yaml", finished)
    stages = [
        FewShot(study, Prompt(study, study.config.method("MetaPT"), 0), study.tasks["mood"]) for study in (fresh, there)
    ]
    assert stages[0].id == stages[1].id == there.fewshot("MetaPT", "mood").id
    assert not any(tmp_path.iterdir()) and stages[1].is_there and not stages[0].is_there


def test_a_question_is_asked_once_while_files_do_not_change(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, read = study_of(world, tmp_path), []
    inputs = Texts.inputs
    monkeypatch.setattr(Texts, "inputs", lambda stage: read.append(1) or inputs(stage))
    with study.remembering():
        ids = [stage.id for stage in asked(study)]
    assert len(read) == 1 and len(ids) > 10
    assert study.known is None and Texts(study).id in ids and len(read) == 2


def test_how_far_a_run_goes() -> None:
    assert parts_until("texts") == ("texts",) and parts_until("all") == ("texts", "clusters", "prompts", "scores")
    assert set(REQUESTS) <= set(UNTIL) and all(parts_until(kind) == ("texts", "clusters") for kind in REQUESTS)
    assert not any(needs_model(until) for until in ("texts", "clusters", "stability"))
    assert all(needs_model(until) for until in ("agreement", "lens", "hardest_texts", "template_ranking"))
    assert all(needs_model(until) for until in ("plan", "prompts", "all"))


def test_an_unknown_request_and_an_unknown_end_are_named(world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path)
    with pytest.raises(UserError, match=r"Nothing is called 'stabilty'\. Did you mean 'stability'"):
        study.request("stabilty")
    with pytest.raises(UserError, match=r"--until is texts, .*'promts' is none of them\. Did you mean 'prompts'"):
        study.run(until="promts")
    assert Workspace(tmp_path).study_names() == []


def test_every_stage_says_what_it_is() -> None:
    for stage in STAGES:
        assert issubclass(stage, Stage) and stage.kind and stage.part and not stage.__abstractmethods__


def test_few_shot_rows_do_not_depend_on_the_model(world: Path, tmp_path: Path) -> None:
    """So a second study with another model and no methods is scored on the same rows (docs/baselines.md)."""
    other = {"model": {"name": str(world / "encoder"), "max_text_tokens": 9}, "name": "other"}
    second = study_of(world, tmp_path, methods=[], baselines=["tfidf"], **other)
    rows = [Split(study, study.tasks["mood"]).id for study in (study_of(world, tmp_path), second)]
    assert rows[0] == rows[1]
