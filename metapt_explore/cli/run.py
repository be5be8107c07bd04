"""`metapt run` and `metapt tour`: a study in a terminal, with progress, and its table at the end."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from metapt_explore.cli.boundary import PARTS_FAILED
from metapt_explore.cli.options import StudySource, WorkspaceOption, takes_options
from metapt_explore.errors import UserError, did_you_mean, shortened
from metapt_explore.progress.console import make_console, say

if TYPE_CHECKING:
    from metapt_explore.config import StudyConfig
    from metapt_explore.stages.registry import Until
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.study import Study


@dataclass(frozen=True)
class WhereOptions:
    """Where a study runs; each field is an option of the command."""

    on: Annotated[
        str | None,
        typer.Option(
            help="Where: here (this process), local (a process a card), local:4 (four processes), slurm or "
            "ray; by default what the machine file says, else here."
        ),
    ] = None
    queue: Annotated[
        bool, typer.Option("--queue", help="Put it into the workspace's queue and return at once (see `metapt jobs`).")
    ] = False


@takes_options
def run(
    study: StudySource,
    *,
    workspace: WorkspaceOption = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.0, help="Stop after this long, with exit code 75 if work is left; run again to go on."),
    ] = None,
    init_seeds: Annotated[
        str | None, typer.Option(help="Only these of the study's initialisation seeds, such as 0-4 or 0,7.")
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            help="How far: texts, clusters, plan (the predicted cost), prompts or all; or one look, such as stability, "
            "agreement or lens."
        ),
    ] = "all",
    where: WhereOptions,
    track: Annotated[
        str | None,
        typer.Option(help="Tell curves to tensorboard, mlflow, wandb or trackio, too (several by commas)."),
    ] = None,
) -> None:
    """Run a study. Run again, it computes nothing twice; if it was stopped, it goes on.

    If a part fails (a clustering that finds nothing, a task whose file is gone), the others are still computed; the
    exit code is then 1, and the next run tries the part again.
    """
    seeds, stop = None if init_seeds is None else parse_seeds(init_seeds), parse_until(until)
    if minutes is not None and math.isnan(minutes):
        raise UserError("--minutes is a number of minutes, not nan.")
    queue = where.queue
    if queue and minutes is not None:
        raise UserError("--minutes is for a run that you wait for; leave it out with --queue.")
    if queue and where.on is not None:
        raise UserError("--on is for a run that you wait for; the queue runs studies where the machine file says.")
    on = None if queue else parse_on(where.on)
    if track is not None:
        from metapt_explore.study.trackers import VARIABLE, tool_names

        if queue:
            raise UserError(f"--track is for a run that you wait for; a worker of the queue reads {VARIABLE}.")
        os.environ[VARIABLE] = ",".join(tool_names(track.split(",")))
    if queue:
        enqueue_in_terminal(study, workspace, init_seeds=seeds, until=stop)
    elif not run_in_terminal(study, workspace, minutes=minutes, init_seeds=seeds, until=stop, on=on):
        raise typer.Exit(PARTS_FAILED)


def tour(workspace: WorkspaceOption = None) -> None:
    """Run a small example in a few minutes: two tasks, three ways to begin a prompt, two ways to read classes.

    PT: without pre-training. PPT: pre-trained on all texts. MetaPT: meta-learned over clusters of them.
    PPT and probe: PPT's prompts, and a probe of the model read beside the label words (recommended).
    """
    from metapt_explore.config import load_study
    from metapt_explore.storage.workspace import Workspace

    if not run_in_terminal(Workspace(workspace).extension_of(load_study("tour")), workspace):
        raise typer.Exit(PARTS_FAILED)


def enqueue_in_terminal(source: str, workspace: Path | None, *, init_seeds: Sequence[int] | None, until: Until) -> None:
    """Puts a study into the queue and says how many studies are before it."""
    from metapt_explore.config import load_study
    from metapt_explore.jobs import queue
    from metapt_explore.jobs.state import job_state
    from metapt_explore.storage.workspace import Workspace

    config, opened, console = load_study(source), Workspace(workspace), make_console()
    option = f" --workspace {opened.folder}" if workspace is not None else ""
    if not queue.enqueue(opened, config, init_seeds=init_seeds, until=until):
        status = job_state(opened, config.name)["status"]
        say(console, f"'{config.name}' is in the queue of {opened.folder} already: {status}.")
        return
    before = [name for name, _ in queue.requests(opened)].index(config.name)
    say(console, f"'{config.name}' is in the queue of {opened.folder}; {before or 'nothing'} before it.")
    say(console, f"Look: metapt jobs{option}   Stop: metapt cancel {config.name}{option}")


def run_in_terminal(
    source: str | StudyConfig,
    workspace: Path | None,
    *,
    minutes: float | None = None,
    init_seeds: list[int] | None = None,
    until: Until = "all",
    on: str | None = None,
) -> bool:
    """Runs a study and prints its table, where the time went, and what it does not prove.

    Returns:
        Whether every part that was asked for is finished.
    """
    from metapt_explore.api import run as run_study
    from metapt_explore.config import StudyConfig, load_study
    from metapt_explore.engines.choose import HERE
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.failures import format_failed
    from metapt_explore.study.worker_file import cells_folder

    config = source if isinstance(source, StudyConfig) else load_study(source)
    opened = Workspace(workspace)
    console = make_console()
    began = time.monotonic()
    say(console, f"Study '{config.name}' in {opened.folder}")
    where = on or parse_on(None)
    option = f" --workspace {opened.folder}" if workspace is not None else ""
    if where != HERE:
        say(
            console,
            f"On {where}: what workers print is in {cells_folder(opened, config.name)}; how they stand: "
            f"metapt cells {config.name}{option}",
        )
    if until == "all":
        from metapt_explore.reporting.plan_power import detectable_sentence

        # Said before hours are spent: a study that could not find the difference is better changed now.
        if power := detectable_sentence(config):
            say(console, power)
    study = run_study(config, opened.folder, minutes=minutes, init_seeds=init_seeds, until=until, on=where)
    _print_scores(study, until, began=began, console=console)
    failed = format_failed(part.as_dict() for part in study.failed)
    if failed:
        say(console, f"{len(failed)} part{'s' * (len(failed) != 1)} failed; the same command tries again:")
        for sentence in failed:
            say(console, f"  - {sentence}")
    if until == "all":
        setting = f"METAPT_WORKSPACE={opened.folder} " if workspace is not None else ""
        say(console, f"Report: metapt report {config.name}{option}")
        say(console, f"See it: {setting}streamlit run app.py")
    return not failed


def _print_scores(study: Study, until: Until, *, began: float, console: Console) -> None:
    from metapt_explore.cli.results import print_summary
    from metapt_explore.progress.state import format_time
    from metapt_explore.reporting.notes import notes_of
    from metapt_explore.reporting.report import verdicts
    from metapt_explore.results.record import record_of
    from metapt_explore.results.tables import caution, split_warnings, summary_table
    from metapt_explore.study.preview import format_cost, read_cost

    opened, config, table = study.workspace, study.config, study.results()
    if until != "all":
        say(console, _texts_line(opened, config.name))
        say(console, f"Finished: {until}. The same command without --until goes on from there.")
        return
    print_summary(config.name, summary_table(table), console=console, rows=config.evaluation.scored_rows)
    say(console, _texts_line(opened, config.name))
    say(console, _spent_times(opened, config.name))
    say(console, f"This run took {format_time(time.monotonic() - began)}.")
    cost = read_cost(opened, config.name)
    if cost is not None and cost.real_seconds is not None:
        say(console, format_cost(cost))
    if config.labelling is not None:
        say(console, _labels_line(opened, config.name))
    for sentence in config.reading_sentences:
        say(console, sentence)
    for warning in split_warnings(opened, config.name):
        say(console, f"Note: {warning}")
    say(console, caution(table))
    record = record_of(opened, config.name)
    for note in notes_of(record):
        say(console, f"Note: {note}")
    for verdict in verdicts(record)[:1]:
        say(console, f"Verdict: {verdict}")


def _texts_line(workspace: Workspace, study: str) -> str:
    """Says how many texts were pre-trained on, and what became of the others."""
    for entry in workspace.index(study):
        if entry["kind"] == "texts":
            artifact = workspace.artifact(entry["id"])
            if artifact.status != "done":
                return "Texts: they could not be read."
            summary = artifact.summary
            dropped = ", ".join(f"{count:,} {reason}" for reason, count in summary["dropped"].items())
            return f"Texts: {summary['kept']:,} of {summary['report']['rows']:,} kept (not: {dropped or 'none'})."
    return "Texts: none, no method is pre-trained."


def _labels_line(workspace: Workspace, study: str) -> str:
    """Says what labels were found for texts, and how often they are those of the data."""
    from metapt_explore.texts.labelling import format_labels

    for entry in workspace.index(study):
        if entry["kind"] == "labels" and workspace.artifact(entry["id"]).status == "done":
            return format_labels(workspace.artifact(entry["id"]).summary)
    return "Labels: none were looked for, no method is pre-trained."


def _spent_times(workspace: Workspace, study: str) -> str:
    """Says where the time went, by kind of stage; what was computed earlier counts with its time then."""
    from metapt_explore.progress.state import format_time
    from metapt_explore.results.study_order import place, study_order
    from metapt_explore.stages.registry import STAGES

    spent: dict[str, float] = {}
    counted: set[str] = set()
    kind = place([stage.listed or stage.kind for stage in STAGES])
    entries = study_order(workspace, study).entries(workspace.index(study))
    for entry in sorted(entries, key=lambda entry: kind(entry["kind"])):
        if entry["id"] in counted:  # methods may share a pre-training
            continue
        counted.add(entry["id"])
        stage = workspace.artifact(entry["id"]).stage
        key = {"prompt": f"pre-training {entry.get('method')}", "fewshot": f"few-shot {entry.get('task')}"}
        key["baseline"] = f"baseline {entry.get('method')}"
        name = key.get(entry["kind"], entry["kind"])
        spent[name] = spent.get(name, 0.0) + float(stage.get("seconds", 0.0))
    parts = [f"{name} {format_time(seconds)}" for name, seconds in spent.items() if seconds >= 0.5]
    return f"Time by stage: {', '.join(parts) or 'under a second'}."


def parse_seeds(text: str) -> list[int]:
    """Reads seeds as they are written on a command line.

    Raises:
        UserError: Where that is no list of numbers and ranges.

    Example:
        >>> parse_seeds("0,2,5-7")
        [0, 2, 5, 6, 7]
    """
    from metapt_explore.config.limits import MOST_VALUES

    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not _is_seed(first) or (dash and not (_is_seed(last) and int(last) >= int(first))):
            raise UserError(f"Seeds are numbers and ranges such as 0,2,5-7; '{shortened(text)}' is not.")
        if int(last if dash else first) - int(first) >= MOST_VALUES:
            raise UserError(f"'{shortened(part)}' are more than {MOST_VALUES:,} seeds; a study has fewer.")
        seeds += range(int(first), int(last if dash else first) + 1)
    return list(dict.fromkeys(seeds))


def _is_seed(text: str) -> bool:
    from metapt_explore.config.limits import LARGEST_SEED

    return text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_SEED))


def parse_on(text: str | None) -> str:
    """Reads where a study is to be computed; by default what the machine file says, else in this process."""
    from metapt_explore.engines.choose import check_engine, usual_engine

    return check_engine(text) if text else usual_engine()


def parse_until(text: str) -> Until:
    """Reads how far a study is to be computed.

    Raises:
        UserError: Where that is none of the words.
    """
    from metapt_explore.stages.registry import UNTIL

    if text not in UNTIL:
        raise UserError(f"There is no --until '{text}'. {did_you_mean(text, UNTIL)}")
    return text
