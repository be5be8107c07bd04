"""Auxiliary tasks of one or several formats, drawn for a look at them: which, and their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metapt_explore.seeds import stream
from metapt_explore.stages.task_patterns import MOST_TASKS, TaskPatterns
from metapt_explore.texts.rows import TextInput

if TYPE_CHECKING:
    from metapt_explore.diagnostics.task_gradients import Draw
    from metapt_explore.models.backbone import Backbone
    from metapt_explore.models.gradients import PromptObjective


@dataclass(frozen=True)
class DrawnTasks:
    """Draws of auxiliary tasks, over banks of their texts.

    Attributes:
        objective: The backbone over the texts that are drawn.
        draws: Draws of each task; rows count in the bank of the task's pattern.
        patterns: Which pattern of the objective each task is read by.
    """

    objective: PromptObjective
    draws: dict[int, list[Draw]]
    patterns: dict[int, int]


def chosen_tasks(reading: TaskPatterns, seed: int) -> list[int]:
    """Numbers of the tasks that are looked at: all, or so many drawn at random; of several formats some of each.

    Args:
        reading: The tasks.
        seed: The study seed.
    """
    tasks = reading.sample()
    if reading.formats is not None or len(tasks) <= MOST_TASKS:
        return tasks
    order = stream(seed, "tasks looked at").permutation(len(tasks))
    return sorted(tasks[place] for place in order[:MOST_TASKS])


def drawn_tasks(
    loaded: Backbone, texts: Sequence[TextInput], reading: TaskPatterns, draws: Mapping[int, Sequence[Draw]]
) -> DrawnTasks:
    """Puts the texts of draws into banks: one for each set of rows and each beginning of a template.

    Args:
        loaded: The model.
        texts: The texts that tasks point into.
        reading: How tasks are read.
        draws: Of each task; rows count in `texts`.
    """
    from metapt_explore.models.gradients import PromptObjective

    used = sorted({reading.of_task.get(task, 0) for task in draws})
    set_of = [reading.row_sets[pattern] if reading.row_sets else 0 for pattern in used]
    of_task = {task: used.index(reading.of_task.get(task, 0)) for task in draws}
    rows: dict[int, set[int]] = {row_set: set() for row_set in set_of}
    for task, of in draws.items():
        rows[set_of[of_task[task]]].update(row for draw in of for half, _ in draw for row in half)
    positions = {row_set: {row: index for index, row in enumerate(sorted(part))} for row_set, part in rows.items()}
    in_sets = {row_set: [texts[row] for row in sorted(part)] for row_set, part in rows.items()}
    banks = [loaded.bank(in_sets[s], reading.patterns[p]) for s, p in zip(set_of, used, strict=True)]
    (bank, pattern), *others = zip(banks, [reading.patterns[number] for number in used], strict=True)
    in_bank: dict[int, list[Draw]] = {}
    for task, of in draws.items():
        of_row = positions[set_of[of_task[task]]]
        in_bank[task] = [[([of_row[row] for row in half], labels) for half, labels in draw] for draw in of]
    return DrawnTasks(PromptObjective(loaded, bank, pattern, others=others), in_bank, of_task)
