"""Few-shot prompt tuning of one method on one task: all data seeds and learning rates in one batch.

Prompt tuning: Lester et al., EMNLP 2021 (arXiv 2104.08691). Learning rate and number of steps are
chosen on the dev split of each data seed; the test split is scored once, after the choice.

With `halving_steps` learning rates drop out on the way: successive halving (Jamieson and Talwalkar, AISTATS 2016,
arXiv 1502.07943) over the rates of each data seed, by dev loss. Four rates that are halved after 5 and 10 of 30 steps
cost 50 steps instead of 120.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import EvaluationConfig, VerbalizerConfig
from metapt_explore.fewshot.samples import balanced_part
from metapt_explore.fewshot.scoring import BY_WORDS, ClassReading, Split, finite_or_last
from metapt_explore.fewshot.tuning_steps import TuningSteps
from metapt_explore.models.backbone import Backbone
from metapt_explore.storage.checkpoint import CheckpointStore
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Accuracy on test without any bias towards a class, among the scores of one prompt.
CALIBRATED = "test_calibrated_accuracy"
#: Prompts that are scored on test together, as many as share a pass over a text; what is scored is kept.
TOGETHER = 8


@dataclass(frozen=True)
class TuningOutcome:
    """What few-shot tuning of one prompt on one task gave.

    Attributes:
        results: One record for each data seed: test scores at the chosen rate and step, and at the start.
        curves: One record for each data seed, learning rate and scored step that the rate came to.
        prompts: The chosen prompt of each data seed, `[prompt_tokens, width]`.
        passes: Rows sent forward and backward.
        forward: Rows sent forward only, to choose on dev and to score, each as often as there were prompts.
    """

    results: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    prompts: dict[int, Tensor]
    passes: int
    forward: int


def tune(
    start: Tensor,
    backbone: Backbone,
    pattern: PatternVerbalizer,
    train: Mapping[int, Split],
    dev: Mapping[int, Split],
    test: Split,
    config: EvaluationConfig,
    order_seed: tuple[int, ...],
    on_step: Callable[[int, dict[str, Any]], None],
    on_pass: Callable[[int], None] = lambda step: None,
    verbalizer: VerbalizerConfig = BY_WORDS,
    record: CheckpointStore | None = None,
) -> TuningOutcome:
    """Tunes one start on every data seed at every learning rate, and scores what dev chose on test.

    Args:
        start: The prompt to begin from, fp32 `[prompt_tokens, width]`.
        backbone: The frozen model.
        pattern: Template and label words of the task.
        train: The few-shot examples of each data seed.
        dev: As many held-out examples for choosing.
        test: Rows that nothing is chosen on.
        config: Learning rates, steps, batch size.
        order_seed: What orders the examples: study seed and initialisation seed, or an order that was asked for.
        on_step: Called after each tuning step with a record of the mean training loss.
        on_pass: Called with the finished steps after each pass through the model; may raise to stop.
        verbalizer: How dev and test rows are read; tuning itself goes by the pattern's label words.
        record: Keeps a checkpoint; one that is found there is gone on from, to the same outcome.
    """
    steps = TuningSteps(start, backbone, pattern, train, dev, config, order_seed, on_step, on_pass, verbalizer, record)
    try:
        steps.run()
        return _outcome(steps, train, dev, test, config)
    except BaseException:
        steps.keep()
        raise


def _outcome(
    tuned: TuningSteps,
    train: Mapping[int, Split],
    dev: Mapping[int, Split],
    test: Split,
    config: EvaluationConfig,
) -> TuningOutcome:
    """What dev chose, and its scores on test."""
    seeds, cells, snapshots, reading = list(train), tuned.cells, tuned.progress.snapshots, tuned.reading
    of_dev_rows = reading.forward.rows
    curves = tuned.scored.records(snapshots)
    chosen = {seed: choose([c for c in curves if c["data_seed"] == seed], config.select_by) for seed in seeds}
    steps = {seed: [c["step"] for c in curves if _same_cell(c, choice)] for seed, choice in chosen.items()}
    tested, drawn = _score_test(tuned, chosen, steps, train, test, config.curve_rows)
    forward = of_dev_rows + tuned.progress.tested_rows
    before_soups = reading.forward.rows
    soups = _soups(snapshots, cells, curves, config.soup) if config.soup > 1 else {}
    results, kept = [], {}
    for seed in seeds:
        choice = chosen[seed]
        for record in curves:
            if _same_cell(record, choice):
                record.update(drawn[seed][record["step"]])
        end, begin, dev_accuracy = tested[seed][choice["step"]], tested[seed][0], choice["dev_accuracy"]
        kept[seed] = snapshots[choice["step"]][cells.index((seed, choice["learning_rate"]))]
        if seed in soups:
            kept[seed] = soups[seed]
            end = _test_scores(reading.scores(kept[seed][None], test, [train[seed]])[0], test, reading)
            of_dev = reading.measure(reading.scores(kept[seed][None], dev[seed], [train[seed]])[0], dev[seed])
            dev_accuracy = of_dev["accuracy"]
        results.append(
            {
                "data_seed": seed,
                "accuracy": end["test_accuracy"],
                "macro_f1": end["test_macro_f1"],
                "test_loss": end["test_loss"],
                "start_accuracy": begin["test_accuracy"],
                "start_loss": begin["test_loss"],
                "calibrated_accuracy": end[CALIBRATED],
                "start_calibrated_accuracy": begin[CALIBRATED],
                "dev_accuracy": dev_accuracy,
                # A mean of several prompts has no rate and step of its own.
                "learning_rate": float("nan") if seed in soups else choice["learning_rate"],
                "step": float("nan") if seed in soups else choice["step"],
            }
        )
    forward += reading.forward.rows - before_soups
    prompts = {seed: prompt.cpu() for seed, prompt in kept.items()}
    return TuningOutcome(results, curves, prompts, round(tuned.progress.row_passes), forward)


def _same_cell(record: dict[str, Any], choice: dict[str, Any]) -> bool:
    return all(record[key] == choice[key] for key in ("data_seed", "learning_rate"))


def choose(curves: list[dict[str, Any]], select_by: str) -> dict[str, Any]:
    """Picks the learning rate and step of one data seed by its dev scores.

    Args:
        curves: One record for each learning rate and scored step, with `dev_accuracy` and `dev_loss`.
        select_by: ``loss`` (lowest dev loss), ``accuracy`` (highest dev accuracy, then lowest loss), or ``one_se`` (of
            all whose dev loss is within one standard error of the lowest, over rows, the least tuned: Breiman et al.,
            1984, section 3.4.3); among equals the fewest steps.

    Example:
        >>> a = {"step": 0, "dev_accuracy": 0.7, "dev_loss": 0.9}
        >>> b = {"step": 5, "dev_accuracy": 0.6, "dev_loss": 0.5}
        >>> choose([a, b], "loss")["step"], choose([a, b], "accuracy")["step"]
        (5, 0)
    """
    if select_by == "one_se":
        lowest = min((record["dev_loss"] for record in curves), key=finite_or_last)
        within = [record for record in curves if record["dev_loss"] - lowest <= record["dev_behind_se"]]
        return dict(min(within, key=lambda record: (record["step"], record["learning_rate"])))

    def rank(record: dict[str, Any]) -> tuple[float, ...]:
        accuracy = -record["dev_accuracy"] if select_by == "accuracy" else 0.0
        return accuracy, finite_or_last(record["dev_loss"]), record["step"]

    return dict(sorted(curves, key=rank)[0])


def _score_test(
    tuned: TuningSteps,
    chosen: dict[int, dict[str, Any]],
    steps: dict[int, list[int]],
    train: Mapping[int, Split],
    test: Split,
    curve_rows: int | None,
) -> tuple[dict[int, dict[int, dict[str, float]]], dict[int, dict[int, dict[str, float]]]]:
    """Test scores of each data seed's chosen learning rate.

    Returns:
        Scores on all rows, at the start and at the chosen step at least; and at every scored step for the curve, all
        of them on the same rows (`curve_rows` of them, or all).
    """
    cells, reading, progress = tuned.cells, tuned.reading, tuned.progress
    index = {seed: cells.index((seed, choice["learning_rate"])) for seed, choice in chosen.items()}
    # The start is one prompt for all seeds, unless each seed's examples have a say in how it is read.
    first = {seed: cell if reading.by_examples else 0 for seed, cell in index.items()}

    def key(seed: int, step: int) -> tuple[int, int]:
        return step, index[seed] if step else first[seed]

    def scores(keys: list[tuple[int, int]], rows: Split) -> dict[tuple[int, int], Tensor]:
        names = {(step, cell): f"{len(rows.labels)} rows.{step}.{cell}" for step, cell in keys}
        left = [key for key in keys if names[key] not in progress.tested]
        for place in range(0, len(left), TOGETHER):
            some, before = left[place : place + TOGETHER], reading.forward.rows
            stacked = torch.stack([progress.snapshots[step][cell] for step, cell in some])
            found = reading.scores(stacked, rows, [train[cells[cell][0]] for _, cell in some])
            progress.tested |= {names[key]: own for key, own in zip(some, found, strict=True)}
            progress.tested_rows += reading.forward.rows - before
            tuned.keep_sometimes()
        return {key: progress.tested[name] for key, name in names.items()}

    few = None if curve_rows is None or curve_rows >= len(test.labels) else balanced_part(test.labels, curve_rows)
    wanted = {seed: of if few is None else [0, chosen[seed]["step"]] for seed, of in steps.items()}
    whole = scores(list(dict.fromkeys(key(seed, step) for seed, of in wanted.items() for step in of)), test)
    tested = {
        seed: {step: _test_scores(whole[key(seed, step)], test, reading) for step in of} for seed, of in wanted.items()
    }
    if few is None:
        # Curves are of what was asked for only.
        drawn = {
            seed: {step: {name: m[name] for name in m if name != CALIBRATED} for step, m in of.items()}
            for seed, of in tested.items()
        }
        return tested, drawn
    part = Split([test.texts[row] for row in few], [test.labels[row] for row in few])
    # Calibrated by the mean over the scored rows, all points of a curve are over the same rows.
    alone = reading.config.calibration == "batch_mean"
    of_part = {} if alone else {place: found[few] for place, found in whole.items()}
    rest = [key(seed, step) for seed, of in steps.items() for step in of]
    of_part |= scores([place for place in dict.fromkeys(rest) if place not in of_part], part)
    drawn = {
        seed: {step: _named(reading.measure(of_part[key(seed, step)], part)) for step in of}
        for seed, of in steps.items()
    }
    return tested, drawn


def _soups(
    snapshots: dict[int, Tensor], cells: list[tuple[int, float]], curves: list[dict[str, Any]], size: int
) -> dict[int, Tensor]:
    """For each data seed the mean of the prompts with the lowest dev losses.

    Model soups (Wortsman et al., ICML 2022, arXiv 2203.05482), the uniform kind: all begin from one start, and the mean
    is one prompt again. The start is one of them where its dev loss says so.
    """
    best: dict[int, list[tuple[int, int]]] = {}

    def rank(record: dict[str, Any]) -> tuple[float, ...]:
        return finite_or_last(record["dev_loss"]), record["step"], record["learning_rate"]

    for record in sorted(curves, key=rank):
        if not math.isfinite(record["dev_loss"]):
            continue
        seed, step = record["data_seed"], record["step"]
        # The start stands in the curve of every rate and counts once.
        key = step, cells.index((seed, record["learning_rate"])) if step else 0
        own = best.setdefault(seed, [])
        if len(own) < size and key not in own:
            own.append(key)
    return {seed: torch.stack([snapshots[step][cell] for step, cell in own]).mean(dim=0) for seed, own in best.items()}


def _test_scores(scores: Tensor, test: Split, reading: ClassReading) -> dict[str, float]:
    calibrated = {CALIBRATED: reading.calibrated_accuracy(scores, test)}
    return _named(reading.measure(scores, test)) | calibrated


def _named(metrics: dict[str, float]) -> dict[str, float]:
    return {f"test_{name}": value for name, value in metrics.items()}
