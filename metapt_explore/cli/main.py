"""The command line: `metapt --help` lists the commands, each of which is a file of this package.

Heavy modules are imported inside the commands, so that `metapt --help` answers at once.
"""

from __future__ import annotations

import errno
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from metapt_explore.cli import (
    agreement,
    app,
    bench,
    cells,
    classify,
    data_check,
    errors,
    export,
    jobs,
    leave_one_out,
    lens,
    lineage,
    plan,
    pool,
    rank_templates,
    report,
    results,
    run,
    screen,
    setup,
    share,
    studies,
    task_new,
    tasks,
    text_map,
    try_sentences,
    verify,
    widen,
)
from metapt_explore.cli.boundary import Unread, end_well
from metapt_explore.errors import Cancelled

#: Headings of `metapt --help`.
RUN, READ, EXPLAIN, FILES, USE, MACHINE = (
    "Run a study",
    "Read its results",
    "Understand a score",
    "Tasks and files of your own",
    "Use a prompt, share a study",
    "Workspace and machine",
)


class Commands(TyperGroup):
    """The commands; interrupts that Typer would turn into a silent exit reach `end_well`."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Cancelled from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise Unread from None
            raise


metapt = typer.Typer(
    name="metapt",
    help="Cluster texts into auxiliary tasks, meta-learn a soft prompt over them, and see whether it helps.",
    epilog="New here? `metapt setup`, `metapt tour`, then `metapt app`: its Texts page makes a study of your own file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    cls=Commands,
)
data_group = typer.Typer(help="Check a file of your own before a study reads it.", no_args_is_help=True)
task_group = typer.Typer(help="Write a task file for rows of your own.", no_args_is_help=True)


def _say_version(asked: bool) -> None:
    if asked:
        from metapt_explore import __version__
        from metapt_explore.progress.console import echo

        echo(f"metapt_explore {__version__}")
        raise typer.Exit


@metapt.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    # Options of `metapt` itself; the help text stands above.
    pass


@task_group.callback()
@data_group.callback()
def _group() -> None:
    # With a callback, the only command of a group keeps its name.
    pass


metapt.command("tour", rich_help_panel=RUN)(run.tour)
metapt.command("run", rich_help_panel=RUN)(run.run)
metapt.command("check", rich_help_panel=RUN)(plan.check)
metapt.command("plan", rich_help_panel=RUN)(plan.plan)
metapt.command("widen", rich_help_panel=RUN)(widen.widen)
metapt.command("screen", rich_help_panel=RUN)(screen.screen)
metapt.command("jobs", rich_help_panel=RUN)(jobs.jobs)
metapt.command("cancel", rich_help_panel=RUN)(jobs.cancel)
metapt.command("cells", rich_help_panel=RUN)(cells.cells)
metapt.command("make", rich_help_panel=RUN)(cells.make)
metapt.command("worker", hidden=True)(jobs.worker)
metapt.command("duplicate", rich_help_panel=RUN)(studies.duplicate)
metapt.command("delete", rich_help_panel=RUN)(studies.delete)
metapt.command("app", rich_help_panel=READ)(app.dashboard)
metapt.command("results", rich_help_panel=READ)(results.results)
metapt.command("report", rich_help_panel=READ)(report.report)
metapt.command("pool", rich_help_panel=READ)(pool.pool)
metapt.command("map", rich_help_panel=READ)(text_map.text_map)
metapt.command("errors", rich_help_panel=EXPLAIN)(errors.errors)
metapt.command("lineage", rich_help_panel=EXPLAIN)(lineage.lineage)
metapt.command("agreement", rich_help_panel=EXPLAIN)(agreement.agreement)
metapt.command("leave-one-out", rich_help_panel=EXPLAIN)(leave_one_out.leave_one_out)
metapt.command("lens", rich_help_panel=EXPLAIN)(lens.lens)
metapt.command("rank-templates", rich_help_panel=EXPLAIN)(rank_templates.rank_templates)
metapt.command("probe", hidden=True)(rank_templates.probe)
metapt.command("tasks", rich_help_panel=FILES)(tasks.tasks)
metapt.add_typer(task_group, name="task", rich_help_panel=FILES)
task_group.command("new")(task_new.task_new)
metapt.add_typer(data_group, name="data", rich_help_panel=FILES)
data_group.command("check")(data_check.data_check)
metapt.command("starters", rich_help_panel=FILES)(setup.starters)
metapt.command("export", rich_help_panel=USE)(export.export)
metapt.command("classify", rich_help_panel=USE)(classify.classify)
metapt.command("try", hidden=True)(try_sentences.try_sentences)
metapt.command("push", rich_help_panel=USE)(share.push)
metapt.command("pull", rich_help_panel=USE)(share.pull)
metapt.command("setup", rich_help_panel=MACHINE)(setup.setup)
metapt.command("convert", rich_help_panel=MACHINE)(setup.convert)
metapt.command("verify", rich_help_panel=MACHINE)(verify.verify)
metapt.command("bench", rich_help_panel=MACHINE)(bench.bench)


def main() -> None:
    """Entry point: however a command ends, it says so in one sentence, never in a traceback."""
    sys.exit(end_well(metapt))


if __name__ == "__main__":
    main()
