"""The episodes of a pre-training, drawn ahead, over a bank of the texts that they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metapt_explore.models.backbone import Backbone
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.models.kv_cache.banks import Bank
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.learner import Learner, PretrainingTask
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer


@dataclass(frozen=True)
class PretrainingTexts:
    """The texts that auxiliary tasks point into, and how they are read.

    Attributes:
        texts: The texts.
        pattern: Template and label words of the tasks that tell labels apart.
        topic_patterns: Template and words of each topic task.
    """

    texts: Sequence[TextInput]
    pattern: PatternVerbalizer
    topic_patterns: Sequence[PatternVerbalizer] = ()


@dataclass(frozen=True)
class PretrainingTelemetry:
    """What a pre-training sent through the model, and how many text states it could reuse.

    Attributes:
        row_passes: Rows forward and backward.
        diagnostic_rows: Rows forward only, for metrics.
        encoded_rows: Texts that were encoded.
        states_cached: Texts whose states are in memory at the end.
        state_hit_rate: Share of look-ups that found a state; None without look-ups.
        state_hits_memory: Look-ups that found it in memory.
        state_hits_second: Look-ups that found it in the second tier.
        states_mib: Size of all states.
    """

    row_passes: float
    diagnostic_rows: int
    encoded_rows: int
    states_cached: int
    state_hit_rate: float | None
    state_hits_memory: int
    state_hits_second: int
    states_mib: float


class EpisodeBank:
    """Draws all episodes of a pre-training, and puts the texts that they need into a bank.

    Args:
        learner: Draws the episodes.
        pretraining_task: Tasks, sizes and seeds.
        source: The texts.
        backbone: The frozen model.

    Attributes:
        objective: The backbone over the bank's rows.
    """

    def __init__(
        self, learner: Learner, pretraining_task: PretrainingTask, *, source: PretrainingTexts, backbone: Backbone
    ) -> None:
        self._episodes = [learner.draw(step) for step in range(pretraining_task.steps)]
        rows = bank_rows(self._episodes, pretraining_task)
        self._positions = {row: index for index, row in enumerate(rows)}
        texts = [source.texts[row] for row in rows]
        patterns = [source.pattern, *source.topic_patterns]
        self._banks = [backbone.bank(texts, pattern) for pattern in patterns]
        (bank, pattern), *others = zip(self._banks, patterns, strict=True)
        self.objective = PromptObjective(backbone, bank, pattern, others=others)

    def draw(self, step: int) -> Episode:
        """The episode of a step, with rows counted in the bank and their text states prepared."""
        episode = in_bank(self._episodes[step], self._positions)
        for bank, rows in rows_by_bank(episode, self._banks):
            bank.prepare(rows)
        return episode

    def telemetry(self) -> PretrainingTelemetry:
        """What went through the model so far."""
        first, banks = self._banks[0], list(dict.fromkeys(self._banks))
        return PretrainingTelemetry(
            row_passes=self.objective.row_passes,
            diagnostic_rows=self.objective.diagnostic_rows,
            encoded_rows=sum(bank.counts.encoded for bank in banks),
            states_cached=first.cached,
            state_hit_rate=first.counts.hit_rate,
            state_hits_memory=sum(bank.counts.memory for bank in banks),
            state_hits_second=sum(bank.counts.second for bank in banks),
            states_mib=round(sum(bank.needed_bytes for bank in banks) / 2**20, 1),
        )


def bank_rows(episodes: Sequence[Episode], pretraining_task: PretrainingTask) -> list[int]:
    """Rows of the bank: those that are drawn, or all labelled rows where more than half of them are drawn.

    A bank of all labelled rows, and what it has encoded, is shared by all methods and initialisation seeds over these
    texts.
    """
    drawn = {row for episode in episodes for row in episode.rows}
    usable = set(pretraining_task.labelled_rows)
    if pretraining_task.topics is not None:
        topic_tasks = pretraining_task.topics.tasks.values()
        usable |= {row for classes in topic_tasks for rows in classes.values() for row in rows}
    return sorted(usable if drawn <= usable and 2 * len(drawn) > len(usable) else drawn)


def rows_by_bank(episode: Episode, banks: Sequence[Bank]) -> list[tuple[Bank, list[int]]]:
    """Each bank with the rows of an episode that it holds; patterns whose templates begin alike share a bank."""
    if not episode.patterns:
        return [(banks[0], episode.rows)]
    rows: dict[Bank, list[int]] = {}
    for sets in (episode.support, episode.query):
        for pattern, task_rows in zip(episode.patterns, sets, strict=True):
            rows.setdefault(banks[pattern], []).extend(task_rows)
    return list(rows.items())


def in_bank(episode: Episode, positions: Mapping[int, int]) -> Episode:
    """The same episode with rows counted in the bank."""
    return replace(
        episode,
        support=[[positions[row] for row in rows] for rows in episode.support],
        query=[[positions[row] for row in rows] for rows in episode.query],
    )
