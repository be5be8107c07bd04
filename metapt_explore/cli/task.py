"""`metapt task new`: a task file out of somebody's rows, in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from metapt_explore.config import load_task, readable_yaml
from metapt_explore.datacheck.new_task import Wanted, most_shots, new_task
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, one_line
from metapt_explore.storage.files import write_bytes


def parse_words(written: Sequence[str]) -> dict[str, str]:
    """Words by value out of ``VALUE=WORD``.

    Raises:
        UserError: Where one is written otherwise.

    Example:
        >>> parse_words(["1=bad", "5=great"])
        {'1': 'bad', '5': 'great'}
    """
    found = {}
    for entry in written:
        value, equals, word = entry.rpartition("=")
        if not equals or not value.strip() or not word.strip():
            raise UserError(f"--word is written VALUE=WORD, such as --word 1=bad, not '{entry}'.")
        found[value.strip()] = word.strip()
    return found


def new_task_in_terminal(wanted: Wanted, out: Path | None, ask: bool) -> None:
    """Writes the task file, tries it, and says how to use it.

    Raises:
        UserError: Where something is missing, or the file exists.
    """
    if out is None:
        out = wanted.file.parent / f"{wanted.name or wanted.file.stem}.yaml"
    if out.suffix not in (".yaml", ".yml"):
        raise UserError(f"--out is a YAML file (its name ends in .yaml), not {out}.")
    if out.exists():
        raise UserError(f"{out} exists: give --out another name, or move it away.")
    tree = new_task(wanted, out, ask=_ask if ask else None, tell=lambda said: echo(f"{said}\n", err=True))
    write_bytes(out, readable_yaml(tree).encode())
    task = load_task(out)
    echo(out.read_text(encoding="utf-8"), nl=False)
    echo(f"\nWritten to {out}. Correct whatever is guessed wrong: the template, the words, the names of classes.")
    try:
        shots = most_shots(task)
    except UserError as error:
        echo(f"Its rows are too few, or not right yet: {error}")
        return
    many = "16 or more" if shots == 16 else str(shots)
    echo(f"There are {many} labelled examples a class for train and again for dev, and test rows besides.")
    echo(f"Use it in a study, `evaluation: {{tasks: [{out.resolve()}], shots: {shots}}}`,")
    echo("or on the dashboard's Texts page.")


def _ask(question: str, proposed: str) -> str:
    # What is proposed comes out of the data: it is shown, and given back as it is.
    asked = f"{question} [{one_line(proposed)}]" if proposed else question
    return str(typer.prompt(one_line(asked), default=proposed or None, show_default=False))
