"""Few-shot prompt tuning of one method on one task: all data seeds and learning rates in one batch.

Prompt tuning: Lester et al., EMNLP 2021 (arXiv 2104.08691). Learning rate and number of steps are
chosen on the dev split of each data seed; the test split is scored once, after the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import EvaluationConfig, VerbalizerConfig
from metapt_explore.fewshot.scoring import BY_WORDS, ClassReading, Split
from metapt_explore.pretraining.loop import CLIP_NORM
from metapt_explore.prompts.backbone import Backbone
from metapt_explore.prompts.gradients import Batch, Scorer
from metapt_explore.prompts.health import HealthWatch
from metapt_explore.prompts.reader import Reader
from metapt_explore.seeds import stream
from metapt_explore.texts.rows import TextInput


@dataclass(frozen=True)
class Outcome:
    """What few-shot tuning of one prompt on one task gave.

    Attributes:
        results: One record for each data seed: test scores at the chosen rate and step, and at the start.
        curves: One record for each data seed, learning rate and scored step.
        prompts: The chosen prompt of each data seed, `[prompt_tokens, width]`.
        passes: Rows sent forward and backward.
    """

    results: list[dict[str, Any]]
    curves: list[dict[str, Any]]
    prompts: dict[int, Tensor]
    passes: int


def tune(
    start: Tensor,
    backbone: Backbone,
    reader: Reader,
    train: Mapping[int, Split],
    dev: Mapping[int, Split],
    test: Split,
    config: EvaluationConfig,
    order_seed: tuple[int, ...],
    on_step: Callable[[int, dict[str, Any]], None],
    on_pass: Callable[[int], None] = lambda step: None,
    verbalizer: VerbalizerConfig = BY_WORDS,
) -> Outcome:
    """Tunes one start on every data seed at every learning rate, and scores what dev chose on test.

    Args:
        start: The prompt to begin from, fp32 `[prompt_tokens, width]`.
        backbone: The frozen model.
        reader: Template and label words of the task.
        train: The few-shot examples of each data seed.
        dev: As many held-out examples for choosing.
        test: Rows that nothing is chosen on.
        config: Learning rates, steps, batch size.
        order_seed: Study seed and initialisation seed: they order the examples.
        on_step: Called after each tuning step with a record of the mean training loss.
        on_pass: Called with the finished steps after each pass through the model; may raise to stop.
        verbalizer: How dev and test rows are read; tuning itself goes by the reader's label words.
    """
    seeds, rates = list(train), config.learning_rates
    cells = [(seed, rate) for seed in seeds for rate in rates]
    scorer, offsets = _training_rows(backbone, reader, train)
    prompts = [torch.nn.Parameter(start.clone()) for _ in cells]
    optimiser = torch.optim.Adam(
        [{"params": [prompt], "lr": rate} for prompt, (_, rate) in zip(prompts, cells, strict=True)]
    )
    health = HealthWatch(backbone.embedding, "Few-shot tuning", backbone.on_notice)
    snapshots = {0: torch.stack([prompt.detach().clone() for prompt in prompts])}
    for step in range(1, config.steps + 1):
        batch = _batch(cells, train, offsets, config.batch_size, order_seed, step)
        scorer.on_pass = partial(on_pass, step - 1)
        stacked = torch.stack([prompt.detach() for prompt in prompts])
        losses, gradients = scorer.losses_and_gradients(stacked, batch)
        for cell, (_, rate) in enumerate(cells):
            health.look(stacked[cell], losses[cell], step - 1, f"evaluation.learning_rates: {rate:g}")
        for prompt, gradient in zip(prompts, gradients, strict=True):
            prompt.grad = gradient.clone()
            torch.nn.utils.clip_grad_norm_([prompt], CLIP_NORM)
        optimiser.step()
        if config.proximal:
            for prompt, (_, rate) in zip(prompts, cells, strict=True):
                prompt.data.lerp_(start, min(rate * config.proximal, 1.0))
        if step in config.scored_steps:
            snapshots[step] = torch.stack([prompt.detach().clone() for prompt in prompts])
        on_step(step, {"step": step, "train_loss": float(losses.mean())})

    reading = ClassReading(backbone, reader, verbalizer, partial(on_pass, config.steps))
    curves = _score_dev(snapshots, cells, reading, train, dev)
    chosen = {seed: choose([c for c in curves if c["data_seed"] == seed], config.select_by) for seed in seeds}
    tested = _score_test(snapshots, cells, chosen, reading, train, test)
    results, kept = [], {}
    for seed in seeds:
        choice = chosen[seed]
        for record in curves:
            if record["data_seed"] == seed and record["learning_rate"] == choice["learning_rate"]:
                record.update(tested[seed][record["step"]])
        end, begin = tested[seed][choice["step"]], tested[seed][0]
        results.append(
            {
                "data_seed": seed,
                "accuracy": end["test_accuracy"],
                "macro_f1": end["test_macro_f1"],
                "test_loss": end["test_loss"],
                "start_accuracy": begin["test_accuracy"],
                "start_loss": begin["test_loss"],
                "dev_accuracy": choice["dev_accuracy"],
                "learning_rate": choice["learning_rate"],
                "step": choice["step"],
            }
        )
        kept[seed] = snapshots[choice["step"]][cells.index((seed, choice["learning_rate"]))].cpu()
    return Outcome(results, curves, kept, round(scorer.row_passes))


def _training_rows(backbone: Backbone, reader: Reader, train: Mapping[int, Split]) -> tuple[Scorer, dict[int, int]]:
    """One bank over the examples of all data seeds, and where each seed's examples begin in it."""
    texts: list[TextInput] = []
    offsets = {}
    for seed, split in train.items():
        offsets[seed] = len(texts)
        texts += split.texts
    return Scorer(backbone, backbone.bank(texts, reader), reader), offsets


