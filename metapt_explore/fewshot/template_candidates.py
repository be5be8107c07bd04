"""Which templates and label words are tried for a task: its own, a small menu, or a file of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from metapt_explore.config import Family, LabelsConfig, TaskConfig, read_yaml
from metapt_explore.config.families import FAMILIES
from metapt_explore.config.label_values import words_key
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.fewshot.word_candidates import other_words

MENU = Path(__file__).with_name("template_menu.yaml")

Words = dict[str, list[str]]


def own_candidate(task: TaskConfig) -> LabelsConfig:
    """The template and label words of the task file."""
    return LabelsConfig(template=task.template, labels=task.labels)


def menu_candidates(task: TaskConfig, family: Family) -> list[LabelsConfig]:
    r"""The task's own template and the packaged ones with the task's own words, and its own template with others.

    Args:
        task: The task.
        family: The model's family; masked models get a place for the answer and a full stop behind it.

    Example:
        >>> from metapt_explore.config import load_task
        >>> [each.template for each in menu_candidates(load_task("trec"), "masked")][8]
        'Text: {text}\nQuestion: What is it?\nAnswer: {mask}.'
    """
    templates = read_yaml(MENU)["pair_templates" if task.pairs else "templates"]
    if FAMILIES[family].reads_at_mask:
        templates = [f"{template} {{mask}}." for template in templates]
    made = [_candidate(task, template, None, where=f"{MENU.name}, {template!r}") for template in templates]
    others = [{name: [word] for name, word in words.items()} for words in other_words(task)]
    made += [_candidate(task, task.template, words, where="other words") for words in others]
    return _distinct([own_candidate(task), *made])


def file_candidates(task: TaskConfig, file: Path) -> list[LabelsConfig]:
    """Every template of a file with every set of its label words.

    Args:
        task: The task; what the file leaves out, templates or words, is taken from it.
        file: YAML with ``templates`` (a list) and ``words`` (a list; each maps every class to a word or a list).

    Raises:
        UserError: Naming the file and the entry that is wrong.
    """
    tree = read_yaml(file)
    if not isinstance(tree, dict):
        raise UserError(f"{file}: expected a mapping with `templates` and `words`, found {type(tree).__name__}.")
    for key in tree:
        if key not in ("templates", "words"):
            raise UserError(f"{file}: unknown key '{key}'. {did_you_mean(str(key), ('templates', 'words'))}")
    templates, words = (_entries(tree, key, file) for key in ("templates", "words"))
    if not templates and not words:
        raise UserError(f"{file} holds no candidates: give `templates`, `words` or both.")
    for index, template in enumerate(templates):
        if not isinstance(template, str):
            raise UserError(f"{file}: templates[{index}] is a {type(template).__name__}; a text is expected.")
        _candidate(task, template, None, where=f"{file}: templates[{index}]")
    checked: list[Words | None] = [_words(task, entry, f"{file}: words[{index}]") for index, entry in enumerate(words)]
    for index, entry in enumerate(checked):
        _candidate(task, task.template, entry, where=f"{file}: words[{index}]")
    crossed = ((template, entry) for template in templates or [task.template] for entry in checked or [None])
    return _distinct([_candidate(task, template, entry, where=str(file)) for template, entry in crossed])


def _entries(tree: dict[str, Any], key: str, file: Path) -> list[Any]:
    entries = tree.get(key)
    if entries is None:
        return []
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{file}: `{key}` must be a list with at least one entry.")
    return entries


def _words(task: TaskConfig, entry: Any, where: str) -> Words:
    if not isinstance(entry, dict):
        raise UserError(f"{where} is a {type(entry).__name__}; a mapping of each class to its words is expected.")
    given = {str(name): words for name, words in entry.items()}
    for name, words in given.items():
        if name not in task.labels:
            raise UserError(f"{where}: the task '{task.name}' has no class '{name}'. {did_you_mean(name, task.labels)}")
        for word in words if isinstance(words, list) else [words]:
            if not isinstance(word, str):
                raise UserError(f"{where}: class '{name}' has the word {word!r}, which is no text: put it in quotes.")
        if words == []:
            raise UserError(f"{where}: class '{name}' has an empty list of words.")
    for name in task.labels:
        if name not in given:
            raise UserError(f"{where} has no word for class '{name}'.")
    return {name: words if isinstance(words := given[name], list) else [words] for name in task.labels}


def _candidate(task: TaskConfig, template: str, words: Words | None, *, where: str) -> LabelsConfig:
    if "{text_pair}" in template and not task.pairs:
        raise UserError(f"{where}: the template holds {{text_pair}}, but rows of the task '{task.name}' are one text.")
    if task.pairs and "{text_pair}" not in template:
        raise UserError(f"{where}: rows of the task '{task.name}' are pairs, but the template has no {{text_pair}}.")
    labels: dict[str, Any] = {name: label.model_dump() for name, label in task.labels.items()}
    if words is not None:
        # Without the description: it would be read in place of the words by sentence encoders.
        labels = {name: {"value": label.value, "words": words[name]} for name, label in task.labels.items()}
    try:
        return LabelsConfig(template=template, labels=labels)
    except ValidationError as error:
        reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise UserError(f"{where}: {reasons}.") from None


def _distinct(candidates: Sequence[LabelsConfig]) -> list[LabelsConfig]:
    """Each template with each set of words once, in the order of their first mention."""
    seen: dict[str, LabelsConfig] = {}
    for candidate in candidates:
        seen.setdefault(repr((candidate.template, words_key(candidate))), candidate)
    return list(seen.values())
