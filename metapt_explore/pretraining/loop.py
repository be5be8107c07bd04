"""The pre-training loop: the same for every method, resumable at any step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from metapt_explore.models.backbone import Backbone
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.models.kv_cache.banks import Bank
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.learner import Learner, PretrainingTask
from metapt_explore.pretraining.optimizer_state import adam_tensors, restore_adam
from metapt_explore.prompts.health import HealthWatch
from metapt_explore.storage.checkpoint import CheckpointStore
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Gradients of a few rows through a frozen model are heavy-tailed; PPT clips at the same norm.
CLIP_NORM = 1.0


class Attempt(CheckpointStore, Protocol):
    """Where the loop writes: an artifact that is being made."""

    def metric(self, record: dict[str, Any]) -> None:
        """Appends one line of metrics."""


def pretrain(
    learner: Learner,
    pretraining_task: PretrainingTask,
    start: Tensor,
    backbone: Backbone,
    texts: Sequence[TextInput],
    pattern: PatternVerbalizer,
    record: Attempt,
    on_step: Callable[[int], None],
    topic_patterns: Sequence[PatternVerbalizer] = (),
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Pre-trains one prompt.

    Args:
        learner: The method.
        pretraining_task: Tasks, sizes and seeds.
        start: The prompt to begin from, fp32 `[prompt_tokens, width]`.
        backbone: The frozen model.
        texts: The texts that the tasks' rows point into.
        pattern: Template and label words.
        record: Receives metrics and checkpoints; a checkpoint found there is gone on from.
        on_step: Called with the finished steps after each step and each pass through the model; may raise to
            stop, what is finished has then been kept.
        topic_patterns: Template and words of each topic task, where there are some.

    Returns:
        What was learned by name, `prompt` among it, and telemetry (row passes, diagnostic rows, states found).
    """
    config = pretraining_task.config
    episodes = [learner.draw(step) for step in range(pretraining_task.steps)]
    kept = _bank_rows(episodes, pretraining_task)
    position = {row: index for index, row in enumerate(kept)}
    kept_texts = [texts[row] for row in kept]
    bank = backbone.bank(kept_texts, pattern)
    others = [(backbone.bank(kept_texts, other), other) for other in topic_patterns]
    objective = PromptObjective(backbone, bank, pattern, others=others)
    health = HealthWatch(backbone.embedding, f"Pre-training of {pretraining_task.method.name}", backbone.on_notice)

    learned = {name: torch.nn.Parameter(value.clone()) for name, value in learner.parameters(start).items()}
    optimiser = torch.optim.Adam(list(learned.values()), lr=pretraining_task.outer_lr)
    late: dict[str, Tensor] = {}  # sums over the averaged steps
    first = _restore(record, learned, optimiser, objective, late)
    for step in range(first, pretraining_task.steps):
        episode = _in_bank(episodes[step], position)
        counted = objective.row_passes, objective.diagnostic_rows
        objective.on_pass = partial(on_step, step)
        try:
            for each, rows in _rows_by_bank(episode, [bank, *(other for other, _ in others)]):
                each.prepare(rows)
            values = {name: value.detach() for name, value in learned.items()}
            gradients, task_records = learner.gradient(values, episode, objective)
        except BaseException:
            # Stopped between two passes: the step is done again from its beginning.
            objective.row_passes, objective.diagnostic_rows = counted
            if step > first:
                _save(record, learned, optimiser, step, objective, late)
            raise
        losses = torch.tensor([task.get("query", task.get("loss", 0.0)) for task in task_records])
        ratio = health.check(values["prompt"], losses, step=step, rate="pretraining.outer_lr")
        norms = {}
        for name, value in learned.items():
            value.grad = gradients[name].clone()
            norms[name] = float(torch.nn.utils.clip_grad_norm_([value], CLIP_NORM))
        optimiser.step()
        # The next step would see it; the last has none.
        health.check_finite(learned["prompt"].detach(), losses, step=step + 1, rate="pretraining.outer_lr")
        if step >= pretraining_task.first_averaged:
            for name, value in learned.items():
                late[name] = late[name] + value.detach() if name in late else value.detach().clone()
        for task_record in task_records:
            record.metric({"step": step, **task_record, "gradient_norm": norms["prompt"], "norm_ratio": ratio})
        finished = step + 1
        if finished % config.checkpoint_every == 0 or finished == pretraining_task.steps:
            _save(record, learned, optimiser, finished, objective, late)
        try:
            on_step(finished)
        except BaseException:
            _save(record, learned, optimiser, finished, objective, late)
            raise
    further = [other for other in dict.fromkeys(other for other, _ in others) if other is not bank]
    telemetry = {
        "row_passes": objective.row_passes,
        "diagnostic_rows": objective.diagnostic_rows,
        "encoded_rows": sum(each.counts.encoded for each in (bank, *further)),
        "states_cached": bank.cached,
        "state_hit_rate": bank.counts.hit_rate,
        "state_hits_memory": sum(each.counts.memory for each in (bank, *further)),
        "state_hits_second": sum(each.counts.second for each in (bank, *further)),
        "states_mib": round(sum(each.needed_bytes for each in (bank, *further)) / 2**20, 1),
    }
    averaged = pretraining_task.steps - pretraining_task.first_averaged
    if averaged:
        return {name: total / averaged for name, total in late.items()}, telemetry
    return {name: value.detach() for name, value in learned.items()}, telemetry


