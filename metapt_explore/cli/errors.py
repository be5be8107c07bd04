"""`metapt errors`: where one method is right and another wrong, text by text."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from metapt_explore.cli.options import JsonLinesOption, WorkspaceOption
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.progress.console import echo, escape, make_console, say

#: Texts that are printed on either side; --json prints all.
SHOWN = 5


def errors(
    study: Annotated[str, typer.Argument(help="The study, by name.")],
    task: Annotated[str, typer.Argument(help="One of its tasks.")],
    method: Annotated[str, typer.Option(help="A method or baseline.")],
    against: Annotated[str, typer.Option(help="Another one.")],
    shots: Annotated[int | None, typer.Option(help="One of `evaluation.more_shots`.")] = None,
    as_json: JsonLinesOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Compare two methods row by row: who is right where the other is wrong, and on which texts.

    With --json every scored row is printed: its text, class, and the share of the seeds at which either was right.
    """
    from metapt_explore.results.predictions import predictions_of, scored_rows
    from metapt_explore.statistics.errors import compare_rows, comparison_sentence
    from metapt_explore.storage.files import json_line
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    config = opened.study_config(study)
    rows = scored_rows(opened, config, task, shots=shots)
    kept = predictions_of(opened, study, task, shots=shots)
    known = sorted(set(kept["method"]))
    for name in (method, against):
        if name not in known:
            raise UserError(
                f"'{study}' keeps no predictions of '{name}' on '{task}'. {did_you_mean(name, known)} Scores of "
                "earlier versions have none: run the study in a new workspace."
            )
    try:
        found = compare_rows(kept[kept["method"] == method], kept[kept["method"] == against])
    except ValueError as error:
        raise UserError(f"'{method}' and '{against}' on '{task}': {error}.") from None
    texts = rows.all_rows.loc[found.rows.index]
    if as_json:
        for number, row in found.rows.iterrows():
            told = {"row": int(str(number)), "text": texts.loc[number, "text"]}
            told |= {"class": rows.classes[int(row["label"])], method: row["first"], against: row["second"]}
            echo(json_line(told))
        return
    console = make_console()
    say(console, comparison_sentence(method, against, found))
    for side, name in ((found.rows[found.rows["difference"] > 0], method), (found.rows[::-1], against)):
        shown = side[side["difference"] != 0] if name == method else side[side["difference"] < 0]
        if len(shown):
            table = Table(title=escape(f"{name} is right, the other wrong: {len(shown)} rows"))
            table.add_column("class")
            for column in (method, against):
                table.add_column(escape(column), justify="right")
            table.add_column("text")
            for number, row in shown.head(SHOWN).iterrows():
                share = (f"{100 * row[key]:.0f} %" for key in ("first", "second"))
                text = " ".join(str(texts.loc[number, "text"]).split())[:160]
                table.add_row(escape(rows.classes[int(row["label"])]), *share, escape(text))
            console.print(table)
