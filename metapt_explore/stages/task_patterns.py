"""How each auxiliary task is read: its format, template and label words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metapt_explore.auxiliary_tasks.topic_words import choose_topic_words
from metapt_explore.config import AuxiliaryTasksConfig, LabelsConfig, StudyConfig
from metapt_explore.config.task_formats import ClusterClassesFormat, TaskFormat
from metapt_explore.pretraining.episodes import TaskFormats, Tasks, read_tasks
from metapt_explore.storage.artifact import Artifact

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone
    from metapt_explore.verbalizers.pattern import PatternVerbalizer


#: Tasks that a look is taken at, of all formats together: where there are more, so many. A mean over them is known well
#: enough; over six of them it was not.
MOST_TASKS = 24
#: Tasks of one format that are looked at where there are many formats.
FEWEST_OF_FORMAT = 6


@dataclass(frozen=True)
class TaskPatterns:
    """The auxiliary tasks of a method, and the pattern of each.

    Attributes:
        tasks: Rows of each class of each task.
        patterns: Templates and label words.
        of_task: Pattern of each task; empty where there is one.
        row_sets: Which set of rows each pattern reads: rows of one format have the same slots.
        formats: Which format each task is of; None where there is one.
        words: Label words of tasks that have words of their own, by their numbers.
        most_of_format: Tasks of one format that are looked at: of hundreds the first, which are drawn at random.
    """

    tasks: Tasks
    patterns: list[PatternVerbalizer]
    of_task: Mapping[int, int] = field(default_factory=dict)
    row_sets: Sequence[int] = ()
    formats: TaskFormats | None = None
    words: dict[str, list[str]] = field(default_factory=dict)
    most_of_format: int = MOST_TASKS

    def pattern_of(self, task: int) -> PatternVerbalizer:
        """Template and label words of a task."""
        return self.patterns[self.of_task.get(task, 0)]

    def sample(self) -> list[int]:
        """The tasks; where they are made from raw texts so many of each format at most, which stand for the others."""
        if self.formats is None:
            return sorted(self.tasks)
        of_format: dict[int, list[int]] = {}
        for task in sorted(self.tasks):
            of_format.setdefault(self.formats.of_task[task], []).append(task)
        return sorted(task for tasks in of_format.values() for task in tasks[: self.most_of_format])


def read_formats(tasks: Artifact, names: Sequence[str]) -> tuple[Tasks, TaskFormats | None]:
    """Auxiliary tasks and their formats, from a `tasks` artifact; no model is needed.

    Args:
        tasks: The artifact.
        names: Classes in the order of the label words, where all tasks share them.
    """
    table, summary = tasks.table("tasks"), tasks.summary
    if "formats" not in summary:
        return read_tasks(table, names), None
    rows: dict[int, dict[str, list[int]]] = {
        number: {name: [] for name in classes} for number, classes in enumerate(summary["task_classes"])
    }
    for task, label, row in zip(table["task"], table["label"], table["row"], strict=True):
        rows[int(task)][str(label)].append(int(row))
    of_task = dict(enumerate(summary["task_formats"]))
    return rows, TaskFormats(of_task, [float(each["weight"]) for each in summary["formats"]])


def read_patterns(study: StudyConfig, tasks: Artifact, loaded: Backbone) -> TaskPatterns:
    """Auxiliary tasks with the pattern of each, tokenised for a model.

    Args:
        study: The study.
        tasks: Its auxiliary tasks, of any of its methods; finished.
        loaded: The model.
    """
    auxiliary, whole_vocabulary = study.auxiliary_tasks, study.verbalizer.decode == "whole_vocabulary"
    rows, formats = read_formats(tasks, list(auxiliary.labels))
    if formats is None:
        return TaskPatterns(rows, [loaded.pattern(auxiliary, "auxiliary_tasks", whole_vocabulary=whole_vocabulary)])
    patterns: list[PatternVerbalizer] = []
    of_task: dict[int, int] = {}
    sets: list[str] = []
    row_sets: list[int] = []
    words: dict[str, list[str]] = {}
    for place, (where, reading, row_set) in enumerate(readings(auxiliary)):
        of_format = [task for task in sorted(rows) if formats.of_task[task] == place]
        sets += [row_set] if row_set not in sets else []
        if isinstance(reading, LabelsConfig):
            of_task |= dict.fromkeys(of_format, len(patterns))
            patterns.append(loaded.pattern(reading, where, whole_vocabulary=whole_vocabulary))
            row_sets.append(sets.index(row_set))
            continue
        for task in of_format:
            chosen = own_words(reading, tasks.summary["task_words"][str(task)], loaded)
            of_task[task] = len(patterns)
            patterns.append(loaded.pattern(reading.reading_of(chosen), where, whole_vocabulary=whole_vocabulary))
            row_sets.append(sets.index(row_set))
            words[str(task)] = list(chosen.values())
    return TaskPatterns(rows, patterns, of_task, row_sets, formats, words, most_of_format(auxiliary))


def readings(auxiliary: AuxiliaryTasksConfig) -> list[tuple[str, LabelsConfig | ClusterClassesFormat, str]]:
    """Of each format: its name in messages, template and words (or the format that draws words), its set of rows."""
    listed: list[tuple[str, LabelsConfig | ClusterClassesFormat, str]] = []
    if auxiliary.labels:
        listed.append((f"auxiliary_tasks '{auxiliary.called}'", auxiliary, ""))
    for each in auxiliary.formats:
        where = f"auxiliary_tasks '{each.called}'"
        if isinstance(each, ClusterClassesFormat):
            listed.append((where, each, ""))
        else:
            reading = each.reading
            assert reading is not None
            listed.append((where, reading, each.called))
    return listed


def own_words(each: ClusterClassesFormat, candidates: Mapping[str, Sequence[str]], loaded: Backbone) -> dict[str, str]:
    """The word of each class of a task that has words of its own: the first candidate of one token that is free."""
    chosen = choose_topic_words(dict(enumerate(candidates.values())), loaded.layout.word_encoder(each.template))
    return dict(zip(candidates, chosen, strict=True))


def format_settings(auxiliary: AuxiliaryTasksConfig) -> dict[str, Any]:
    """What the id of a prompt holds of the formats: how each is read; their tasks are a parent."""
    if not auxiliary.formats:
        return {}
    return {"formats": [_reading(each) for each in auxiliary.formats]}


def look_settings(auxiliary: AuxiliaryTasksConfig) -> dict[str, Any]:
    """What the id of a look at the tasks holds of the formats: how each is read, and how many tasks of each."""
    return {**format_settings(auxiliary), "most_of_format": most_of_format(auxiliary)} if auxiliary.formats else {}


def most_of_format(auxiliary: AuxiliaryTasksConfig) -> int:
    """Tasks of one format that are looked at: formats share the number of all, and none has too few.

    Example:
        >>> from metapt_explore.config import load_study
        >>> most_of_format(load_study("unlabelled").auxiliary_tasks)  # three formats
        8
    """
    formats = len(auxiliary.formats) + bool(auxiliary.labels)
    return max(FEWEST_OF_FORMAT, MOST_TASKS // max(1, formats))


def _reading(each: TaskFormat) -> dict[str, Any]:
    reading = each.reading
    template = reading.template if reading is not None else getattr(each, "template", "")
    words = {} if reading is None else {name: label.words for name, label in reading.labels.items()}
    told = {"name": each.called, "template": template, "words": words}
    # Of other formats the template and words above say it.
    return {**told, "unified": True} if isinstance(each, ClusterClassesFormat) and each.unified else told
