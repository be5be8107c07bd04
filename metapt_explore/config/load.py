"""Configurations out of YAML files and into them.

Unknown keys are refused and the nearest valid key is named. Paths in a YAML file are relative to
the folder of that file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from metapt_explore.config.evaluation import EvaluationConfig
from metapt_explore.config.init import InitConfig
from metapt_explore.config.problems import check_plain, explain
from metapt_explore.config.reading import WRITTEN, read_yaml
from metapt_explore.config.renamed import tell_once, with_new_names
from metapt_explore.config.study import StudyConfig
from metapt_explore.config.task import DATA_FOLDER, Strict, TaskConfig, in_data_folder
from metapt_explore.config.task_terms import task_with_terms
from metapt_explore.errors import UserError, did_you_mean, shortened

PACKAGE_FOLDER = Path(__file__).parents[1]
EXAMPLES = PACKAGE_FOLDER / "examples"
TASK_FILES = PACKAGE_FOLDER / "fewshot" / "tasks"

Config = TypeVar("Config", bound=Strict)


def parse(model: type[Config], tree: Any, where: str) -> Config:
    """Validates a tree of plain values.

    Args:
        model: The configuration class.
        tree: What was read from YAML or written in Python.
        where: The file or object named in the message.

    Raises:
        UserError: With a line for each wrong key; an unknown key names the nearest valid one.
    """
    check_plain(tree, where)
    if issubclass(model, StudyConfig):
        tree, _ = with_new_names(tree)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{where}: " + "\n  ".join(explain(model, error))) from None
    except (RecursionError, OverflowError) as error:
        raise UserError(f"{where}: a value is too large or too deep ({type(error).__name__}).") from None


def load_study(source: str | Path | dict[str, Any], *, on_notice: Callable[[str], None] = tell_once) -> StudyConfig:
    """Reads a study.

    Args:
        source: A YAML file, the name of a packaged example such as ``tour``, or a dictionary.
        on_notice: Called with a sentence for each old name that has a new one (`renamed.py`).

    Raises:
        UserError: Where the file, a key or a value is wrong.

    Example:
        >>> load_study("tour").name
        'tour'
    """
    if isinstance(source, dict):
        return _checked(source, Path.cwd(), "study", on_notice=on_notice)
    path = Path(source)
    if not path.suffix and (_is("folder", path) or not _is("there", path)):
        examples = [file.stem for file in EXAMPLES.glob("*.yaml")]
        if str(source) in examples:
            path = EXAMPLES / f"{source}.yaml"
        elif not _is("folder", path):
            shown = shortened(str(source))
            raise UserError(f"There is no file or packaged example '{shown}'. {did_you_mean(str(source), examples)}")
    return _checked(read_yaml(path), path.parent, str(path), on_notice=on_notice)


def _checked(tree: Any, folder: Path, where: str, *, on_notice: Callable[[str], None]) -> StudyConfig:
    """Validates a study as its user wrote it."""
    check_plain(tree, where)
    tree, notices = with_new_names(tree)
    study = parse(StudyConfig, _absolute_study(tree, folder), where)
    for notice in notices:
        on_notice(f"{where}: {notice}")
    return study


def _is(what: Literal["there", "folder"], path: Path) -> bool:
    try:
        return path.exists() if what == "there" else path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds NUL
        return False


def load_task(source: str | Path) -> TaskConfig:
    """Reads a downstream task.

    Args:
        source: The name of a packaged task, such as ``trec``, or a YAML file.

    Raises:
        UserError: Where there is no such task, or a key or value is wrong.

    Example:
        >>> sorted(load_task("sms_spam").labels)
        ['ham', 'spam']
    """
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        names = packaged_tasks()
        if str(source) not in names:
            shown = shortened(str(source))
            raise UserError(
                f"There is no packaged task '{shown}'. {did_you_mean(str(source), names)} A path ends in .yaml."
            )
        path = TASK_FILES / f"{source}.yaml"
    tree = read_yaml(path)
    _refuse_terms_of_the_study(tree, path)
    task = parse(TaskConfig, _absolute_files(tree, path.parent), str(path))
    try:
        return task.located
    except ValueError as error:
        raise UserError(f"{path}: {error}.") from None


def load_tasks(evaluation: EvaluationConfig) -> list[TaskConfig]:
    """Reads the tasks of a study, with what the study says of each (`evaluation.task_terms`), in order.

    Raises:
        UserError: As `load_task`.
    """
    return [load_study_task(evaluation, source) for source in evaluation.tasks]


def load_study_task(evaluation: EvaluationConfig, source: str) -> TaskConfig:
    """One task of a study; see `load_tasks`."""
    return task_with_terms(load_task(source), evaluation.task_terms, source)


def _refuse_terms_of_the_study(tree: Any, path: Path) -> None:
    given = [key for key in ("shots", "dev_share", "max_tokens") if isinstance(tree, dict) and key in tree]
    if given:
        raise UserError(
            f"{path}: `{given[0]}` belongs to the study: write `tasks: [{{task: {path.name}, {given[0]}: "
            f"{tree[given[0]]}}}]` under its `evaluation`."
        )


def packaged_tasks() -> list[str]:
    """Names of the task files inside the package."""
    return sorted(file.stem for file in TASK_FILES.glob("*.yaml"))


def _absolute_study(tree: Any, folder: Path) -> Any:
    """Makes a study independent of where it is run from: files, task files and model folders."""
    if not isinstance(tree, dict):
        return tree
    tree = _absolute_files(tree, folder)
    for key, named in (("model", "name"), ("encoder", "name"), ("embeddings", "model")):
        if isinstance(settings := tree.get(key), dict):
            tree[key] = _absolute_models(settings, (named,), folder)
    if isinstance(baselines := tree.get("baselines"), list):
        tree["baselines"] = [
            _absolute_models(each, ("encoder", "model"), folder) if isinstance(each, dict) else each
            for each in baselines
        ]
    evaluation = tree.get("evaluation")
    if isinstance(evaluation, dict):
        lists = {key: evaluation[key] for key in ("tasks", "task_terms") if isinstance(evaluation.get(key), list)}
        found = {key: [_absolute_task(entry, folder) for entry in entries] for key, entries in lists.items()}
        tree["evaluation"] = {**evaluation, **found}
    return tree


def _absolute_task(entry: Any, folder: Path) -> Any:
    """A task's file made absolute, in an entry of `evaluation.tasks` or `task_terms`; a packaged name stays."""
    if isinstance(entry, dict) and "task" in entry:
        return {**entry, "task": _absolute_task(entry["task"], folder)}
    return _absolute(str(entry), folder) if str(entry).endswith((".yaml", ".yml")) else entry


