"""What data seeds begin from, inside a stage: what enters its id, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import MethodConfig, StudyConfig, parse
from metapt_explore.config.tuning import MIXTURE_STEPS
from metapt_explore.cost.count import Work
from metapt_explore.stages.begins import begins_settings, choosing_work
from metapt_explore.study.study import Study

OF_CLUSTERS = {"name": "m", "kind": "metapt", "clustering": "kmeans"}


def method(**settings: Any) -> MethodConfig:
    return MethodConfig(**{**OF_CLUSTERS, **settings})


@pytest.mark.parametrize(
    ("settings", "begins"),
    [
        ({"learner": "maml"}, {}),
        ({"learner": "maml", "tuning": {"demonstrations": 40}}, {"begins": {"demonstrations": 40}}),
        ({"learner": "hsml", "temperature": 0.3}, {"begins": {"mixture": "gate", "temperature": 0.3}}),
        ({"learner": "prompt_per_cluster", "tuning": {"mixture": "mean"}}, {"begins": {"mixture": "mean"}}),
    ],
    ids=str,
)
def test_only_what_differs_enters_an_id(settings: dict[str, Any], begins: dict[str, Any]) -> None:
    assert begins_settings(method(**settings)) == begins


def test_rows_that_choose_are_counted_before_they_run() -> None:
    study = parse(StudyConfig, tiny.study_tree(Path("/nowhere")), "test")
    best = {"mixture": "best"}
    assert choosing_work(method(learner="maml"), study, 24) == Work()
    assert choosing_work(method(learner="hsml", families=3), study, 24) == Work(scored=3 * 24)
    # As many starts as the clustering is asked to make.
    assert choosing_work(method(learner="prompt_per_cluster", tuning=best), study, 24) == Work(scored=4 * 24)
    learned = method(learner="hsml", tuning={"mixture": "learned"})
    assert choosing_work(learned, study, 24) == Work(trained=MIXTURE_STEPS * 24)
    assert choosing_work(method(learner="hsml", tuning={"mixture": "mean"}), study, 24) == Work()


@pytest.mark.parametrize("placement", ["suffix", "prefix"])
def test_demonstrations_behind_the_text_are_noticed(world: Path, tmp_path: Path, placement: str) -> None:
    methods = [{"name": "CT", "kind": "pt", "init": "demonstrations"}]
    tree = tiny.study_tree(world, methods=methods, prompt={"length": 8, "placement": placement})
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "workspace")
    study.check_settings()
    told = [notice for notice in study.progress.state.notices if "demonstrations stand between" in notice]
    assert len(told) == (placement == "suffix")
