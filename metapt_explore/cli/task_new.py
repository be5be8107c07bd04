"""`metapt task new`: a task file for somebody's own rows."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metapt_explore.cli.options import takes_options
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, one_line

if TYPE_CHECKING:
    from metapt_explore.datacheck.new_task import Wanted


#: Customary number of examples a class.
USUAL_SHOTS = 16


@dataclass(frozen=True)
class RowOptions:
    """Where the rows are; each field is an option of the command."""

    test: Annotated[Path | None, typer.Option(help="File of the test rows, if they have one.")] = None
    dev: Annotated[Path | None, typer.Option(help="File of the dev rows, if they have one.")] = None
    text: Annotated[str | None, typer.Option(help="Column of the text (default: guessed).")] = None
    text_pair: Annotated[str | None, typer.Option(help="Column of the second text of a pair.")] = None
    label: Annotated[str | None, typer.Option(help="Column of the label (default: guessed).")] = None
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Treat 'nan', 'None' and '-' as real labels and texts.")
    ] = False


@dataclass(frozen=True)
class TaskOptions:
    """What the task file says; each field is an option of the command."""

    word: Annotated[
        list[str] | None, typer.Option(help="VALUE=WORD: the label word of a label; repeat for each label.")
    ] = None
    template: Annotated[str, typer.Option(help="How a text is read, such as '{text}\\nSentiment:'.")] = ""
    name: Annotated[str, typer.Option(help="The task's name (default: the file's).")] = ""
    title: Annotated[str, typer.Option(help="What it is, in a few words.")] = ""


@takes_options
def task_new(
    file: Annotated[
        Path, typer.Argument(help="The rows; with --test, only the training rows. {seed} stands for the data seed.")
    ],
    rows: RowOptions,
    options: TaskOptions,
    *,
    out: Annotated[Path | None, typer.Option(help="The task file (default: NAME.yaml beside the rows).")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; stop at what cannot be guessed.")] = False,
) -> None:
    """Write the YAML file of a downstream task on your own rows; asks only what it cannot guess."""
    from metapt_explore.config import Columns
    from metapt_explore.datacheck.new_task import Wanted

    wanted = Wanted(
        file,
        test=rows.test,
        dev=rows.dev,
        columns=Columns(text=rows.text or "", text_pair=rows.text_pair, label=rows.label),
        name=options.name,
        title=options.title,
        template=options.template.replace("\\n", "\n"),
        words=parse_words(options.word or []),
        keep_missing=rows.keep_missing,
    )
    new_task_in_terminal(wanted, out, ask=not yes and sys.stdin.isatty())


def parse_words(options: Sequence[str]) -> dict[str, str]:
    """Words by value out of ``VALUE=WORD``.

    Raises:
        UserError: Where one is written otherwise.

    Example:
        >>> parse_words(["1=bad", "5=great"])
        {'1': 'bad', '5': 'great'}
    """
    words = {}
    for option in options:
        value, equals, word = option.rpartition("=")
        if not equals or not value.strip() or not word.strip():
            raise UserError(f"--word is written VALUE=WORD, such as --word 1=bad, not '{option}'.")
        words[value.strip()] = word.strip()
    return words


def new_task_in_terminal(wanted: Wanted, out: Path | None, *, ask: bool) -> None:
    """Writes the task file, tries it, and says how to use it.

    Raises:
        UserError: Where something is missing, or the file exists.
    """
    from metapt_explore.config import load_task, readable_yaml
    from metapt_explore.datacheck.few_shot_files import common_seeds, most_shots, shared_texts
    from metapt_explore.datacheck.new_task import new_task, task_folder, task_name
    from metapt_explore.storage.files import write_bytes

    if out is None:
        out = task_folder(wanted) / f"{task_name(wanted)}.yaml"
    if out.suffix not in (".yaml", ".yml"):
        raise UserError(f"--out is a YAML file (its name ends in .yaml), not {out}.")
    if out.exists():
        raise UserError(f"{out} exists: give --out another name, or move it away.")
    tree = new_task(wanted, out, ask=_ask if ask else None, tell=lambda notice: echo(f"{notice}\n", err=True))
    write_bytes(out, readable_yaml(tree).encode())
    task = load_task(out)
    echo(out.read_text(encoding="utf-8"), nl=False)
    echo(f"\nWritten to {out}. Correct whatever is guessed wrong: the template, the words, the names of classes.")
    seeds = common_seeds((wanted.file, wanted.dev))
    try:
        shots = most_shots(task, seeds)
    except UserError as error:
        echo(f"Its rows are not right yet: {error}")
        return
    if not shots:
        echo("Its rows are too few: each class needs one for train, one for dev and one for test.")
        return
    echo(f"There are up to {shots:,} labelled examples a class for train and again for dev, and test rows besides.")
    for parts, count in (shared_texts(task, seeds) if seeds else {}).items():
        echo(f"Rows that stand in both {parts}, all data seeds together: {count:,}.")
    of_seeds = f", data_seeds: {seeds}" if seeds else ""
    echo(f"Use it in a study, `evaluation: {{tasks: [{out.resolve()}], shots: {min(shots, USUAL_SHOTS)}{of_seeds}}}`,")
    echo("or on the dashboard's Texts page.")
    if task.splits is not None and task.splits.train.place != task.splits.dev.place:
        echo(f"For every training row of a published set: `tasks: [{{task: {out.resolve()}, shots: all}}]`.")


def _ask(question: str, proposed: str) -> str:
    # What is proposed comes out of the data: it is shown, and given back as it is.
    prompt = f"{question} [{one_line(proposed)}]" if proposed else question
    return str(typer.prompt(one_line(prompt), default=proposed or None, show_default=False))
