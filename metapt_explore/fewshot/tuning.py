"""Few-shot prompt tuning of one method on one task: all data seeds and learning rates in one batch.

Prompt tuning: Lester et al., EMNLP 2021 (arXiv 2104.08691). Learning rate and number of steps are
chosen on the dev split of each data seed; the test split is scored once, after the choice.

With `halving_steps` learning rates drop out on the way: successive halving (Jamieson and Talwalkar, AISTATS 2016,
arXiv 1502.07943) over the rates of each data seed, by dev loss. Four rates that are halved after 5 and 10 of 30 steps
cost 50 steps instead of 120.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from torch import Tensor

from metapt_explore.fewshot.final_scores import FinalScores
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


@dataclass(frozen=True)
class TuningOutcome:
    """What few-shot tuning of one prompt on one task gave.

    Attributes:
        results: One for each data seed.
        curves: One point for each data seed, learning rate and scored step that the rate was tuned to.
        prompts: The kept prompt of each data seed, `[prompt_tokens, width]`.
        passes: Rows sent forward and backward.
        forward: Rows sent forward only, to choose on dev and to score, each as often as there were prompts.
    """

    results: list[TuningResult]
    curves: list[CurvePoint]
    prompts: dict[int, Tensor]
    passes: int
    forward: int


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
    data, config, state, reading = tuned.data, tuned.plan.config, tuned.state, tuned.reading
    dev_rows = reading.forward.rows
    curves = tuned.dev_scores.curves(state.snapshots)
    by_seed = {seed: [point for point in curves if point["data_seed"] == seed] for seed in data.train}
    chosen = {seed: choose(points, config.select_by) for seed, points in by_seed.items()}
    rates = {seed: point["learning_rate"] for seed, point in chosen.items()}
    chosen_curves = {
        seed: [point for point in points if point["learning_rate"] == rates[seed]] for seed, points in by_seed.items()
    }
    final = FinalScores(tuned, chosen, {seed: [p["step"] for p in points] for seed, points in chosen_curves.items()})
    forward, rows_before_soups = dev_rows + state.tested_rows, reading.forward.rows
    soup = soups(state.snapshots, tuned.cells, curves, size=config.soup) if config.soup > 1 else {}
    results: list[TuningResult] = []
    prompts: dict[int, Tensor] = {}
    for seed, point in chosen.items():
        for curve_point in chosen_curves[seed]:
            on_curve = final.curves[seed][curve_point["step"]]
            curve_point["test_accuracy"], curve_point["test_macro_f1"] = on_curve["accuracy"], on_curve["macro_f1"]
            curve_point["test_loss"] = on_curve["loss"]
        prompt = state.snapshots[point["step"]][tuned.cells.index((seed, rates[seed]))]
        scores, dev_accuracy = final.at(seed, point["step"]), point["dev_accuracy"]
        if seed in soup:
            prompt, train, dev = soup[seed], data.train[seed], data.dev[seed]
            scores = reading.scores(prompt[None], data.scored, [train])[0]
            dev_accuracy = reading.measure(reading.scores(prompt[None], dev, [train])[0], dev)["accuracy"]
        prompts[seed] = prompt.cpu()
        last = reading.measure(scores, data.scored)
        initial_scores = final.at(seed, 0)
        first = reading.measure(initial_scores, data.scored)
        results.append(
            TuningResult(
                data_seed=seed,
                accuracy=last["accuracy"],
                macro_f1=last["macro_f1"],
                test_loss=last["loss"],
                start_accuracy=first["accuracy"],
                start_loss=first["loss"],
                calibrated_accuracy=reading.calibrated_accuracy(scores, data.scored),
                start_calibrated_accuracy=reading.calibrated_accuracy(initial_scores, data.scored),
                dev_accuracy=dev_accuracy,
                learning_rate=float("nan") if seed in soup else point["learning_rate"],
                step=float("nan") if seed in soup else point["step"],
            )
        )
    forward += reading.forward.rows - rows_before_soups
    return TuningOutcome(results, curves, prompts, round(state.row_passes), forward)
