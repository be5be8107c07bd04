"""Few-shot training of a language model's weights, or of a prompt that PEFT makes; shared by `full` and PEFT's methods.

Template, label words and the place of the answer are the study's own: without a prompt, scores at step 0 are those of
`zero_shot`. Examples come in the order of prompt tuning under the same seeds (unless a method sets
`tuning.order_seed`). There is no dropout, as in prompt tuning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.baselines.fine_tuning import RateSearch, TrainedWeights, train_best
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.baselines.zero_shot import calibrated_scores, content_free
from metapt_explore.config import Placement
from metapt_explore.config.families import FAMILIES
from metapt_explore.errors import UserError
from metapt_explore.fewshot.scoring import LabelledTexts, Metrics, measure
from metapt_explore.fewshot.tuning_steps import epoch_rows
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.families import family_of
from metapt_explore.models.folder import model_folder
from metapt_explore.models.load import load_backbone
from metapt_explore.models.scoring import score_all
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer


@dataclass(frozen=True)
class Trained:
    """What is trained, and the prompt that it makes.

    Attributes:
        weights: What is trained.
        prompt: Makes the prompt in front of every row from the weights as they are, `[1, prompt_tokens, width]`,
            differentiable in them; None where weights of the model itself are trained.
        extra_loss: A loss beside that of the rows; None for none.
        rows_share: Factor of the rows' mean loss.
        extra_rows: Rows of a step that stand for the extra loss, in what is counted.
        of_one_seed: Whether it was made of a data seed's training rows.
    """

    weights: TrainedWeights
    prompt: Callable[[], Tensor] | None = None
    extra_loss: Callable[[], Tensor] | None = None
    rows_share: float = 1.0
    extra_rows: int = 0
    of_one_seed: bool = False

    def prompt_for(self, backbone: Backbone) -> Tensor:
        """The prompt as it is now; without one, a prompt of no vectors."""
        return torch.zeros(1, 0, backbone.width, device=backbone.device) if self.prompt is None else self.prompt()


#: Given a copy of the model; returns what is trained on a data seed.
Prepare = Callable[[Backbone, BaselineInputs], Callable[[int], Trained]]


def weights_of(choose_weights: Callable[[Any, BaselineInputs], list[Tensor]]) -> Prepare:
    """Training of weights of the model, or of some that are added to it.

    Args:
        choose_weights: Given a copy of the model; returns the weights to train, and may add some.
    """

    def prepare(backbone: Backbone, inputs: BaselineInputs) -> Callable[[int], Trained]:
        if hasattr(backbone, "plain"):
            # The hand-written pass has a copy of the weights as they were.
            backbone.fast = backbone.plain  # type: ignore[attr-defined]
        trained = Trained(TrainedWeights(choose_weights(backbone.model, inputs)))
        return lambda seed: trained

    return prepare


def tune_model(
    inputs: BaselineInputs, prepare: Prepare, *, placement: Placement | None = None, prompt_tokens: int = 0
) -> BaselineOutcome:
    """Trains what `prepare` chooses on each data seed's examples; dev chooses learning rate and step.

    Args:
        inputs: Template, rows, options and seeds.
        prepare: Says what is trained.
        placement: Where its prompt stands; in front of the text when absent.
        prompt_tokens: Length of its prompt, at most.
    """
    backbone = own_backbone(inputs, placement, prompt_tokens)
    of_seed = prepare(backbone, inputs)
    pattern = backbone.pattern(inputs.task, inputs.where, whole_vocabulary=inputs.whole_vocabulary)
    options, verbalizer = inputs.options, inputs.study.verbalizer
    blanks = content_free(inputs)
    content_free_rows = len(blanks) if verbalizer.calibration == "content_free" else 0
    outcome = BaselineOutcome({}, verbalizer=pattern.verbalizer)
    inputs.restore(outcome)
    inputs.on_units(len(outcome.seeds) / len(inputs.train))
    schedule = inputs.study.evaluation.of_baseline(options)
    scored, rates_running = schedule.scored_steps, schedule.rates_running
    # The chosen weights score dev once more, for what is kept of its rows.
    scorings = 2 + sum(rates_running[step - 1] for step in scored if step)
    trained: Trained | None = None
    initial_scores: Tensor | None = None
    for done, (seed, train) in enumerate(inputs.train.items()):
        if seed in outcome.seeds:
            continue
        before, trained, dev = trained, of_seed(seed), inputs.dev[seed]
        score = partial(scores_under, trained, backbone=backbone, pattern=pattern, on_pass=inputs.on_pass)
        calibrate = partial(calibrated_scores, score, how=verbalizer.calibration, blanks=blanks)
        if trained is not before:
            trained.weights.reset()
            initial_scores = calibrate(inputs.test)

        def gradient(step: int, seed: int = seed, train: LabelledTexts = train, trained: Trained = trained) -> float:
            rows = epoch_rows(len(train.texts), options["batch_size"], step, seed=seed, order_seeds=inputs.seeds)
            return add_gradient(backbone, pattern, train, rows=rows, trained=trained, on_pass=inputs.on_pass)

        def score_dev(dev: LabelledTexts = dev, calibrate: Any = calibrate) -> Metrics:
            return measure(calibrate(dev.texts), dev.labels, pattern.verbalizer)

        def on_step(taken: int, done: int = done) -> None:
            inputs.on_units((done + taken / sum(rates_running)) / len(inputs.train))

        best, curve = train_best(
            trained.weights,
            RateSearch(schedule.learning_rates, scored, inputs.select_by, schedule.halving_steps),
            gradient,
            score_dev=score_dev,
            where=f"{inputs.where}, data seed {seed}",
            on_step=on_step,
        )
        chosen = {"learning_rate": best["learning_rate"], "step": best["step"]}
        if trained.of_one_seed or not outcome.seeds:  # test at the start
            outcome.spent.forward_rows += len(inputs.test) + content_free_rows
        on_dev = calibrate(dev.texts)
        outcome.seeds[seed] = Scored(calibrate(inputs.test), best["dev_accuracy"], initial_scores, chosen, on_dev)
        outcome.curves += [{"data_seed": seed, **point} for point in curve]
        spent = outcome.spent
        spent.trained_parameters = max(spent.trained_parameters, trained.weights.size)
        spent.row_passes += sum(rates_running) * (min(options["batch_size"], len(train.texts)) + trained.extra_rows)
        spent.forward_rows += len(inputs.test) + scorings * len(dev.texts) + (scorings + 1) * content_free_rows
        inputs.keep(outcome)
    return outcome


@torch.no_grad()
def scores_under(
    trained: Trained,
    texts: Sequence[TextInput],
    *,
    backbone: Backbone,
    pattern: PatternVerbalizer,
    on_pass: Callable[[], None] = lambda: None,
) -> Tensor:
    """Scores of texts by the model as it is trained now, `[rows, columns]`.

    Args:
        trained: What is trained.
        texts: The texts; their bank is kept.
        backbone: The model.
        pattern: Template and label words.
        on_pass: Called after each pass; may raise to stop.
    """
    bank = backbone.bank(texts, pattern)
    return score_all(backbone, trained.prompt_for(backbone), bank, pattern=pattern, on_pass=on_pass)[0]


def own_backbone(inputs: BaselineInputs, placement: Placement | None = None, prompt_tokens: int = 0) -> Backbone:
    """A second copy of the study's model, whose weights may change and which runs whole rows.

    Args:
        inputs: The study.
        placement: Where a prompt stands; in front of the text when absent.
        prompt_tokens: Its length.
    """
    config = inputs.study.model
    family = family_of(model_folder(config.name, config.revision), config)
    facts = FAMILIES[family]
    own: Placement = "prefix" if "prefix" in facts.placements else facts.placements[0]
    notice = inputs.backbone().on_notice
    if inputs.backbone().dtype == torch.float16:
        # Small gradients of weights are lost in float16.
        config = config.model_copy(update={"dtype": "float32"})
        notice("A copy of the model for training inside of it is float32: float16 loses small gradients.")
    return load_backbone(config, placement or own, on_notice=notice, prompt_tokens=prompt_tokens)


def add_gradient(
    backbone: Backbone,
    pattern: PatternVerbalizer,
    train: LabelledTexts,
    *,
    rows: Sequence[int],
    trained: Trained | None = None,
    on_pass: Callable[[], None] = lambda: None,
) -> float:
    """Adds the gradient of the mean cross-entropy over some rows to the weights that want one.

    Args:
        backbone: A model whose weights may want a gradient.
        pattern: Template and label words.
        train: The rows.
        rows: Which of them.
        trained: What makes the prompt in front of them, if there is one.
        on_pass: Called after each pass; may raise to stop.

    Returns:
        The loss.
    """
    if backbone.dtype == torch.float16:
        raise UserError(
            "Training inside a model in float16 loses small gradients: set `model.dtype: float32`, or leave this "
            "baseline out."
        )
    bank = backbone.bank(train.texts, pattern)
    longest = max(len(bank.token_ids[row]) for row in rows)
    trained = trained or Trained(TrainedWeights([]))
    with torch.no_grad():
        length = trained.prompt_for(backbone).shape[1]
    size = backbone.rows_within(pattern, length, longest)
    total = 0.0
    for first in range(0, len(rows), size):
        part = list(rows[first : first + size])
        groups = torch.zeros(len(part), dtype=torch.long, device=backbone.device)
        with torch.enable_grad():
            prompt = trained.prompt_for(backbone)
            prepared = backbone.prepared(bank, part, pattern, prompt_tokens=length)
            scores = backbone.class_scores(prompt, groups, prepared, pattern=pattern)
            labels = torch.tensor([train.labels[row] for row in part], device=scores.device)
            loss = F.cross_entropy(pattern.verbalizer.for_loss(scores), labels, reduction="sum")
            loss = loss * (trained.rows_share / len(rows))
        torch.autograd.backward(loss)
        total += float(loss.detach())
        on_pass()
    if trained.extra_loss is not None:
        with torch.enable_grad():
            loss = trained.extra_loss()
        torch.autograd.backward(loss)
        total += float(loss.detach())
        on_pass()
    return total