def _absolute_models(settings: dict[str, Any], keys: Sequence[str], folder: Path) -> dict[str, Any]:
    """Makes names of models absolute where they are folders: a name may be a starter's or the hub's, too."""
    absolute = dict(settings)
    for key in keys:
        name = settings.get(key)
        if isinstance(name, str) and _is("there", folder / name / "config.json"):
            absolute[key] = str((folder / name).resolve())
    return absolute


def _absolute_files(tree: Any, folder: Path) -> Any:
    """Makes every `file:` entry absolute, and every `peft:` entry that is a folder (it may be a hub name)."""
    if isinstance(tree, dict):
        # Keys under `labels` are names of classes.
        absolute = {key: value if key == "labels" else _absolute_files(value, folder) for key, value in tree.items()}
        if isinstance(file := tree.get("file"), str):
            absolute["file"] = _absolute(file, folder)
        if isinstance(adapter := tree.get("peft"), str) and _is("folder", Path(_absolute(adapter, folder))):
            absolute["peft"] = _absolute(adapter, folder)
        return absolute
    if isinstance(tree, list):
        return [_absolute_files(entry, folder) for entry in tree]
    return tree


def _absolute(path: str, folder: Path) -> str:
    if in_data_folder(path):
        named = os.environ.get("METAPT_DATA")
        # Without a name it stays as it is: a task may have another source.
        return _absolute(path.removeprefix(DATA_FOLDER).lstrip("/"), Path(named).expanduser()) if named else path
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except (RuntimeError, OSError):  # ~name of an unknown user, circular links: reading the file reports the error
        return str(folder / path)


def to_yaml(config: Strict, *, brief: bool = False) -> str:
    """Writes a configuration as YAML that `load_study` or `load_task` reads back to an equal one.

    Args:
        config: What to write.
        brief: Leaves out what is at its default, for people to read.
    """
    return str(yaml.safe_dump(_plain(config, brief=brief), **WRITTEN))


class _Readable(yaml.SafeDumper):
    """Texts of several lines stand in double quotes, with their line breaks written out; nothing refers elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "\n" in text else None)


_Readable.add_representer(str, _text)


def readable_yaml(tree: dict[str, Any]) -> str:
    r"""Writes plain values as a person would, the innermost on one line.

    Example:
        >>> tree = {"template": "{text}\nTopic:", "labels": {"law": {"value": "1", "word": "law"}}}
        >>> print(readable_yaml(tree), end="")
        template: "{text}\nTopic:"
        labels:
          law: {value: '1', word: law}
    """
    return yaml.dump(tree, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)


def _plain(value: Any, *, brief: bool = False) -> Any:
    """Plain values; a None stays where leaving it out would mean something else."""
    if isinstance(value, InitConfig):
        return value.short
    if isinstance(value, BaseModel):
        fields, always = type(value).model_fields, getattr(value, "always_written", ())
        given = {name: getattr(value, name) for name in fields}
        return {
            name: _plain(entry, brief=brief)
            for name, entry in given.items()
            if (entry is not None or fields[name].default is not None)
            and not entry == fields[name].default == []
            and not (brief and name not in always and entry == fields[name].get_default(call_default_factory=True))
        }
    if isinstance(value, dict):
        return {key: _plain(entry, brief=brief) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry, brief=brief) for entry in value]
    return value
