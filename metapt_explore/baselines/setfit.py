"""SetFit: the sentence encoder is trained to tell pairs of one class from pairs of two, then logistic regression.

Tunstall et al., 2022 (arXiv 2209.11055). Pairs, loss (squared error of the cosine), one epoch over the pairs and the
classifier are the paper's; learning rate and the part of the epoch after which to stop are chosen on dev.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metapt_explore.baselines.fine_tuning import TrainedWeights, train_best
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, Scored
from metapt_explore.clusters.embed import Encoder, load_encoder
from metapt_explore.fewshot.logistic_regression import LogisticRegressionHead
from metapt_explore.fewshot.scoring import Metrics, Split, measure
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


def draw_pairs(labels: Sequence[int], each: int, seed: tuple[int, ...], data_seed: int) -> Pairs:
    """Draws, for every row, `each` partners of its class and as many of other classes, and shuffles the pairs.

    A row is no partner of its own, unless it is alone in its class.

    Args:
        labels: Class index of each row.
        each: Partners of both kinds.
        seed: Study seed and initialisation seed.
        data_seed: Data seed.

    Example:
        >>> pairs = draw_pairs([0, 0, 1, 1], 3, (0, 0), 13)
        >>> len(pairs.first), sum(pairs.same)
        (24, 12.0)
    """
    generator = stream(seed[0], "setfit_pairs", *seed[1:], data_seed)
    drawn: list[tuple[int, int, float]] = []
    for row, label in enumerate(labels):
        alike = [other for other, its in enumerate(labels) if its == label and other != row] or [row]
        unlike = [other for other, its in enumerate(labels) if its != label]
        for partners, same in ((alike, 1.0), (unlike, 0.0)):
            if partners:
                drawn += [(row, partners[place], same) for place in generator.integers(len(partners), size=each)]
    shuffled = [drawn[place] for place in generator.permutation(len(drawn))]
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
    options, classes = inputs.options, len(inputs.task.labels)
    test, outcome = written_out(inputs.test), BaselineOutcome({})
    inputs.restore(outcome)
    start_of_test = encoder.embed(test)
    rates = options["learning_rates"]
    for done, (seed, train) in enumerate(inputs.train.items()):
        if seed in outcome.seeds:
            continue
        dev, texts, where = inputs.dev[seed], written_out(train.texts), f"{inputs.where}, data seed {seed}"
        dev_texts = written_out(dev.texts)
        tokens = encoder.tokens(texts)
        pairs = draw_pairs(train.labels, options["pairs_per_text"], inputs.seeds, seed)
        steps = -(-len(pairs.same) // options["batch_size"])
        parts = range(options["checkpoints"] + 1)
        scored = sorted({round(steps * part / options["checkpoints"]) for part in parts})

        def head(texts: list[str] = texts, train: Split = train, where: str = where) -> LogisticRegressionHead:
            return LogisticRegressionHead(encoder.embed(texts), train.labels, classes, HEAD_C, where)

        def score_dev(
            head: Callable[[], LogisticRegressionHead] = head, texts: list[str] = dev_texts, dev: Split = dev
        ) -> Metrics:
            return measure(head().scores(encoder.embed(texts)), dev.labels)

        def gradient(step: int, tokens: list[list[int]] = tokens, pairs: Pairs = pairs, seed: int = seed) -> float:
            batch = slice((step - 1) * options["batch_size"], step * options["batch_size"])
            drawn = Pairs(pairs.first[batch], pairs.second[batch], pairs.same[batch])
            dropout = derived_seed(inputs.seeds[0], "setfit", inputs.seeds[1], seed, step)
            return add_gradient(encoder, tokens, drawn, dropout)

        def on_step(taken: int, done: int = done, steps: int = steps) -> None:
            inputs.on_units((done + taken / (len(rates) * steps)) / len(inputs.train))

        weights.reset()
        begin = head().scores(start_of_test)
        best, curves = train_best(
            weights,
            rates,
            scored,
            gradient,
            score_dev,
            inputs.select_by,
            where,
            lambda step, steps=steps: warmed_up(step, steps),  # type: ignore[misc]
            on_step,
        )
        chosen = {"learning_rate": best["learning_rate"], "step": best["step"]}
        last = head()
        outcome.seeds[seed] = Scored(last.scores(encoder.embed(test)), best["dev_accuracy"], begin, chosen)
        outcome.curves += [{"data_seed": seed, **record} for record in curves]
        scorings = 1 + len(rates) * (len(scored) - 1)
        outcome.spent.row_passes += 2 * len(pairs.same) * len(rates)
        outcome.spent.forward_rows += len(test) + scorings * len(dev_texts) + (scorings + 2) * len(texts)
        outcome.spent.trained_parameters = weights.size + last.parameters
        inputs.keep(outcome)
    outcome.spent.forward_rows += len(test)
    return outcome


def warmed_up(step: int, steps: int) -> float:
    """Factor of the learning rate: it rises over the first tenth of the steps, and falls to zero behind the last.

    Example:
        >>> [round(warmed_up(step, 20), 2) for step in (1, 2, 3, 20)]
        [0.5, 1.0, 0.95, 0.05]
    """
    rising = max(1, round(WARM_UP * steps))
    return step / rising if step <= rising else (steps - step + 1) / (steps - rising + 1)


def in_bfloat16(device: str) -> bool:
    """Whether products of a training step are taken in bfloat16: where the machine does that in hardware."""
    return resolve_dtype("auto", device) == torch.bfloat16


def add_gradient(encoder: Encoder, tokens: Sequence[Sequence[int]], pairs: Pairs, seed: int) -> float:
    """Adds the gradient of the loss over some pairs to the encoder's weights; with its dropout, as it was trained.

    Args:
        encoder: The encoder.
        tokens: Token ids of the training rows.
        pairs: The pairs of one step.
        seed: Of the dropout.

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
            with torch.autocast(encoder.device.split(":")[0], torch.bfloat16, in_bfloat16(encoder.device)):
                first, second = encoder.pooled(rows).float().chunk(2)
            loss = pair_loss(first, second, torch.tensor(pairs.same, device=first.device))
        loss.backward()
    finally:
        encoder.model.eval()
    return float(loss.detach())
