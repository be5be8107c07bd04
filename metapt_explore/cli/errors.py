"""`metapt errors`: where one method is right and another wrong, text by text; accuracy in parts of the test rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from metapt_explore.cli.options import JsonLinesOption, WorkspaceOption, takes_options
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    import pandas as pd

    from metapt_explore.results.decisions import TaskDecisions
    from metapt_explore.statistics.ground import Grounds

#: Texts that are printed on either side; --json prints all.
SHOWN = 5


@dataclass(frozen=True)
class Pair:
    """Two methods; each field is an option of the command."""

    method: Annotated[str, typer.Option(help="A method or baseline.")]
    against: Annotated[str, typer.Option(help="Another one.")]
    shots: Annotated[int | None, typer.Option(help="One of `evaluation.more_shots`.")] = None


@takes_options
def errors(
    study: Annotated[str, typer.Argument(help="A study of the workspace, by name, or the folder of a record.")],
    task: Annotated[str, typer.Argument(help="One of its tasks.")],
    pair: Pair,
    *,
    slices: Annotated[
        bool, typer.Option("--slices", help="Print accuracy in parts of the rows instead: by class, length, cluster …")
    ] = False,
    as_json: JsonLinesOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Compare two methods row by row: who is right where the other is wrong, and on which texts.

    With --json every scored row is printed: its text, class, and the share of the seeds at which either was right.
    Of a published record texts are shown where the workspace has the same rows, else their ids.
    """
    from metapt_explore.statistics.errors import compare_rows, comparison_sentence, macro_f1

    decisions, grounds = _decisions(study, task, pair.shots, workspace)
    first, second = decisions.of(pair.method), decisions.of(pair.against)
    if slices:
        _print_slices(decisions, [pair.method, pair.against], as_json=as_json)
        return
    try:
        found = compare_rows(first, second)
    except ValueError as error:
        raise UserError(f"'{pair.method}' and '{pair.against}' on '{task}': {error}.") from None
    if as_json:
        _print_rows(decisions, found.rows, pair)
        return
    console = make_console()
    say(console, comparison_sentence(pair.method, pair.against, found))
    f1 = [100 * macro_f1(each, len(decisions.classes)) for each in (first, second)]
    say(console, f"Macro F1: {pair.method} {f1[0]:.1f} %, {pair.against} {f1[1]:.1f} %, mean over pairs of seeds.")
    say(console, _intervals(first.assign(task=task), second.assign(task=task), grounds))
    ahead = {pair.method: found.rows[found.rows["difference"] > 0]}
    ahead[pair.against] = found.rows[found.rows["difference"] < 0][::-1]
    shown = decisions.shown
    for name, rows in ahead.items():
        if len(rows):
            table = Table(title=escape(f"{name} is right, the other wrong: {len(rows)} rows"))
            table.add_column("class")
            for column in (pair.method, pair.against):
                table.add_column(escape(column), justify="right")
            table.add_column(str(shown.columns[0]))
            for number, row in rows.head(SHOWN).iterrows():
                share = (f"{100 * row[key]:.0f} %" for key in ("first", "second"))
                text = " ".join(" ".join(map(str, shown.loc[number])).split())[:160]
                table.add_row(escape(decisions.classes[int(row["label"])]), *share, escape(text))
            console.print(table)


def _decisions(study: str, task: str, shots: int | None, workspace: Path | None) -> tuple[TaskDecisions, Grounds]:
    """Decisions of a study of the workspace, or of a record's folder, and what is known of its tasks' samples.

    Raises:
        UserError: Where there are none.
    """
    from metapt_explore.reporting.notes import grounds_of
    from metapt_explore.results.decisions import decisions_in, decisions_of
    from metapt_explore.results.record import Record, scores_of
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    if not (Path(study) / "record.json").is_file():
        return decisions_in(opened, opened.study_config(study), task, shots), grounds_of(scores_of(opened, study))
    if shots is not None:
        raise UserError("A record keeps the decisions of the study's own number of examples: leave --shots out.")
    record = Record.load(Path(study))
    if record.predictions.empty:
        raise UserError(f"The record in {study} keeps no decisions: it was written by an earlier version.")
    return decisions_of(record, task, opened), grounds_of(record)


def _intervals(first: pd.DataFrame, second: pd.DataFrame, grounds: Grounds) -> str:
    from metapt_explore.statistics.two_level import COVERS, two_level

    try:
        return f"{two_level(first, second, grounds=grounds).sentence} {COVERS}"
    except (ValueError, UserError) as error:
        return f"No interval over seeds and rows together: {str(error).rstrip('.')}."


def _print_rows(decisions: TaskDecisions, rows: pd.DataFrame, pair: Pair) -> None:
    from metapt_explore.storage.files import json_line

    for number, row in rows.iterrows():
        facts = decisions.rows.loc[number]
        told = {"row": int(str(number)), "id": str(facts["id"]), "text": facts.get("text")}
        told |= {"text_pair": facts["text_pair"]} if "text_pair" in facts else {}
        told |= {"class": decisions.classes[int(row["label"])], pair.method: row["first"], pair.against: row["second"]}
        echo(json_line(told))


def _print_slices(decisions: TaskDecisions, methods: list[str], *, as_json: bool) -> None:
    from metapt_explore.storage.files import json_line

    found = decisions.slice_table(list(dict.fromkeys(methods)))
    if as_json:
        for record in found.to_dict(orient="records"):
            echo(json_line({str(key): value for key, value in record.items()}))
        return
    console = make_console()
    for by, rows in found.groupby("by", sort=False):
        table = Table(title=escape(f"by {by}"))
        table.add_column("slice")
        for column in ("rows", *methods):
            table.add_column(escape(column), justify="right")
        for name, own in rows.groupby("slice", sort=False):
            by_method = own.set_index("method")
            cells = [
                f"{100 * at['accuracy']:.1f} % ({100 * at['low']:.0f} to {100 * at['high']:.0f})"
                for at in (by_method.loc[method] for method in methods)
            ]
            table.add_row(escape(str(name)), f"{int(own['rows'].iloc[0]):,}", *cells)
        console.print(table)
    say(console, "In brackets: the interval of 95 % over rows. Of many slices the worst one is partly bad luck.")
    if not any(str(name).startswith("cluster:") for name in decisions.rows):
        say(
            console,
            "By nearest cluster and by similarity with the pre-training texts: run the study with `--until slices`.",
        )
