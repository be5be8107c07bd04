"""Baselines that train, in a study: stopped, gone on with, counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
import torch
from kept import KeptInMemory, StopAt
from small_inputs import inputs_of

from metapt_explore.baselines.inputs import OutcomeCheckpoint
from metapt_explore.baselines.registry import run_of
from metapt_explore.config import StudyConfig, parse
from metapt_explore.cost.count import Reckoning
from metapt_explore.errors import Cancelled
from metapt_explore.fewshot.scoring import measure
from metapt_explore.jobs.queue import cancel
from metapt_explore.progress.state import Progress
from metapt_explore.stages.registry import count, shares
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def test_a_cancelled_run_goes_on_at_the_next_baseline(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(
        world,
        methods=[{"name": "PT", "kind": "pt"}],
        baselines=["zero_shot", {"name": "full", "kind": "full", "learning_rates": [0.001]}],
    )
    stages: list[str] = []

    def stop(state: Any) -> None:
        if state.stage.startswith("baseline full on question"):
            cancel(Workspace(tmp_path), "tiny")

    with pytest.raises(Cancelled):
        Study(tree, tmp_path, Progress(stop)).run()
    study = Study(tree, tmp_path, Progress(lambda state: stages.append(state.stage)))
    results = study.run()
    begun = [stage for stage in dict.fromkeys(stages) if stage.startswith("baseline")]
    assert begun == ["baseline full on question, initialisation seed 0"]
    assert set(results["method"]) == {"PT", "zero_shot", "full"}


@pytest.mark.parametrize("kind", ["setfit", "lora", "full", "in_context", "cpt", "prefix_tuning", "instruction_search"])
def test_finished_data_seeds_are_kept(kind: str, world: Path) -> None:
    """Stopped during the second of two data seeds: the first is not trained again, and the same comes out."""
    options = {"in_context": {"orders": 2}, "cpt": {"max_prompt_tokens": 40}}.get(kind, {})
    inputs, counted = inputs_of(world, kind, settings=options), StopAt(None)
    how = run_of(inputs.study.baseline("b"))
    whole = how(replace(inputs, on_units=counted))
    told_at_first = counted.calls % 2  # where it stands, before any of two equal parts
    kept = OutcomeCheckpoint(KeptInMemory())
    attempt = replace(inputs, keep=kept.save, restore=kept.restore)
    with pytest.raises(Cancelled):
        how(replace(attempt, on_units=StopAt(counted.calls // 2 + 1 + told_at_first)))
    rest = StopAt(None)
    found = how(replace(attempt, on_units=rest))
    assert rest.calls == counted.calls // 2 + told_at_first
    assert found.spent == whole.spent and list(found.seeds) == list(whole.seeds)
    pd.testing.assert_frame_equal(pd.DataFrame(found.curves), pd.DataFrame(whole.curves), check_exact=True)
    for seed, scored in whole.seeds.items():
        again = found.seeds[seed]
        assert (again.dev_accuracy, again.chosen) == (scored.dev_accuracy, scored.chosen)
        assert torch.equal(again.scores, scored.scores) and (again.start is None) == (scored.start is None)
        assert scored.start is None or torch.equal(again.start, scored.start)
        assert scored.dev is not None and torch.equal(again.dev, scored.dev)
        assert measure(scored.dev, inputs.dev[seed].labels, whole.verbalizer)["accuracy"] == scored.dev_accuracy


def test_work_of_baselines_is_counted(world: Path, tmp_path: Path) -> None:
    baselines = ["majority", "zero_shot", "setfit", {"name": "full", "kind": "full", "learning_rates": [0.1, 0.2]}]
    config = parse(StudyConfig, tiny.study_tree(world, baselines=baselines), "test")
    works = count(Study(config, tmp_path), Reckoning.of(config, text_tokens=10))
    # Train and dev of two seeds, and test.
    assert works["baseline/model/zero_shot/mood"].encoded == 10 * (2 * 2 * 8 + 20)
    # Two seeds, two rates, four steps of four rows forward and backward, dev at the start and at two steps; test each
    # time.
    assert works["baseline/model/full/mood/0"].encoded == 10 * (2 * (2 * 3.5 * 16 + (1 + 2 * 2) * 8 + 20) + 20)
    # Through the encoder; what runs no model is no work.
    assert works["baseline/encoder/setfit/mood/0"].embedded > 0
    assert not any(key.startswith("baseline/none") for key in works)
    planned = shares(Study(config, tmp_path))
    assert planned["baseline/none/majority/mood"] == 100 and planned["baseline/encoder/setfit/question/0"] > 100
