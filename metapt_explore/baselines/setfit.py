"""SetFit: the sentence encoder is trained to tell pairs of one class from pairs of two, then logistic regression.

Tunstall et al., 2022 (arXiv 2209.11055). Pairs, loss (squared error of the cosine), one epoch over the pairs and the
classifier are the paper's; learning rate and the part of the epoch after which to stop are chosen on dev.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from metapt_explore.baselines.fine_tuning import RateSearch, TrainedWeights, train_best
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.clusters.embed import Encoder, load_encoder
from metapt_explore.fewshot.logistic_regression import LogisticRegressionHead
from metapt_explore.fewshot.scoring import Metrics, measure
from metapt_explore.models.device import resolve_dtype
from metapt_explore.seeds import derived_seed, stream
from metapt_explore.texts.rows import written_out

#: Share of the steps over which the learning rate rises; it falls to zero over the rest.
WARM_UP = 0.1
#: C of the classifier, scikit-learn's own, as in the authors' code.
HEAD_C = 1.0


@dataclass(frozen=True)
class Pairs:
    """Pairs of training rows.

    Attributes:
        first: A row of each pair.
        second: The other.
        same: 1 where both are of one class, else 0.
    """

    first: list[int]
    second: list[int]
    same: list[float]


def draw_pairs(labels: Sequence[int], each: int, *, seeds: tuple[int, ...], data_seed: int) -> Pairs:
    """Draws, for every row, `each` partners of its class and as many of other classes, and shuffles the pairs.

    A row is never its own partner, unless it is alone in its class.

    Args:
        labels: Class index of each row.
        each: Partners of both kinds.
        seeds: Study seed and initialisation seed.
        data_seed: Data seed.

    Example:
        >>> pairs = draw_pairs([0, 0, 1, 1], 3, seeds=(0, 0), data_seed=13)
        >>> len(pairs.first), sum(pairs.same)
        (24, 12.0)
    """
    generator = stream(seeds[0], "setfit_pairs", *seeds[1:], data_seed)
    drawn: list[tuple[int, int, float]] = []
    for row, label in enumerate(labels):
        same_class = [other for other, of_other in enumerate(labels) if of_other == label and other != row] or [row]
        other_class = [other for other, of_other in enumerate(labels) if of_other != label]
        for partners, same in ((same_class, 1.0), (other_class, 0.0)):
            if partners:
                drawn += [(row, partners[index], same) for index in generator.integers(len(partners), size=each)]
    shuffled = [drawn[index] for index in generator.permutation(len(drawn))]
    return Pairs([pair[0] for pair in shuffled], [pair[1] for pair in shuffled], [pair[2] for pair in shuffled])


def pair_loss(first: Tensor, second: Tensor, same: Tensor) -> Tensor:
    """Mean squared error of the cosine of two embeddings against 1 for one class and 0 for two.

    Args:
        first: Unit vectors, `[pairs, width]`.
        second: The others.
        same: `[pairs]`.
    """
    return ((first * second).sum(dim=1) - same).square().mean()


def setfit(inputs: BaselineInputs) -> BaselineOutcome:
    """Trains the study's sentence encoder on each data seed's examples, and a classifier on its embeddings."""
    encoder = load_encoder(inputs.study.encoder, inputs.device)
    encoder.model.requires_grad_(True)
    # The pooler is no part of the embedding.
    weights = TrainedWeights([value for name, value in encoder.model.named_parameters() if "pooler" not in name])
    test, outcome = written_out(inputs.test), BaselineOutcome({})
    inputs.restore(outcome)
    initial_embeddings = encoder.embed(test)
    rates = inputs.options["learning_rates"]
    for done, (seed, train) in enumerate(inputs.train.items()):
        if seed in outcome.seeds:
            continue
        training = _SeedTraining(encoder, inputs, seed)
        all_steps, schedule = len(rates) * training.steps, partial(warmed_up, steps=training.steps)
        weights.reset()
        initial_scores = training.head().scores(initial_embeddings)
        best, curve = train_best(
            weights,
            RateSearch(rates, training.scored_steps, inputs.select_by, schedule=schedule),
            training.gradient,
            score_dev=training.score_dev,
            where=training.where,
            on_step=partial(_tell_share, inputs, done=done, all_steps=all_steps),
        )
        head = training.head()
        chosen = {"learning_rate": best["learning_rate"], "step": best["step"]}
        scores = head.scores(encoder.embed(test))
        on_dev = head.scores(encoder.embed(written_out(inputs.dev[seed].texts)))
        outcome.seeds[seed] = Scored(scores, best["dev_accuracy"], initial_scores, chosen, on_dev)
        outcome.curves += [{"data_seed": seed, **point} for point in curve]
        scorings = 1 + len(rates) * (len(training.scored_steps) - 1)
        outcome.spent.row_passes += 2 * len(training.pairs.same) * len(rates)
        # The chosen weights score dev once more, for what is kept of its rows.
        outcome.spent.forward_rows += len(test) + (scorings + 1) * len(inputs.dev[seed].texts)
        outcome.spent.forward_rows += (scorings + 2) * len(train.texts)
        outcome.spent.trained_parameters = weights.size + head.parameters
        inputs.keep(outcome)
    outcome.spent.forward_rows += len(test)
    return outcome


def _tell_share(inputs: BaselineInputs, taken: int, *, done: int, all_steps: int) -> None:
    inputs.on_units((done + taken / all_steps) / len(inputs.train))


class _SeedTraining:
    """SetFit on the rows of one data seed.

    Attributes:
        where: What to call it in messages.
        pairs: What is trained on, in the order of the steps.
        steps: Steps of one epoch.
        scored_steps: Steps at which dev is scored.
    """

    def __init__(self, encoder: Encoder, inputs: BaselineInputs, seed: int) -> None:
        self._encoder, self._seeds, self._seed = encoder, inputs.seeds, seed
        self._classes, self._batch_size = len(inputs.task.labels), inputs.options["batch_size"]
        train, dev = inputs.train[seed], inputs.dev[seed]
        self._texts, self._labels = written_out(train.texts), train.labels
        self._dev_texts, self._dev_labels = written_out(dev.texts), dev.labels
        self._tokens = encoder.tokens(self._texts)
        self.where = f"{inputs.where}, data seed {seed}"
        self.pairs = draw_pairs(train.labels, inputs.options["pairs_per_text"], seeds=inputs.seeds, data_seed=seed)
        self.steps = -(-len(self.pairs.same) // self._batch_size)
        parts = inputs.options["checkpoints"]
        self.scored_steps = sorted({round(self.steps * part / parts) for part in range(parts + 1)})

    def head(self) -> LogisticRegressionHead:
        """Fits a classifier to the training rows' embeddings as they are now."""
        embeddings = self._encoder.embed(self._texts)
        return LogisticRegressionHead(embeddings, self._labels, self._classes, c=HEAD_C, where=self.where)

    def score_dev(self) -> Metrics:
        """Scores dev with a classifier fitted now."""
        return measure(self.head().scores(self._encoder.embed(self._dev_texts)), self._dev_labels)

    def gradient(self, step: int) -> float:
        """Adds the gradient of one step's pairs to the encoder's weights, and returns the loss."""
        batch = slice((step - 1) * self._batch_size, step * self._batch_size)
        pairs = Pairs(self.pairs.first[batch], self.pairs.second[batch], self.pairs.same[batch])
        study_seed, init_seed = self._seeds
        dropout = derived_seed(study_seed, "setfit", init_seed, self._seed, step)
        return add_gradient(self._encoder, self._tokens, pairs, seed=dropout)


