"""Few-shot tuning with label words that each data seed chooses on its own examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from metapt_explore.config import EvaluationConfig, LabelsConfig, VerbalizerConfig
from metapt_explore.fewshot.automatic_words import with_automatic_words
from metapt_explore.fewshot.scoring import Split
from metapt_explore.fewshot.tuning import TuningOutcome, tune
from metapt_explore.models.backbone import Backbone
from metapt_explore.storage.checkpoint import CheckpointStore


def tune_with_automatic_words(
    start: Tensor,
    backbone: Backbone,
    labels: LabelsConfig,
    where: str,
    train: Mapping[int, Split],
    dev: Mapping[int, Split],
    test: Split,
    config: EvaluationConfig,
    order_seed: tuple[int, ...],
    on_step: Callable[[int, dict[str, Any]], None],
    on_pass: Callable[[int], None],
    verbalizer: VerbalizerConfig,
    record: CheckpointStore | None = None,
) -> TuningOutcome:
    """As `tune`, one data seed after the other: each has words of its own, so they cannot share a batch.

    Args:
        start: See `tune`.
        backbone: See `tune`.
        labels: Template and classes of the task.
        where: What to call them in messages.
        train: See `tune`; label words are chosen on these rows.
        dev: See `tune`.
        test: See `tune`.
        config: See `tune`.
        order_seed: See `tune`.
        on_step: See `tune`; steps are counted as if all seeds went on at once.
        on_pass: See `tune`.
        verbalizer: How many words, and calibration.
        record: Keeps what finished data seeds gave; a seed that was stopped begins again.

    Returns:
        As `tune`; each result says in ``words`` (JSON) which label words it was read by.
    """
    found = _restored(record)
    for done, (seed, examples) in enumerate(train.items()):
        if seed in found.prompts:
            continue

        def overall(step: int, before: int = done * config.steps) -> int:
            return (before + step) // len(train)

        def seed_step(
            step: int,
            told: dict[str, Any],
            seed: int = seed,
            before: int = done * config.steps,
            overall: Callable[[int], int] = overall,
        ) -> None:
            # Steps of all seeds in one row: those of an unfinished seed are told again when it begins anew.
            on_step(overall(step), {**told, "step": before + step, "data_seed": seed})

        chosen = with_automatic_words(
            labels, backbone, examples.texts, examples.labels, verbalizer.automatic_words, where
        )
        outcome = tune(
            start,
            backbone,
            backbone.pattern(chosen, where, whole_vocabulary=verbalizer.decode == "whole_vocabulary"),
            {seed: examples},
            {seed: dev[seed]},
            test,
            config,
            order_seed,
            seed_step,
            lambda step, overall=overall: on_pass(overall(step)),  # type: ignore[misc]
            verbalizer,
        )
        words = json.dumps({name: label.words for name, label in chosen.labels.items()}, ensure_ascii=False)
        found = TuningOutcome(
            [*found.results, *({**result, "words": words} for result in outcome.results)],
            [*found.curves, *outcome.curves],
            {**found.prompts, **outcome.prompts},
            found.passes + outcome.passes,
            found.forward + outcome.forward,
        )
        if record is not None:
            _keep(record, found, (done + 1) * config.steps)
    return found


def _keep(record: CheckpointStore, found: TuningOutcome, step: int) -> None:
    told = {"results": found.results, "curves": found.curves, "step": step + 1}
    told |= {"passes": found.passes, "forward": found.forward}
    record.save_checkpoint({str(seed): prompt for seed, prompt in found.prompts.items()}, told)


def _restored(record: CheckpointStore | None) -> TuningOutcome:
    kept = record.load_checkpoint() if record is not None else None
    if kept is None:
        return TuningOutcome([], [], {}, 0, 0)
    prompts, told = kept
    # Results stand in the order in which seeds were finished.
    own = {int(result["data_seed"]): prompts[str(result["data_seed"])] for result in told["results"]}
    return TuningOutcome(told["results"], told["curves"], own, int(told["passes"]), int(told["forward"]))
