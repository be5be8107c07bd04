"""Running a study in a terminal: progress bars, time left, and the table at the end."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from metapt_explore.config import load_study
from metapt_explore.errors import Cancelled
from metapt_explore.runs.progress import State, say_time
from metapt_explore.runs.results import summary_table
from metapt_explore.runs.workspace import Workspace


class TerminalView:
    """Two bars, the study and what runs now; plain lines where the output is not a terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.began = time.monotonic()
        self._bars: Progress | None = None
        self._stage = ""
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bars = Progress(*columns, console=console, transient=True)
            self._whole = self._bars.add_task("study", total=1.0, note="")
            self._now = self._bars.add_task("", total=1.0, note="")
            self._bars.start()

    def show(self, state: State) -> None:
        """Draws the state."""
        if state.stage != self._stage:
            self._stage = state.stage
            elapsed = say_time(time.monotonic() - self.began)
            left = "" if state.seconds_left is None else f", about {say_time(state.seconds_left)} left"
            self.console.print(f"[{elapsed}] {state.stage}{left}", markup=False, highlight=False)
        if self._bars is not None:
            self._bars.update(self._whole, completed=state.fraction, note=f"{say_time(state.seconds_left)} left")
            note = f"{state.done} of {state.total}"
            self._bars.update(self._now, description="now", total=state.total or 1, completed=state.done, note=note)

    def close(self) -> None:
        """Takes the bars away."""
        if self._bars is not None:
            self._bars.stop()


def run_in_terminal(source: str | Path, workspace: Path | None) -> None:
    """Runs a study and prints its table.

    Raises:
        UserError: Where the user's input is wrong.
        Cancelled: Where the study was asked to stop.
    """
    config = load_study(source)
    opened = Workspace(workspace)
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    console.print(f"Study '{config.name}' in {opened.folder}", markup=False, highlight=False)
    from metapt_explore.runs.jobs import working_on

    view = TerminalView(console)
    began = time.monotonic()
    try:
        with working_on(opened, config.name, view.show) as progress:
            from metapt_explore.runs.study import Study

            study = Study(config, opened, progress)
            table = study.run()
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        view.close()
    print_summary(config.name, summary_table(table), console)
    print_times(opened, config.name, console)
    console.print(f"Took {say_time(time.monotonic() - began)}.", markup=False, highlight=False)
    console.print(caution(table), markup=False, highlight=False, soft_wrap=True)
    workspace_note = "" if workspace is None else f" (set METAPT_WORKSPACE={opened.folder} for another folder)"
    console.print(f"See it: streamlit run app.py{workspace_note}", markup=False, highlight=False, soft_wrap=True)


def print_summary(name: str, summary: pd.DataFrame, console: Console | None = None) -> None:
    """Prints accuracy in percent, a row for each task and method."""
    table = Table(title=f"{name}: accuracy on test, %")
    for column in ("task", "method"):
        table.add_column(column)
    for column in ("start", "mean", "std", "worst", "seeds"):
        table.add_column(column, justify="right")
    previous = None
    for row in summary.to_dict(orient="records"):
        if previous is not None and previous != row["task"]:
            table.add_section()
        previous = row["task"]
        numbers = ["–" if pd.isna(row[key]) else f"{100 * row[key]:.1f}" for key in ("start", "mean", "std", "worst")]
        table.add_row(row["task"], row["method"], *numbers, str(row["seeds"]))
    (console or Console()).print(table)


def print_times(workspace: Workspace, study: str, console: Console) -> None:
    """Prints where the time went, by kind of stage."""
    spent: dict[str, float] = {}
    for entry in workspace.index(study):
        stage = workspace.artifact(entry["id"]).stage
        key = f"prompt of {entry['method']}" if entry["kind"] == "prompt" else entry["kind"]
        spent[key] = spent.get(key, 0.0) + float(stage.get("seconds", 0.0))
    parts = [f"{key} {say_time(seconds)}" for key, seconds in spent.items() if seconds >= 0.5]
    line = f"Time (when it was computed): {', '.join(parts)}"
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def caution(results: pd.DataFrame) -> str:
    """Says how little a few seeds prove.

    Example:
        >>> caution(pd.DataFrame({"data_seed": [1, 2, 3], "init_seed": [0, 0, 0]}))[:38]
        '3 data seeds × 1 initialisation seed: '
    """
    data_seeds, init_seeds = results["data_seed"].nunique(), results["init_seed"].nunique()
    counted = (
        f"{data_seeds} data seed{'s' * (data_seeds != 1)} × {init_seeds} initialisation seed{'s' * (init_seeds != 1)}"
    )
    if data_seeds * init_seeds >= 10 and init_seeds >= 3:
        return f"{counted}: compare means together with their spread, and method with method seed by seed."
    return (
        f"{counted}: this proves nothing. Differences of a few points can turn round with other seeds; "
        "a statement needs ten or more pairs of seeds, each initialisation seed a new pre-training."
    )
