"""Running a study in a terminal: progress bars, time left, and the table at the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from metapt_explore.api import run
from metapt_explore.cli.results import labels_line, print_summary, spent_times, texts_line
from metapt_explore.config import StudyConfig, load_study
from metapt_explore.config.limits import LARGEST_SEED, MOST_VALUES
from metapt_explore.errors import UserError, did_you_mean, shortened
from metapt_explore.progress.console import make_console, say
from metapt_explore.progress.state import format_time
from metapt_explore.results.tables import caution, split_warnings, summary_table
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.failures import format_failed
from metapt_explore.study.preview import format_cost, read_cost

if TYPE_CHECKING:
    from metapt_explore.study.run import Until
    from metapt_explore.study.study import Study


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
