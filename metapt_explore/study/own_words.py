"""Another template and other label words for an own task, and for the auxiliary tasks that share its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metapt_explore.config import StudyConfig, TaskConfig, load_task, parse, read_yaml, readable_yaml, to_yaml
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError
from metapt_explore.storage.files import write_bytes
from metapt_explore.storage.workspace import Workspace


def is_own(workspace: Workspace, task: str) -> bool:
    """Whether a task of a study was made by the dashboard out of the user's rows, and may be written anew.

    Args:
        workspace: The workspace.
        task: The task as the study names it.
    """
    return Path(task).suffix == ".yaml" and Path(task).is_relative_to(workspace.folder / "own-tasks")


def with_reading(study: StudyConfig, task: str, template: str, words: Mapping[str, Sequence[str]]) -> StudyConfig:
    r"""Writes the task's file anew beside the old one; the study then reads it.

    Args:
        study: The study.
        task: The task as the study names it: a file.
        template: How a text is read.
        words: Label words of each class of the task.

    Returns:
        The study. Its auxiliary tasks get the same words, and the same template, where they tell the same labels apart.

    Raises:
        UserError: Where the template or words do not fit.

    Example:
        >>> with_reading(study, task, "{text}\nTopic:", {"bug": ["error"], "praise": ["praise"]})  # doctest: +SKIP
    """
    file = Path(task)
    before, tree = load_task(file), read_yaml(file)
    labels = _with_words({name: label.value for name, label in before.labels.items()}, words)
    tree = {**tree, "template": template, "labels": labels}
    parse(TaskConfig, tree, f"the task '{before.name}'")
    content = readable_yaml(tree).encode()
    new = file.with_name(f"task-{hashlib.sha256(content).hexdigest()[:8]}.yaml")
    write_bytes(new, content)
    study_tree = parse_yaml(to_yaml(study), study.name)
    evaluation = study_tree["evaluation"]
    evaluation["tasks"] = [str(new) if each == task else each for each in evaluation["tasks"]]
    for terms in evaluation.get("task_terms", []):
        terms["task"] = str(new) if terms["task"] == task else terms["task"]
    of_texts = {label.value: name for name, label in study.auxiliary_tasks.labels.items()}
    if set(of_texts) == {label.value for label in before.labels.values()}:
        by_value = {label.value: words[name] for name, label in before.labels.items()}
        values = {name: value for value, name in of_texts.items()}
        same = _with_words(values, {name: by_value[value] for name, value in values.items()})
        study_tree["auxiliary_tasks"] |= {"labels": same}
        if study.auxiliary_tasks.template == before.template:
            study_tree["auxiliary_tasks"]["template"] = template
    return parse(StudyConfig, study_tree, f"the study '{study.name}'")


def _with_words(values: Mapping[str, str], words: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    if missing := [name for name in values if not words.get(name)]:
        raise UserError(f"The class '{missing[0]}' has no word for the model to say.")
    return {
        name: {"value": value, **({"word": words[name][0]} if len(words[name]) == 1 else {"words": list(words[name])})}
        for name, value in values.items()
    }
