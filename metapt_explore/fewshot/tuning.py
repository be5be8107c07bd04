"""Few-shot prompt tuning of one method on one task: all data seeds and learning rates in one batch.

Prompt tuning: Lester et al., EMNLP 2021 (arXiv 2104.08691). Learning rate and number of steps are
chosen on the dev split of each data seed; the test split is scored once, after the choice.

With `halving_steps` learning rates drop out on the way: successive halving (Jamieson and Talwalkar, AISTATS 2016,
arXiv 1502.07943) over the rates of each data seed, by dev loss. Four rates that are halved after 5 and 10 of 30 steps
cost 50 steps instead of 120.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

from torch import Tensor

from metapt_explore.fewshot.final_scores import FinalScores
from metapt_explore.fewshot.predictions import RowScores
from metapt_explore.fewshot.scoring import FewShotData
from metapt_explore.fewshot.selection import CurvePoint, choose, soups
from metapt_explore.fewshot.tuning_steps import TuningPlan, TuningSteps
from metapt_explore.models.backbone import Backbone
from metapt_explore.pretraining.state import NO_CALLBACKS, TrainingCallbacks
from metapt_explore.verbalizers.pattern import PatternVerbalizer


class TuningResult(TypedDict):
    """What tuning on one data seed gave.

    Attributes:
        data_seed: The data seed.
        accuracy: Of the kept prompt on the scored rows.
        macro_f1: Likewise.
        test_loss: Likewise.
        start_accuracy: Of the initial prompt on the scored rows.
        start_loss: Likewise.
        calibrated_accuracy: Of the kept prompt, without any bias towards a class.
        start_calibrated_accuracy: Likewise of the initial prompt.
        dev_accuracy: Of the kept prompt on dev rows.
        learning_rate: What dev chose; NaN for a soup, which has none.
        step: What dev chose; NaN for a soup.
        words: Label words that the data seed chose, as JSON.
        begins: What the data seed's start was made of, as JSON (`Begins`).
    """

    data_seed: int
    accuracy: float
    macro_f1: float
    test_loss: float
    start_accuracy: float
    start_loss: float
    calibrated_accuracy: float
    start_calibrated_accuracy: float
    dev_accuracy: float
    learning_rate: float
    step: float
    words: NotRequired[str]
    begins: NotRequired[str]


@dataclass(frozen=True)
class TuningOutcome:
    """What few-shot tuning of one prompt on one task gave.

    Attributes:
        results: One for each data seed.
        curves: One point for each data seed, learning rate and scored step that the rate was tuned to.
        prompts: The kept prompt of each data seed, `[prompt_tokens, width]`.
        starts: Where each data seed began, the same shape; empty where all began from the prompt that was given.
        passes: Rows sent forward and backward.
        forward: Rows sent forward only, to choose on dev and to score, each as often as there were prompts.
        choosing: Rows among `passes` that made the starts, before any step of tuning.
        predictions: What the kept prompt of each data seed says of the scored rows.
        dev_predictions: What it says of the data seed's dev rows.
    """

    results: list[TuningResult]
    curves: list[CurvePoint]
    prompts: dict[int, Tensor]
    starts: dict[int, Tensor]
    passes: int
    forward: int
    choosing: int = 0
    predictions: dict[int, RowScores] = field(default_factory=dict)
    dev_predictions: dict[int, RowScores] = field(default_factory=dict)


def tune(
    initial_prompt: Tensor,
    data: FewShotData,
    plan: TuningPlan,
    *,
    backbone: Backbone,
    pattern: PatternVerbalizer,
    callbacks: TrainingCallbacks = NO_CALLBACKS,
) -> TuningOutcome:
    """Tunes one prompt on every data seed at every learning rate, and scores what dev chose.

    Args:
        initial_prompt: fp32, `[prompt_tokens, width]`.
        data: The few-shot examples and dev rows of each data seed, and the scored rows.
        plan: How it is tuned.
        backbone: The frozen model.
        pattern: Template and label words of the task.
        callbacks: Receive metrics, progress and checkpoints; where they raise, the finished steps have been saved.
    """
    tuned = TuningSteps(initial_prompt, data, plan, backbone=backbone, pattern=pattern, callbacks=callbacks)
    with tuned.checkpoint.saved_when_stopped():
        tuned.run()
        return _outcome(tuned)


def _outcome(tuned: TuningSteps) -> TuningOutcome:
    """What dev chose, and its scores on the scored rows."""
    config, state, reading = tuned.plan.config, tuned.state, tuned.reading
    dev_rows = reading.forward.rows
    curves = tuned.dev_scores.curves(state.snapshots)
    by_seed = {seed: [point for point in curves if point["data_seed"] == seed] for seed in tuned.data.train}
    chosen = {seed: choose(points, config.select_by) for seed, points in by_seed.items()}
    chosen_curves = {
        seed: [point for point in points if point["learning_rate"] == chosen[seed]["learning_rate"]]
        for seed, points in by_seed.items()
    }
    final = FinalScores(tuned, chosen, {seed: [p["step"] for p in points] for seed, points in chosen_curves.items()})
    for seed, points in chosen_curves.items():
        for point in points:
            metrics = final.curves[seed][point["step"]]
            point["test_accuracy"], point["test_macro_f1"] = metrics["accuracy"], metrics["macro_f1"]
            point["test_loss"] = metrics["loss"]
    rows_before_soups = reading.forward.rows
    mixed = soups(state.snapshots, tuned.cells, curves, size=config.soup) if config.soup > 1 else {}
    prompts = {
        seed: _soup(tuned, seed, mixed[seed]) if seed in mixed else _chosen_prompt(tuned, final, point)
        for seed, point in chosen.items()
    }
    return TuningOutcome(
        [_result(tuned, seed, chosen=each, initial=final.at(seed, 0)) for seed, each in prompts.items()],
        curves,
        {seed: each.prompt.cpu() for seed, each in prompts.items()},
        {seed: prompt.cpu() for seed, prompt in tuned.starts.prompts.items() if tuned.starts.differ},
        passes=round(state.row_passes) + tuned.starts.row_passes,
        forward=tuned.starts.forward_rows + dev_rows + state.tested_rows + reading.forward.rows - rows_before_soups,
        choosing=tuned.starts.row_passes,
        predictions={seed: RowScores.of(each.scores, reading.pattern.verbalizer) for seed, each in prompts.items()},
        dev_predictions={seed: each.dev for seed, each in prompts.items()},
    )


@dataclass(frozen=True)
class _ChosenPrompt:
    """The prompt that is chosen for a data seed.

    Attributes:
        prompt: `[prompt_tokens, width]`.
        scores: Of the scored rows under it, `[rows, columns]`.
        dev: What it says of dev rows.
        dev_accuracy: On dev rows.
        learning_rate: Its learning rate; NaN for a soup.
        step: Its step; NaN for a soup.
    """

    prompt: Tensor
    scores: Tensor
    dev: RowScores
    dev_accuracy: float
    learning_rate: float
    step: float


def _chosen_prompt(tuned: TuningSteps, final: FinalScores, point: CurvePoint) -> _ChosenPrompt:
    seed, step, rate = point["data_seed"], point["step"], point["learning_rate"]
    cell = tuned.cells.index((seed, rate))
    said = tuned.dev_scores.said(step, cell)
    return _ChosenPrompt(
        tuned.state.snapshots[step][cell], final.at(seed, step), said, point["dev_accuracy"], rate, step
    )


def _soup(tuned: TuningSteps, seed: int, prompt: Tensor) -> _ChosenPrompt:
    data, reading = tuned.data, tuned.reading
    train, dev = data.train[seed], data.dev[seed]
    scores = reading.scores(prompt[None], data.scored, [train])[0]
    dev_scores = reading.scores(prompt[None], dev, [train])[0]
    said, accuracy = RowScores.of(dev_scores, reading.pattern.verbalizer), reading.measure(dev_scores, dev)["accuracy"]
    return _ChosenPrompt(prompt, scores, said, accuracy, float("nan"), float("nan"))


def _result(tuned: TuningSteps, seed: int, *, chosen: _ChosenPrompt, initial: Tensor) -> TuningResult:
    rows, reading = tuned.data.scored, tuned.reading
    first, last = reading.measure(initial, rows), reading.measure(chosen.scores, rows)
    result = TuningResult(
        data_seed=seed,
        accuracy=last["accuracy"],
        macro_f1=last["macro_f1"],
        test_loss=last["loss"],
        start_accuracy=first["accuracy"],
        start_loss=first["loss"],
        calibrated_accuracy=reading.calibrated_accuracy(chosen.scores, rows),
        start_calibrated_accuracy=reading.calibrated_accuracy(initial, rows),
        dev_accuracy=chosen.dev_accuracy,
        learning_rate=chosen.learning_rate,
        step=chosen.step,
    )
    if seed in tuned.starts.begins:
        result["begins"] = json.dumps(tuned.starts.begins[seed].record())
    return result
