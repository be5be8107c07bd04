"""Few-shot training of a language model's weights, shared by `lora` and `full`.

Template, label words and the place of the answer are the study's own, without a prompt: at step 0 the scores are those
of `zero_shot`. Examples come in the order of prompt tuning under the same seeds (unless a method sets
`tuning.order_seed`). There is no dropout, as in prompt tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.baselines.fine_tuning import RateSearch, TrainedWeights, train_best
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.baselines.zero_shot import calibrated_scores, content_free, unprompted
from metapt_explore.config import Placement
from metapt_explore.config.families import FAMILIES
from metapt_explore.fewshot.scoring import LabelledTexts, Metrics, measure
from metapt_explore.fewshot.tuning_steps import epoch_rows
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.families import family_of
from metapt_explore.models.folder import model_folder
from metapt_explore.models.load import load_backbone
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Chooses the weights of a model that are trained.
Prepare = Callable[[Any, BaselineInputs], list[Tensor]]


def tune_model(inputs: BaselineInputs, prepare: Prepare) -> BaselineOutcome:
    """Trains what `prepare` chooses on each data seed's examples; dev chooses learning rate and step.

    Args:
        inputs: Template, rows, options and seeds.
        prepare: Given a copy of the model; returns the weights to train, and may add some.
    """
    backbone = own_backbone(inputs)
    pattern = backbone.pattern(inputs.task, inputs.where, whole_vocabulary=inputs.whole_vocabulary)
    weights = TrainedWeights(prepare(backbone.model, inputs))
    options, verbalizer = inputs.options, inputs.study.verbalizer
    score = partial(unprompted, backbone, pattern, on_pass=inputs.on_pass)
    blanks = content_free(inputs)
    calibrate = partial(calibrated_scores, score, how=verbalizer.calibration, blanks=blanks)
    content_free_rows = len(blanks) if verbalizer.calibration == "content_free" else 0
    outcome = BaselineOutcome({}, verbalizer=pattern.verbalizer)
    outcome.spent.trained_parameters = weights.size
    inputs.restore(outcome)
    inputs.on_units(len(outcome.seeds) / len(inputs.train))
    initial_scores = calibrate(inputs.test)
    schedule = inputs.study.evaluation.of_baseline(options)
    scored, rates_running = schedule.scored_steps, schedule.rates_running
    # The chosen weights score dev once more, for what is kept of its rows.
    scorings = 2 + sum(rates_running[step - 1] for step in scored if step)
    for done, (seed, train) in enumerate(inputs.train.items()):
        if seed in outcome.seeds:
            continue
        dev = inputs.dev[seed]

        def gradient(step: int, seed: int = seed, train: LabelledTexts = train) -> float:
            rows = epoch_rows(len(train.texts), options["batch_size"], step, seed=seed, order_seeds=inputs.seeds)
            return add_gradient(backbone, pattern, train, rows=rows, on_pass=inputs.on_pass)

        def score_dev(dev: LabelledTexts = dev) -> Metrics:
            return measure(calibrate(dev.texts), dev.labels, pattern.verbalizer)

        def on_step(taken: int, done: int = done) -> None:
            inputs.on_units((done + taken / sum(rates_running)) / len(inputs.train))

        where = f"{inputs.where}, data seed {seed}"
        best, curve = train_best(
            weights,
            RateSearch(schedule.learning_rates, scored, inputs.select_by, schedule.halving_steps),
            gradient,
            score_dev=score_dev,
            where=where,
            on_step=on_step,
        )
        chosen = {"learning_rate": best["learning_rate"], "step": best["step"]}
        on_dev = calibrate(dev.texts)
        outcome.seeds[seed] = Scored(calibrate(inputs.test), best["dev_accuracy"], initial_scores, chosen, on_dev)
        outcome.curves += [{"data_seed": seed, **point} for point in curve]
        outcome.spent.row_passes += sum(rates_running) * min(options["batch_size"], len(train.texts))
        outcome.spent.forward_rows += len(inputs.test) + scorings * len(dev.texts) + (scorings + 1) * content_free_rows
        inputs.keep(outcome)
    outcome.spent.forward_rows += len(inputs.test) + content_free_rows
    return outcome


def own_backbone(inputs: BaselineInputs) -> Backbone:
    """A second copy of the study's model, whose weights may change and which runs whole rows."""
    config = inputs.study.model
    family = family_of(model_folder(config.name, config.revision), config)
    facts = FAMILIES[family]
    placement: Placement = "prefix" if "prefix" in facts.placements else facts.placements[0]
    backbone: Any = load_backbone(config, placement, on_notice=inputs.backbone().on_notice, prompt_tokens=0)
    if hasattr(backbone, "plain"):
        backbone.fast = backbone.plain  # the hand-written pass has a copy of the weights as they were
    loaded: Backbone = backbone
    return loaded


def add_gradient(
    backbone: Backbone,
    pattern: PatternVerbalizer,
    train: LabelledTexts,
    *,
    rows: Sequence[int],
    on_pass: Callable[[], None] = lambda: None,
) -> float:
    """Adds the gradient of the mean cross-entropy over some rows to the weights that want one.

    Args:
        backbone: A model whose weights may want a gradient.
        pattern: Template and label words.
        train: The rows.
        rows: Which of them.
        on_pass: Called after each pass; may raise to stop.

    Returns:
        The loss.
    """
    bank = backbone.bank(train.texts, pattern)
    longest = max(len(bank.token_ids[row]) for row in rows)
    size = backbone.rows_within(pattern, 0, longest)
    none = torch.zeros(1, 0, backbone.width, device=backbone.device)
    total = 0.0
    for first in range(0, len(rows), size):
        part = list(rows[first : first + size])
        groups = torch.zeros(len(part), dtype=torch.long, device=backbone.device)
        with torch.enable_grad():
            scores = backbone.class_scores(
                none, groups, backbone.prepared(bank, part, pattern, prompt_tokens=0), pattern=pattern
            )
            labels = torch.tensor([train.labels[row] for row in part], device=scores.device)
            loss = F.cross_entropy(pattern.verbalizer.for_loss(scores), labels, reduction="sum") / len(rows)
        torch.autograd.backward(loss)
        total += float(loss.detach())
        on_pass()
    return total
