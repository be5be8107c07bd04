"""Auxiliary tasks of one or several formats, drawn for a look at them: which, what they are called, and their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metapt_explore.seeds import stream
from metapt_explore.stages.auxiliary_tasks import task_names
from metapt_explore.stages.task_patterns import TaskPatterns
from metapt_explore.storage.artifact import Artifact
from metapt_explore.texts.rows import TextInput

if TYPE_CHECKING:
    from metapt_explore.diagnostics.task_gradients import Draw
    from metapt_explore.models.backbone import Backbone
    from metapt_explore.models.gradients import PromptObjective

#: Tasks that a look is taken at: where there are more, so many are drawn. A mean over them is known well enough.
MOST_TASKS = 24


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


def chosen_tasks(reading: TaskPatterns, seed: int, most: int = MOST_TASKS) -> list[int]:
    """Numbers of the tasks that are looked at: all, or so many drawn at random, of each format as many as of others.

    Args:
        reading: The tasks.
        seed: The study seed.
        most: How many at most.
    """
    if len(reading.tasks) <= most:
        return sorted(reading.tasks)
    order = [sorted(reading.tasks)[place] for place in stream(seed, "tasks looked at").permutation(len(reading.tasks))]
    of_format: dict[int, list[int]] = {}
    for task in order:
        of_format.setdefault(reading.formats.of_task[task] if reading.formats else 0, []).append(task)
    chosen: list[int] = []
    while len(chosen) < most:
        chosen += [tasks.pop(0) for tasks in of_format.values() if tasks]
    return sorted(chosen[:most])


def unique_names(tasks: Artifact, numbers: Sequence[int]) -> dict[int, str]:
    """What tasks are called; those of one name are told apart by their numbers.

    Args:
        tasks: The artifact.
        numbers: The tasks.
    """
    names = task_names(tasks)
    called = {number: names.get(number, f"task {number}") for number in numbers}
    said = list(called.values())
    return {number: f"{name} ({number})" if said.count(name) > 1 else name for number, name in called.items()}


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
