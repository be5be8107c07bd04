"""`metapt data …` and `metapt task …`: own files, before a study reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

task_app = typer.Typer(help="Task files of your own.", no_args_is_help=True)
data_app = typer.Typer(help="Look at a file of your own before a study does.", no_args_is_help=True)

TextOption = Annotated[str | None, typer.Option(help="Column of the text (default: guessed).")]
PairOption = Annotated[str | None, typer.Option(help="Column of the second text of a pair.")]
KeepMissingOption = Annotated[
    bool, typer.Option("--keep-missing", help="Take labels and texts such as 'nan', 'None' or '-' as what they say.")
]
LabelOption = Annotated[str | None, typer.Option(help="Column of the label (default: guessed).")]


@task_app.callback()
@data_app.callback()
def _several() -> None:
    # A callback keeps the only command of a group a command of its own.
    pass


@data_app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(help="CSV, TSV, JSON, JSONL, Parquet or Excel; train, dev and test together.")
    ],
    text: TextOption = None,
    text_pair: PairOption = None,
    label: LabelOption = None,
    group: Annotated[str | None, typer.Option(help="Column of known groups (default: guessed).")] = None,
    task: Annotated[str | None, typer.Option(help="A task whose data it is: its name or YAML file.")] = None,
    against: Annotated[Path | None, typer.Option(help="Pre-training texts: which rows are among them?")] = None,
    study: Annotated[str | None, typer.Option(help="A study that will read it: how many texts does it cut?")] = None,
    fix: Annotated[
        Path | None, typer.Option(help="Write what a study would use of it into this new file, as UTF-8.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
    keep_missing: KeepMissingOption = False,
    encoding: Annotated[
        str, typer.Option(help="How the file's text is written, such as shift_jis (default: told from its bytes).")
    ] = "",
) -> None:
    """Say what is wrong with files, row by row, and how to repair it. Exit code 1: a study could not read them so."""
    from metapt_explore.cli.data import check_in_terminal
    from metapt_explore.config import Columns

    columns = Columns(text=text or "", text_pair=text_pair, label=label, group=group)
    if not check_in_terminal(files, columns, task, against, fix, as_json, study, keep_missing, encoding):
        raise typer.Exit(1)


@task_app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The rows; with --test, those that are learned from.")],
    test: Annotated[Path | None, typer.Option(help="The test rows, where they are in a file of their own.")] = None,
    dev: Annotated[Path | None, typer.Option(help="The dev rows, likewise.")] = None,
    text: TextOption = None,
    text_pair: PairOption = None,
    label: LabelOption = None,
    word: Annotated[
        list[str] | None, typer.Option(help="VALUE=WORD: the word that stands for a label; as often as needed.")
    ] = None,
    template: Annotated[str, typer.Option(help="How a text is read, such as '{text}\\nSentiment:'.")] = "",
    name: Annotated[str, typer.Option(help="The task's name (default: the file's).")] = "",
    title: Annotated[str, typer.Option(help="What it is, in some words.")] = "",
    out: Annotated[Path | None, typer.Option(help="The task file (default: NAME.yaml beside the rows).")] = None,
    keep_missing: KeepMissingOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; stop at what cannot be guessed.")] = False,
) -> None:
    """Write the YAML file of a downstream task on your own rows; asks only what it cannot guess."""
    from metapt_explore.cli.task import new_task_in_terminal, parse_words
    from metapt_explore.config import Columns
    from metapt_explore.datacheck.new_task import Wanted

    columns = Columns(text=text or "", text_pair=text_pair, label=label)
    said = template.replace("\\n", "\n")
    wanted = Wanted(file, test, dev, columns, name, title, said, parse_words(word or []), keep_missing)
    new_task_in_terminal(wanted, out, ask=not yes and sys.stdin.isatty())
