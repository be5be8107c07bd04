"""Pages that are made of the code itself: every key of a study and of a task, every command."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from metapt_explore.cli.main import metapt
from metapt_explore.config import Label, StudyConfig, TaskConfig
from metapt_explore.config.init import InitConfig
from metapt_explore.config.kinds import Kind
from metapt_explore.config.machine import MachineConfig

#: Keys that are required of what is validated, and need not be written: shorter forms stand for them.
SHORT_FORMS = {
    (Label, "value"): "the class's name",
    **{(kind, "kind"): "by the other keys" if kind.source else "written short" for kind in InitConfig.kinds.values()},
}
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true, false"}


def write_reference(folder: Path) -> None:
    """Writes the generated pages, those that are as they were excepted."""
    folder.mkdir(exist_ok=True)
    pages = {
        "study-file.md": study_page(),
        "task-file.md": task_page(),
        "machine-file.md": machine_page(),
        "commands.md": commands_page(),
    }
    for name, text in pages.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


# -------------------------------------------------------------------------------------- YAML files


def study_page() -> str:
    """Every key of a study file."""
    return (
        "# The study file, key by key\n\nMade from the code that validates it. What has no default must be given; an "
        "unknown key, a contradiction or an impossible value is one sentence that names it.\n\n"
        + _sections(StudyConfig)
    )


def task_page() -> str:
    """Every key of a task file."""
    return (
        "# The task file, key by key\n\nA downstream task is one YAML file; `metapt task new` writes one for your rows "
        "([how](../own-data.md)).\n\n" + _sections(TaskConfig)
    )


def machine_page() -> str:
    """Every key of the machine file."""
    return (
        "# The machine file, key by key\n\nWhere studies run on this machine, and with what "
        "([engines](../engines.md)). No part of any study.\n\n" + _sections(MachineConfig)
    )


def _sections(top: type[BaseModel]) -> str:
    """A table for the tree's top and for each kind of settings below it, in the order in which they are met."""
    found: dict[type[BaseModel], str] = {top: ""}
    queue = [top]
    while queue:
        model = queue.pop(0)
        for name, field in model.model_fields.items():
            for inner in _models(field.annotation):
                if inner not in found:
                    found[inner] = f"{name}: {inner.tag}" if issubclass(inner, Kind) else name
                    queue.append(inner)
    return "\n".join(_table(model, found) for model in found)


def _table(model: type[BaseModel], names: dict[type[BaseModel], str]) -> str:
    title = f"`{names[model]}`" if names[model] else "At the top"
    said = " ".join((model.__doc__ or "").split("Example:")[0].split()).replace("``", "`")
    lines = [f"## {title}", "", said, "", "| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key, field in model.model_fields.items():
        if not field.exclude:
            told = model.title if issubclass(model, Kind) and key in model.told_by else field.description
            kind, meaning = _kind(field.annotation, names), _cell(told or "")
            lines.append(f"| `{key}` | {kind} | {_default(model, key, field)} | {meaning} |")
    return "\n".join([*lines, ""])


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _kind(annotation: Any, names: dict[type[BaseModel], str]) -> str:
    """A type as a person would say it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _kind(parts[0], names)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_kind(part, names) for part in parts if part is not type(None))
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin is list:
        return f"list of {_kind(parts[0], names)}"
    if origin is dict:
        return f"map to {_kind(parts[1], names)}"
    if annotation in names:
        return f"[{names[annotation]}](#{names[annotation].replace(': ', '-')})"
    return PLAIN.get(annotation, "value")


def _default(model: type[BaseModel], key: str, field: FieldInfo) -> str:
    if (model, key) in SHORT_FORMS:
        return SHORT_FORMS[model, key]
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, BaseModel):
        short = getattr(value, "short", None)
        return f"`{short}`" if short else "–"
    if value in (None, "", [], {}):
        return "–"
    return f"`{_cell(str(value).replace(chr(10), chr(92) + 'n'))}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# ------------------------------------------------------------------------------------------ commands


def commands_page() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(metapt)
    parts = ["# Commands\n\n`metapt COMMAND --help` says the same in a terminal.\n"]
    for path, command in _commands(root, ["metapt"]):
        parts.append(_command(path, command))
    return "\n".join(parts)


def _commands(command: Any, path: list[str]) -> list[tuple[list[str], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(path, command)]
    return [
        found
        for name, child in inner.items()
        if not getattr(child, "hidden", False)
        for found in _commands(child, [*path, name])
    ]


def _command(path: list[str], command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
    usage = " ".join([*path, *map(_shown, arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"## `{' '.join(path)}`", "", _cell(command.help or ""), "", "```", usage, "```", ""]
    if arguments or options:
        lines += ["| | meaning | default |", "| --- | --- | --- |"]
        lines += [f"| `{_shown(p)}` | {_cell(p.help or '')} | – |" for p in arguments]
        for option in options:
            named = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
            default = f"`{option.default}`" if isinstance(option.default, int | float | str) and option.default else "–"
            default = "**required**" if option.required else default
            lines.append(f"| {named} | {_cell(option.help or '')} | {default} |")
    return "\n".join([*lines, ""])


def _shown(argument: Any) -> str:
    """An argument as usage lines write it."""
    name = f"{argument.name.upper()}{'…' if argument.nargs == -1 else ''}"
    return name if argument.required else f"[{name}]"
