"""Few-shot tuning with label words that each data seed chooses on its own examples."""

from __future__ import annotations

import json

from torch import Tensor

from metapt_explore.config import LabelsConfig
from metapt_explore.fewshot.automatic_words import with_automatic_words
from metapt_explore.fewshot.predictions import RowScores
from metapt_explore.fewshot.scoring import FewShotData
from metapt_explore.fewshot.tuning import TuningOutcome, tune
from metapt_explore.fewshot.tuning_steps import TuningPlan
from metapt_explore.models.backbone import Backbone
from metapt_explore.pretraining.state import NO_CALLBACKS, TrainingCallbacks
from metapt_explore.storage.checkpoint import CheckpointStore


def tune_with_automatic_words(
    initial_prompt: Tensor,
    data: FewShotData,
    plan: TuningPlan,
    *,
    backbone: Backbone,
    labels: LabelsConfig,
    where: str,
    callbacks: TrainingCallbacks = NO_CALLBACKS,
) -> TuningOutcome:
    """As `tune`, one data seed after the other: each has words of its own, so they cannot share a batch.

    Args:
        initial_prompt: See `tune`.
        data: See `tune`; label words are chosen on training rows.
        plan: See `tune`; `verbalizer` also says how many words.
        backbone: See `tune`.
        labels: Template and classes of the task.
        where: What to call the task in messages.
        callbacks: See `tune`. Metrics count the steps of all data seeds in a row, progress counts them as if all seeds
            were tuned at once. A data seed that was stopped begins again.

    Returns:
        As `tune`; each result names its label words in ``words`` (JSON).
    """
    outcome = _restore(callbacks.checkpoints)
    whole_vocabulary = plan.verbalizer.decode == "whole_vocabulary"
    for index, (seed, train) in enumerate(data.train.items()):
        if seed in outcome.prompts:
            continue
        chosen = with_automatic_words(
            labels, backbone, train, words_per_class=plan.verbalizer.automatic_words, where=where
        )
        tuned = tune(
            initial_prompt,
            FewShotData({seed: train}, {seed: data.dev[seed]}, data.scored),
            plan,
            backbone=backbone,
            pattern=backbone.pattern(chosen, where, whole_vocabulary=whole_vocabulary),
            callbacks=_of_seed(callbacks, seed, steps_before=index * plan.config.steps, seeds=len(data.train)),
        )
        words = json.dumps({name: label.words for name, label in chosen.labels.items()}, ensure_ascii=False)
        for result in tuned.results:
            result["words"] = words
        outcome = TuningOutcome(
            [*outcome.results, *tuned.results],
            [*outcome.curves, *tuned.curves],
            {**outcome.prompts, **tuned.prompts},
            {**outcome.starts, **tuned.starts},
            outcome.passes + tuned.passes,
            outcome.forward + tuned.forward,
            outcome.choosing + tuned.choosing,
            {**outcome.predictions, **tuned.predictions},
            {**outcome.dev_predictions, **tuned.dev_predictions},
        )
        if callbacks.checkpoints is not None:
            _save(callbacks.checkpoints, outcome, steps=(index + 1) * plan.config.steps)
    return outcome


def _of_seed(callbacks: TrainingCallbacks, seed: int, *, steps_before: int, seeds: int) -> TrainingCallbacks:
    """Callbacks for the tuning of one data seed, which writes no checkpoints of its own."""
    return TrainingCallbacks(
        metric=lambda record: callbacks.metric({**record, "step": steps_before + record["step"], "data_seed": seed}),
        on_step=lambda step: callbacks.on_step((steps_before + step) // seeds),
        on_pass=lambda step: callbacks.on_pass((steps_before + step) // seeds),
    )


def _save(store: CheckpointStore, outcome: TuningOutcome, *, steps: int) -> None:
    meta = {"results": outcome.results, "curves": outcome.curves, "step": steps + 1}
    meta |= {"passes": outcome.passes, "forward": outcome.forward, "choosing": outcome.choosing}
    tensors = {str(seed): prompt for seed, prompt in outcome.prompts.items()}
    tensors |= {f"start.{seed}": prompt for seed, prompt in outcome.starts.items()}
    for part, by_seed in (("", outcome.predictions), ("dev_", outcome.dev_predictions)):
        for seed, said in by_seed.items():
            tensors |= {f"{part}logs.{seed}": said.log_probabilities, f"{part}predicted.{seed}": said.predicted}
    store.save_checkpoint(tensors, meta)


def _restore(store: CheckpointStore | None) -> TuningOutcome:
    checkpoint = store.load_checkpoint() if store is not None else None
    if checkpoint is None:
        return TuningOutcome([], [], {}, {}, 0, 0)
    tensors, meta = checkpoint
    # Results are in the order in which seeds were finished.
    prompts = {int(result["data_seed"]): tensors[str(result["data_seed"])] for result in meta["results"]}
    starts = {seed: tensors[f"start.{seed}"] for seed in prompts if f"start.{seed}" in tensors}
    if any(f"dev_logs.{seed}" not in tensors for seed in prompts):  # of a version that kept none
        return TuningOutcome([], [], {}, {}, 0, 0)
    said, on_dev = (
        {seed: RowScores(tensors[f"{part}logs.{seed}"], tensors[f"{part}predicted.{seed}"]) for seed in prompts}
        for part in ("", "dev_")
    )
    passes, forward, choosing = (int(meta.get(key, 0)) for key in ("passes", "forward", "choosing"))
    return TuningOutcome(meta["results"], meta["curves"], prompts, starts, passes, forward, choosing, said, on_dev)