def _bank_rows(episodes: list[Episode], pretraining_task: PretrainingTask) -> list[int]:
    """The rows of the bank: those that will be drawn, or all labelled rows where most will be.

    With all labelled rows the bank, and what it has encoded, is the same one for every method and
    initialisation seed over these texts.
    """
    drawn = {row for episode in episodes for row in episode.rows}
    usable = set(pretraining_task.labelled_rows)
    if pretraining_task.topics is not None:
        usable |= {
            row for classes in pretraining_task.topics.tasks.values() for rows in classes.values() for row in rows
        }
    return sorted(usable if drawn <= usable and 2 * len(drawn) > len(usable) else drawn)


def _rows_by_bank(episode: Episode, banks: Sequence[Bank]) -> list[tuple[Bank, list[int]]]:
    """Each bank with the rows of an episode that are read out of it; patterns of one template's front share a bank."""
    if not episode.patterns:
        return [(banks[0], episode.rows)]
    found: dict[Bank, list[int]] = {}
    for parts in (episode.support, episode.query):
        for pattern, part in zip(episode.patterns, parts, strict=True):
            found.setdefault(banks[pattern], []).extend(part)
    return list(found.items())


def _in_bank(episode: Episode, position: dict[int, int]) -> Episode:
    """The same episode with rows counted in the bank."""
    return replace(
        episode,
        support=[[position[row] for row in part] for part in episode.support],
        query=[[position[row] for row in part] for part in episode.query],
    )


def _save(
    record: CheckpointStore,
    learned: dict[str, torch.nn.Parameter],
    optimiser: torch.optim.Adam,
    step: int,
    objective: PromptObjective,
    late: dict[str, Tensor],
) -> None:
    tensors = adam_tensors(optimiser, learned)
    tensors |= {f"{name}.late": total for name, total in late.items()}
    counts = {"row_passes": objective.row_passes, "diagnostic_rows": objective.diagnostic_rows}
    record.save_checkpoint({key: value.cpu().contiguous() for key, value in tensors.items()}, {"step": step, **counts})


def _restore(
    record: CheckpointStore,
    learned: dict[str, torch.nn.Parameter],
    optimiser: torch.optim.Adam,
    objective: PromptObjective,
    late: dict[str, Tensor],
) -> int:
    found = record.load_checkpoint()
    if found is None:
        return 0
    tensors, meta = found
    restore_adam(optimiser, learned, tensors)
    for name, value in learned.items():
        if f"{name}.late" in tensors:
            late[name] = tensors[f"{name}.late"].to(value.device)
    objective.row_passes, objective.diagnostic_rows = meta["row_passes"], meta["diagnostic_rows"]
    return int(meta["step"])