def _batch(
    cells: list[tuple[int, float]],
    train: Mapping[int, Split],
    offsets: dict[int, int],
    size: int,
    order_seed: tuple[int, ...],
    step: int,
) -> Batch:
    """The examples of one tuning step: every cell of a data seed sees the same ones."""
    rows, groups, labels = [], [], []
    picked: dict[int, list[int]] = {}
    for group, (seed, _) in enumerate(cells):
        if seed not in picked:
            picked[seed] = _epoch_rows(len(train[seed].texts), size, order_seed, seed, step)
        rows += [offsets[seed] + row for row in picked[seed]]
        groups += [group] * len(picked[seed])
        labels += [train[seed].labels[row] for row in picked[seed]]
    return Batch(rows, groups, labels)


def _epoch_rows(total: int, size: int, order_seed: tuple[int, ...], seed: int, step: int) -> list[int]:
    """Rows of one step: epochs of shuffled rows cut into batches, stateless so that any step can be asked for."""
    if size >= total:
        return list(range(total))
    per_epoch = total // size
    epoch, part = divmod(step - 1, per_epoch)
    study_seed, *rest = order_seed
    order = stream(study_seed, "tuning_order", *rest, seed, epoch).permutation(total)
    return [int(row) for row in order[part * size : (part + 1) * size]]


def _score_dev(
    snapshots: dict[int, Tensor],
    cells: list[tuple[int, float]],
    reading: ClassReading,
    train: Mapping[int, Split],
    dev: Mapping[int, Split],
) -> list[dict[str, Any]]:
    """Dev scores of every cell at every scored step."""
    curves = []
    for seed, split in dev.items():
        members = [index for index, (cell_seed, _) in enumerate(cells) if cell_seed == seed]
        # At the start all rates have the same prompt: it is scored once.
        keys = [(0, members[0])] + [(step, index) for step in snapshots if step > 0 for index in members]
        stacked = torch.stack([snapshots[step][index] for step, index in keys])
        scores = reading.scores(stacked, split, [train[seed]] * len(keys))
        found = {key: reading.measure(scores[i], split) for i, key in enumerate(keys)}
        for index in members:
            for step in snapshots:
                metrics = found[(step, index) if step else (0, members[0])]
                curves.append(
                    {
                        "data_seed": seed,
                        "learning_rate": cells[index][1],
                        "step": step,
                        **{f"dev_{key}": value for key, value in metrics.items()},
                    }
                )
    return curves


def choose(curves: list[dict[str, Any]], select_by: str) -> dict[str, Any]:
    """Picks the learning rate and step of one data seed by its dev scores.

    Args:
        curves: One record for each learning rate and scored step, with `dev_accuracy` and `dev_loss`.
        select_by: ``loss`` (lowest dev loss) or ``accuracy`` (highest dev accuracy, then lowest loss);
            among equals the fewest steps.

    Example:
        >>> a = {"step": 0, "dev_accuracy": 0.7, "dev_loss": 0.9}
        >>> b = {"step": 5, "dev_accuracy": 0.6, "dev_loss": 0.5}
        >>> choose([a, b], "loss")["step"], choose([a, b], "accuracy")["step"]
        (5, 0)
    """

    def rank(record: dict[str, Any]) -> tuple[float, ...]:
        accuracy = -record["dev_accuracy"] if select_by == "accuracy" else 0.0
        return accuracy, record["dev_loss"], record["step"]

    return dict(sorted(curves, key=rank)[0])


def _score_test(
    snapshots: dict[int, Tensor],
    cells: list[tuple[int, float]],
    chosen: dict[int, dict[str, Any]],
    reading: ClassReading,
    train: Mapping[int, Split],
    test: Split,
) -> dict[int, dict[int, dict[str, float]]]:
    """Test scores at every scored step of each data seed's chosen learning rate."""
    index = {seed: cells.index((seed, choice["learning_rate"])) for seed, choice in chosen.items()}
    # The start is one prompt for all seeds, unless each seed's examples have a say in how it is read.
    first = {seed: cell if reading.by_examples else 0 for seed, cell in index.items()}
    keys = list(
        dict.fromkeys((step, cell if step else first[seed]) for seed, cell in index.items() for step in snapshots)
    )
    stacked = torch.stack([snapshots[step][cell] for step, cell in keys])
    scores = reading.scores(stacked, test, [train[cells[cell][0]] for _, cell in keys])
    found = {key: reading.measure(scores[i], test) for i, key in enumerate(keys)}
    return {
        seed: {
            step: {f"test_{key}": value for key, value in found[step, cell if step else first[seed]].items()}
            for step in snapshots
        }
        for seed, cell in index.items()
    }
