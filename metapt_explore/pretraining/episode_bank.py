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
        pattern: Template and label words of the first tasks.
        other_patterns: Those of tasks that are read in other ways, as an episode numbers them from 1.
        row_sets: Which set of rows each pattern reads, where formats make rows of their own; a pattern's rows must all
            have the slots of its template.
    """

    texts: Sequence[TextInput]
    pattern: PatternVerbalizer
    other_patterns: Sequence[PatternVerbalizer] = ()
    row_sets: Sequence[int] = ()

    @property
    def patterns(self) -> list[PatternVerbalizer]:
        """All patterns, in their order."""
        return [self.pattern, *self.other_patterns]

    def set_of(self, pattern: int) -> int:
        """The set of rows that a pattern reads."""
        return self.row_sets[pattern] if self.row_sets else 0


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
        rows = bank_rows(self._episodes, pretraining_task, source)
        self._sets = [source.set_of(pattern) for pattern in range(len(source.patterns))]
        self._positions = [{row: index for index, row in enumerate(part)} for part in rows]
        texts = [[source.texts[row] for row in part] for part in rows]
        self._banks = [
            backbone.bank(texts[place], pattern) for place, pattern in zip(self._sets, source.patterns, strict=True)
        ]
        (bank, pattern), *others = zip(self._banks, source.patterns, strict=True)
        self.objective = PromptObjective(backbone, bank, pattern, others=others)

    def draw(self, step: int) -> Episode:
        """The episode of a step, with rows counted in the bank and their text states prepared."""
        episode = self._episodes[step]
        episode = in_bank(episode, [self._positions[self._sets[pattern]] for pattern in task_patterns(episode)])
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


def bank_rows(
    episodes: Sequence[Episode], pretraining_task: PretrainingTask, source: PretrainingTexts
) -> list[list[int]]:
    """Rows of the bank of each set: those that are drawn, or all usable ones where more than half of them are drawn.

    A bank of all usable rows, and what it has encoded, is shared by all methods and initialisation seeds over these
    texts. Usable are all labelled rows; of a set that formats made, all rows of tasks.
    """
    sets = max(map(source.set_of, range(len(source.patterns)))) + 1
    drawn: list[set[int]] = [set() for _ in range(sets)]
    usable: list[set[int]] = [set(pretraining_task.labelled_rows), *(set() for _ in range(sets - 1))]
    for episode in episodes:
        for pattern, *parts in zip(task_patterns(episode), episode.support, episode.query, strict=True):
            drawn[source.set_of(pattern)].update(row for part in parts for row in part)
    topic_tasks = {} if pretraining_task.topics is None else pretraining_task.topics.tasks
    for task, classes in {**pretraining_task.tasks, **topic_tasks}.items():
        place = source.set_of(pretraining_task.patterns.get(task, 0))
        if place or task in topic_tasks or pretraining_task.formats is not None:
            usable[place].update(row for rows in classes.values() for row in rows)
    return [
        # A pattern that is never drawn has a bank, too: of one row.
        sorted(all_rows if some <= all_rows and 2 * len(some) > len(all_rows) else some) or sorted(all_rows)[:1]
        for some, all_rows in zip(drawn, usable, strict=True)
    ]


def task_patterns(episode: Episode) -> list[int]:
    """The pattern of each task of an episode."""
    return list(episode.patterns) or [0] * len(episode.tasks)


def rows_by_bank(episode: Episode, banks: Sequence[Bank]) -> list[tuple[Bank, list[int]]]:
    """Each bank with the rows of an episode that it holds; patterns whose templates begin alike share a bank."""
    if not episode.patterns:
        return [(banks[0], episode.rows)]
    rows: dict[Bank, list[int]] = {}
    for sets in (episode.support, episode.query):
        for pattern, task_rows in zip(episode.patterns, sets, strict=True):
            rows.setdefault(banks[pattern], []).extend(task_rows)
    return list(rows.items())


def in_bank(episode: Episode, positions: Sequence[Mapping[int, int]]) -> Episode:
    """The same episode with rows counted in the bank of each task."""
    return replace(
        episode,
        support=[[of[row] for row in rows] for of, rows in zip(positions, episode.support, strict=True)],
        query=[[of[row] for row in rows] for of, rows in zip(positions, episode.query, strict=True)],
    )
