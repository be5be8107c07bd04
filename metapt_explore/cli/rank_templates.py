"""`metapt rank-templates`: which template and label words suit a task, before any training."""

from __future__ import annotations

import json
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.options import JsonLinesOption, StudySource, WorkspaceOption
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    from metapt_explore.config import TaskConfig
    from metapt_explore.storage.artifact import Artifact

#: Marks candidates that cannot be told apart from the best.
LEVEL = "≈"


def rank_templates(
    study: StudySource,
    task: Annotated[str, typer.Argument(help="One of the study's tasks, by its name.")],
    *,
    candidates: Annotated[
        Path | None,
        typer.Option(help="YAML file with `templates` and `words` (default: the task's own and a small menu)."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Print only this many, the best.")] = None,
    as_json: JsonLinesOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Rank templates and label words of a task on its training rows, without a prompt (forward passes only)."""
    from metapt_explore.progress.terminal import terminal_progress
    from metapt_explore.study.study import Study

    console = make_console()
    with terminal_progress(console, quiet=as_json) as progress:
        opened = Study(study, workspace, progress)
        ranking = opened.rank_templates(task, candidates)
    if as_json:
        for record in ranking.summary["ranking"][:limit]:
            echo(json.dumps({"task": task, **record}))
    else:
        print_ranking(ranking, opened.tasks[task], console, limit=limit)


@wraps(rank_templates)
def probe(**options: Any) -> None:
    """Old name of `rank-templates`."""
    say(make_console(sys.stderr), "`metapt probe` is called `metapt rank-templates` now.")
    rank_templates(**options)


def print_ranking(artifact: Artifact, task: TaskConfig, console: Console, *, limit: int | None = None) -> None:
    """Prints the ranking, best first, what it rests on, and the best candidate as YAML.

    Args:
        artifact: What `Study.rank_templates` returned.
        task: The task.
        console: Where to.
        limit: Only this many candidates.
    """
    summary = artifact.summary
    ranking = summary["ranking"]
    readable = [record for record in ranking if record["reason"] is None]
    same_words = len({format_words(record["words"]) for record in readable}) == 1
    of_words = f" ({format_words(readable[0]['words'])})" if same_words else ""
    title = f"{task.name}: templates on the training rows, without a prompt{of_words}"
    table = Table(title=escape(title))
    table.add_column("", no_wrap=True)
    table.add_column("template" if same_words else "template, label words", overflow="fold", min_width=28)
    for column in ("loss", "acc. %", "F1 %", "most %", "plain loss", "acc. %"):
        table.add_column(column, justify="right")
    for record in readable[:limit]:
        table.add_row(
            f"{record['rank']}{LEVEL if record['level'] and record['rank'] > 1 else ''}",
            escape(
                format_template(record["template"]) + ("" if same_words else f"\n  {format_words(record['words'])}")
            ),
            _format_spread(record["calibrated_loss"], record["calibrated_loss_se"], factor=1, digits=3),
            _format_spread(record["calibrated_accuracy"], record["calibrated_accuracy_std"], factor=100, digits=1),
            f"{100 * record['calibrated_macro_f1']:.1f}",
            f"{100 * record['calibrated_commonest']:.0f}",
            f"{record['loss']:.3f}",
            _format_spread(record["accuracy"], record["accuracy_std"], factor=100, digits=1),
        )
    if readable:
        console.print(table)
        say(console, explanation(summary, readable))
    for record in ranking:
        if record["reason"] is not None:
            written = f"{format_template(record['template'])} with {format_words(record['words'])}"
            say(console, f"Not readable by this model: {written}: {record['reason']}")
    if readable:
        say(console, f"\nThe best, to paste into the file of the task '{task.name}':\n")
        say(console, task_lines(readable[0], task))


def explanation(summary: dict[str, Any], readable: list[dict[str, Any]]) -> str:
    """Says what the numbers rest on and how far the ranking can be trusted."""
    seeds = len(readable[0]["accuracies"])
    level = sum(record["level"] for record in readable) - 1
    trust = (
        f"{level} other candidate{'s' * (level != 1)} ({LEVEL}) cannot be told apart from the best: choose among them "
        "by taste."
        if level
        else "The best is more than two standard errors ahead of every other."
        if len(readable) > 1
        else "There is nothing to compare it with."
    )
    shared = summary["also_dev"]
    dev = f" ({shared} of them {'is' if shared == 1 else 'are'} dev for another data seed)" if shared else ""
    return (
        f"{summary['rows']} training rows of {seeds} data seed{'s' * (seeds != 1)}{dev}, no test row. Calibrated, best "
        "loss first: loss ± standard error over rows, accuracy ± standard deviation over data seeds, share of the "
        f"commonest prediction. Plain: loss and accuracy as the words come. {trust}"
    )


def format_template(template: str) -> str:
    r"""A template on one line.

    Example:
        >>> print(format_template("{text}\nSentiment:"))
        {text}\nSentiment:
    """
    return template.replace("\n", "\\n")


def format_words(words: dict[str, list[str]]) -> str:
    """Label words of all classes on one line.

    Example:
        >>> format_words({"negative": ["bad", "poor"], "positive": ["good"]})
        'bad, poor / good'
    """
    return " / ".join(", ".join(of_class) or "(description)" for of_class in words.values())


def _format_spread(mean: float, spread: float | None, *, factor: int, digits: int) -> str:
    return f"{factor * mean:.{digits}f}" + ("" if spread is None else f" ± {factor * spread:.{digits}f}")


def task_lines(record: dict[str, Any], task: TaskConfig) -> str:
    """The `template` and `labels` of a candidate as lines of a task file.

    Args:
        record: One record of a ranking.
        task: The task, which says what the data call each class.
    """
    import yaml

    labels: dict[str, dict[str, Any]] = {}
    for name, words in record["words"].items():
        label = task.labels[name]
        labels[name] = {"value": label.value}
        if words:
            labels[name] |= {"word": words[0]} if len(words) == 1 else {"words": words}
        if words == label.words and label.description is not None:
            labels[name]["description"] = label.description
    rest = yaml.safe_dump({"labels": labels}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    # A JSON string is a YAML string, and shows a line break as \n.
    return f"template: {json.dumps(record['template'], ensure_ascii=False)}\n{rest.rstrip()}"
