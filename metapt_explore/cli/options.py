"""Arguments and options that commands share, and dataclasses of options for commands that have many."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from metapt_explore.study.study import Study

R = TypeVar("R")

StudySource = Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")]
StoredStudy = Annotated[str, typer.Argument(help="A study of the workspace, or its YAML file.")]
WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", help="Folder for everything computed (default: $METAPT_WORKSPACE or ./workspace)."
    ),
]
InitSeedOption = Annotated[int | None, typer.Option(help="Initialisation seed (default: the study's first).")]
ShotsOption = Annotated[
    int | None,
    typer.Option(help="Examples a class: one of evaluation.more_shots (default: the study's evaluation.shots)."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")]
#: A flag: one JSON object for all that is printed.
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
#: A flag: one JSON object for each thing that is printed.
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]


def takes_options(command: Callable[..., R]) -> Callable[..., R]:
    """Lets a Typer command take dataclasses of options: on the command line each field is an option of its own.

    Args:
        command: A function; parameters whose type is a dataclass are expanded, the others stay as they are.

    Example:
        >>> @dataclass(frozen=True)  # doctest: +SKIP
        ... class Seeds:
        ...     init_seed: Annotated[int, typer.Option(help="Initialisation seed.")] = 0
        >>> @takes_options  # doctest: +SKIP
        ... def lineage(study: StoredStudy, seeds: Seeds) -> None: ...
    """
    types = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in types.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _parameters_of(groups[parameter.name])
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(kind=kind, annotation=types[parameter.name]))

    @wraps(command)
    def expanded(**values: Any) -> R:
        options = {
            name: group(**{field.name: values.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        return command(**values, **options)

    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _parameters_of(group: type) -> list[inspect.Parameter]:
    """The fields of a dataclass as parameters of a function."""
    types = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=types[field.name],
        )
        for field in fields(group)
    ]


def open_study(study: str, workspace: Path | None) -> Study:
    """A study of the workspace by its name, or by its YAML file."""
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.study import Study

    opened = Workspace(workspace)
    return Study(study if study.endswith((".yaml", ".yml")) else opened.study_config(study), opened)
