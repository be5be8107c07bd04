"""A small few-shot tuning, for tests of tuning and of resuming it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from kept import KeptInMemory
from small_inputs import split

from metapt_explore.config import EvaluationConfig, LabelsConfig
from metapt_explore.fewshot.scoring import FewShotData
from metapt_explore.fewshot.starts import StartMaker, same_start
from metapt_explore.fewshot.tuning import TuningOutcome, tune
from metapt_explore.fewshot.tuning_steps import TuningPlan
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.pretraining.state import TrainingCallbacks

LABELS = LabelsConfig(template="{text} Sentiment :", labels={"negative": "negative", "positive": "positive"})


def data_of(seeds: list[int]) -> FewShotData:
    return FewShotData({s: split(s, 8) for s in seeds}, {s: split(s + 100, 8) for s in seeds}, split(500, 24))


def run(
    backbone: CausalBackbone,
    seeds: list[int],
    rates: list[float],
    steps: int = 5,
    on_step: Callable[[int], None] = lambda step: None,
    on_pass: Callable[[int], None] = lambda step: None,
    store: KeptInMemory | None = None,
    starts: StartMaker = same_start,
    **settings: Any,
) -> TuningOutcome:
    sizes = {"steps": steps, "batch_size": 4, "curve_steps": [0, 2, steps]}
    config = EvaluationConfig(tasks=["x"], data_seeds=seeds, learning_rates=rates, **{**sizes, **settings})
    pattern = backbone.pattern(LABELS, "test")
    start = backbone.embedding[20:23].clone()
    plan, callbacks = (
        TuningPlan(config, (0, 0), starts=starts),
        TrainingCallbacks(on_step=on_step, on_pass=on_pass, checkpoints=store),
    )
    return tune(start, data_of(seeds), plan, backbone=backbone, pattern=pattern, callbacks=callbacks)


def same(one: TuningOutcome, other: TuningOutcome) -> bool:
    assert (one.passes, one.forward) == (other.passes, other.forward)
    pd.testing.assert_frame_equal(pd.DataFrame(one.results), pd.DataFrame(other.results), check_exact=True)
    pd.testing.assert_frame_equal(pd.DataFrame(one.curves), pd.DataFrame(other.curves), check_exact=True)
    assert list(one.prompts) == list(other.prompts)
    return all(torch.equal(one.prompts[seed], other.prompts[seed]) for seed in one.prompts)