def warmed_up(step: int, steps: int) -> float:
    """Factor of the learning rate: it rises over the first tenth of the steps, then falls to zero after the last.

    Example:
        >>> [round(warmed_up(step, 20), 2) for step in (1, 2, 3, 20)]
        [0.5, 1.0, 0.95, 0.05]
    """
    rising = max(1, round(WARM_UP * steps))
    return step / rising if step <= rising else (steps - step + 1) / (steps - rising + 1)


def in_bfloat16(device: str) -> bool:
    """Whether training multiplies in bfloat16: where the device does so in hardware."""
    return resolve_dtype("auto", device) == torch.bfloat16


def add_gradient(encoder: Encoder, tokens: Sequence[Sequence[int]], pairs: Pairs, *, seed: int) -> float:
    """Adds the gradient of the loss over some pairs to the encoder's weights; with its dropout, as it was trained.

    Args:
        encoder: The encoder.
        tokens: Token ids of the training rows.
        pairs: The pairs of one step.
        seed: Seed of the dropout.

    Returns:
        The loss.
    """
    # A row that stands in several pairs has another dropout in each.
    rows = [tokens[row] for row in (*pairs.first, *pairs.second)]
    devices = [encoder.device] if encoder.device.startswith("cuda") else []
    encoder.model.train()
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            torch.manual_seed(seed)
            with torch.autocast(encoder.device.split(":")[0], torch.bfloat16, enabled=in_bfloat16(encoder.device)):
                first, second = encoder.pooled(rows).float().chunk(2)
            loss = pair_loss(first, second, torch.tensor(pairs.same, device=first.device))
        torch.autograd.backward(loss)
    finally:
        encoder.model.eval()
    return float(loss.detach())
