"""Running a study in a terminal: progress bars, time left, and the table at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from metapt_explore.cli.results import labels_line, print_summary, spent_times, texts_line
from metapt_explore.config import StudyConfig, load_study
from metapt_explore.config.limits import LARGEST_SEED, MOST_VALUES
from metapt_explore.errors import Cancelled, UserError, did_you_mean, shortened
from metapt_explore.progress.console import make_console, say
from metapt_explore.progress.notebook import NotebookView, in_notebook
from metapt_explore.progress.state import Progress, State, format_time
from metapt_explore.results.tables import caution, split_warnings, summary_table
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.failures import FailedPart, format_failed
from metapt_explore.study.job_file import working_on
from metapt_explore.study.preview import format_cost, read_cost

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until
    from metapt_explore.study.study import Study


class TerminalView:
    """Two bars, the study and what runs now; plain lines where the output is not a terminal."""

    def __init__(self, console: Console, bars: bool = True) -> None:
        self.console = console
        self.began = time.monotonic()
        self._bars: Bars | None = None
        self._stage = ""
        self._said = self._failed = 0
        self._predicted: float | None = None
        if bars and console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bars = Bars(*columns, console=console, transient=True)
            self._whole = self._bars.add_task("study", total=1.0, note="")
            self._now = self._bars.add_task("", total=1.0, note="")
            self._bars.start()

    def show(self, state: State) -> None:
        """Draws the state."""
        if state.stage != self._stage:
            self._stage = state.stage
            elapsed = format_time(time.monotonic() - self.began)
            left = "" if state.seconds_left is None else f", about {format_time(state.seconds_left)} left"
            say(self.console, f"[{elapsed}] {state.stage}{left}")
        if state.predicted_seconds is not None and state.predicted_seconds != self._predicted:
            self._predicted = state.predicted_seconds
            memory = (state.predicted_peak_mib or 0) / 1024
            say(self.console, f"Predicted: about {format_time(self._predicted)} more, peak memory {memory:.1f} GiB.")
        for notice in state.notices[self._said :]:
            say(self.console, f"Note: {notice}")
        self._said = len(state.notices)
        for part in state.failed[self._failed :]:
            say(self.console, f"Failed: {FailedPart(**part).sentence} The other parts go on.")
        self._failed = len(state.failed)
        if self._bars is not None:
            self._bars.update(self._whole, completed=state.fraction, note=f"{format_time(state.seconds_left)} left")
            note = f"{state.done} of {state.total}"
            self._bars.update(self._now, description="now", total=state.total or 1, completed=state.done, note=note)

    def close(self) -> None:
        """Takes the bars away."""
        if self._bars is not None:
            self._bars.stop()


def run(
    source: str | Path | dict[str, Any] | StudyConfig,
    workspace: str | Path | None = None,
    minutes: float | None = None,
    init_seeds: Sequence[int] | None = None,
    until: Until = "all",
) -> Study:
    """Runs a study, saying what goes on, and returns it finished.

    What is there already is not computed again; an interrupted study goes on.

    Args:
        source: A YAML file, a packaged example such as ``tour``, a dictionary or a `StudyConfig`.
        workspace: Folder for what is computed; ``$METAPT_WORKSPACE`` or ``./workspace`` when absent.
        minutes: Stop after so long; the next call goes on, here or on a machine that the folder was copied to.
        init_seeds: Work on these of the study's initialisation seeds only; all when absent.
        until: How far; see `Study.run`.

    Raises:
        UserError: Where the user's input is wrong, or another process is running the study.
        TimeIsUp: Where `minutes` are over before the study is finished.
        Cancelled: Where the study was asked to stop.

    Example:
        >>> study = run("tour", "workspace")  # doctest: +SKIP
        >>> study.results()  # doctest: +SKIP
    """
    from metapt_explore.study.study import Study

    config = source if isinstance(source, StudyConfig) else load_study(source)
    opened = Workspace(workspace)
    view = TerminalView(make_console())
    try:
        asked = {"until": until, "init_seeds": None if init_seeds is None else list(init_seeds)}
        with working_on(opened, config.name, view.show, asked) as progress:
            if minutes is not None:
                progress.deadline = view.began + 60 * minutes
            study = Study(config, opened, progress)
            study.run(init_seeds, until)
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        view.close()
    return study


def show_progress() -> Progress:
    """Progress of what Python computes: in a notebook a bar with the time left, elsewhere a line for each stage.

    Example:
        >>> study = Study("tour", "workspace", show_progress())  # doctest: +SKIP
    """
    if in_notebook():
        return Progress(NotebookView().show)
    return Progress(TerminalView(make_console(), bars=False).show)


def parse_seeds(written: str) -> list[int]:
    """Reads seeds as they are written on a command line.

    Raises:
        UserError: Where that is no list of numbers and ranges.

    Example:
        >>> parse_seeds("0,2,5-7")
        [0, 2, 5, 6, 7]
    """
    seeds: list[int] = []
    for part in written.split(","):
        first, dash, last = part.strip().partition("-")
        if not _is_seed(first) or (dash and not (_is_seed(last) and int(last) >= int(first))):
            raise UserError(f"Seeds are numbers and ranges such as 0,2,5-7; '{shortened(written)}' is not.")
        if int(last if dash else first) - int(first) >= MOST_VALUES:
            raise UserError(f"'{shortened(part)}' are more than {MOST_VALUES:,} seeds; a study has fewer.")
        seeds += range(int(first), int(last if dash else first) + 1)
    return list(dict.fromkeys(seeds))


def _is_seed(written: str) -> bool:
    return written.isascii() and written.isdecimal() and len(written) <= len(str(LARGEST_SEED))


def parse_until(written: str) -> Until:
    """Reads how far a study is to be computed.

    Raises:
        UserError: Where that is none of the words.
    """
    from metapt_explore.study.run import UNTIL

    if written not in UNTIL:
        raise UserError(f"--until is {', '.join(UNTIL)}; '{written}' is none of them. {did_you_mean(written, UNTIL)}")
    return written


def run_in_terminal(
    source: str | StudyConfig,
    workspace: Path | None,
    minutes: float | None = None,
    init_seeds: list[int] | None = None,
    until: Until = "all",
) -> bool:
    """Runs a study and prints its table, where the time went, and what it does not prove.

    Returns:
        Whether every part that was asked for is there.
    """
    config = source if isinstance(source, StudyConfig) else load_study(source)
    opened = Workspace(workspace)
    console = make_console()
    began = time.monotonic()
    say(console, f"Study '{config.name}' in {opened.folder}")
    study = run(config, opened.folder, minutes, init_seeds, until)
    _print_scores(study, console, began, until)
    failed = format_failed(part.as_dict() for part in study.failed)
    if failed:
        say(console, f"{len(failed)} part{'s' * (len(failed) != 1)} failed; the same command tries again:")
        for sentence in failed:
            say(console, f"  - {sentence}")
    where = f" --workspace {opened.folder}" if workspace is not None else ""
    if until == "all":
        setting = f"METAPT_WORKSPACE={opened.folder} " if workspace is not None else ""
        say(console, f"Report: metapt report {config.name}{where}")
        say(console, f"See it: {setting}streamlit run app.py")
    return not failed


def _print_scores(study: Study, console: Console, began: float, until: Until) -> None:
    opened, config, table = study.workspace, study.config, study.results()
    if until != "all":
        say(console, texts_line(opened, config.name))
        say(console, f"There now: {until}. The same command without --until goes on from there.")
        return
    print_summary(config.name, summary_table(table), console, config.evaluation.scored_rows)
    say(console, texts_line(opened, config.name))
    say(console, spent_times(opened, config.name))
    say(console, f"This run took {format_time(time.monotonic() - began)}.")
    cost = read_cost(opened, config.name)
    if cost is not None and cost.real_seconds is not None:
        say(console, format_cost(cost))
    if config.labelling is not None:
        say(console, labels_line(opened, config.name))
    for sentence in config.reading_sentences:
        say(console, sentence)
    for warning in split_warnings(opened, config.name):
        say(console, f"Note: {warning}")
    say(console, caution(table))
    from metapt_explore.reporting.notes import notes_of
    from metapt_explore.reporting.report import verdicts
    from metapt_explore.results.record import record_of

    record = record_of(opened, config.name)
    for note in notes_of(record):
        say(console, f"Note: {note}")
    for verdict in verdicts(record)[:1]:
        say(console, f"Verdict: {verdict}")
