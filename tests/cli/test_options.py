"""Dataclasses of options on the command line, and what `metapt --help` lists."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.cli.options import takes_options

CLI = Path(__file__).parents[2] / "metapt_explore" / "cli"


@dataclass(frozen=True)
class Seeds:
    method: Annotated[str, typer.Option(help="A method.")]
    init_seed: Annotated[int, typer.Option(min=0, help="A seed.")] = 7


@takes_options
def command(
    study: Annotated[str, typer.Argument()], seeds: Seeds, loud: Annotated[bool, typer.Option("--loud")] = False
) -> None:
    """Print what was asked."""
    typer.echo(f"{study} {seeds} {loud}")


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["demo", "--method", "PT"], "demo Seeds(method='PT', init_seed=7) False"),
        (["demo", "--init-seed", "3", "--loud", "--method", "PT"], "demo Seeds(method='PT', init_seed=3) True"),
        (["demo"], "Missing option '--method'"),
        (["demo", "--method", "PT", "--init-seed", "-1"], "Invalid value for '--init-seed'"),
    ],
)
def test_each_field_is_an_option(words: list[str], output: str) -> None:
    app = typer.Typer()
    app.command()(command)
    assert output in " ".join(CliRunner().invoke(app, words, env={"TERM": "dumb", "COLUMNS": "300"}).output.split())


def test_each_command_says_what_it_and_its_options_do() -> None:
    root = typer.main.get_command(metapt)
    commands = {name: child for name, child in root.commands.items() if not child.hidden}  # type: ignore[attr-defined]
    for group in ("data", "task"):
        commands |= commands.pop(group).commands
    silent = [name for name, child in commands.items() if not child.help]
    silent += [
        f"{name} {option.name}"
        for name, child in commands.items()
        for option in child.params
        if option.name != "help" and not option.help
    ]
    assert not silent and len(commands) >= 22


def test_each_file_of_commands_is_registered() -> None:
    main = ast.parse((CLI / "main.py").read_text(encoding="utf-8"))
    imported = {
        alias.name
        for node in main.body
        if isinstance(node, ast.ImportFrom) and node.module == "metapt_explore.cli"
        for alias in node.names
    }
    files = {file.stem for file in CLI.glob("*.py")} - {"__init__", "main", "options", "boundary"}
    assert imported == files
