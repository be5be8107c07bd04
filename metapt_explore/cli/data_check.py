"""`metapt data check`: what is wrong with a file, row by row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metapt_explore.cli.options import takes_options
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    from metapt_explore.config import TaskConfig
    from metapt_explore.datacheck.check import Checked
    from metapt_explore.texts.messages import Finding

COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}
MAX_LABELS = 12
#: Kinds of findings whose rows could not be read at all.
UNREADABLE = ("fields", "quotation marks", "JSON")
#: Counts of --fix that are no rows left out.
NOT_LEFT_OUT = ("written", "labels changed", "labels blanked")


@dataclass(frozen=True)
class FileOptions:
    """How the files are read; each field is an option of the command."""

    text: Annotated[str | None, typer.Option(help="Column of the text (default: guessed).")] = None
    text_pair: Annotated[str | None, typer.Option(help="Column of the second text of a pair.")] = None
    label: Annotated[str | None, typer.Option(help="Column of the label (default: guessed).")] = None
    group: Annotated[str | None, typer.Option(help="Column of known groups (default: guessed).")] = None
    encoding: Annotated[
        str, typer.Option(help="Encoding of the file, such as shift_jis (default: guessed from its bytes).")
    ] = ""
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Treat 'nan', 'None' and '-' as real labels and texts.")
    ] = False


@dataclass(frozen=True)
class CheckOptions:
    """What the files are compared with and what is written; each field is an option of the command."""

    task: Annotated[str | None, typer.Option(help="A task whose data this is: its name or YAML file.")] = None
    against: Annotated[Path | None, typer.Option(help="Pre-training texts: report rows that are among them.")] = None
    study: Annotated[str | None, typer.Option(help="A study that will read it: report how many texts it cuts.")] = None
    fix: Annotated[
        Path | None, typer.Option(help="Write the rows that a study would use into this new file, as UTF-8.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each file.")] = False


@takes_options
def data_check(
    files: Annotated[
        list[Path], typer.Argument(help="CSV, TSV, JSON, JSONL, Parquet or Excel; train, dev and test together.")
    ],
    reading: FileOptions,
    options: CheckOptions,
) -> None:
    """Say what is wrong with files, row by row, and how to repair it. Exit code 1: a study could not read them."""
    if not check_in_terminal(files, reading, options):
        raise typer.Exit(1)


def check_in_terminal(files: list[Path], reading: FileOptions, options: CheckOptions) -> bool:
    """Prints everything that was found, and writes the repaired file where that is asked for.

    Returns:
        Whether a study could read the files as they are: no finding is an error.

    Raises:
        UserError: Where there is nothing to look at, or several files are to be repaired into one.
    """
    from metapt_explore.config import Columns, load_study, load_task
    from metapt_explore.datacheck.check import check_cut, check_files, check_language
    from metapt_explore.texts.messages import worst

    if options.fix is not None and len(files) > 1:
        raise UserError("--fix writes one file anew: check one at a time.")
    task = load_task(options.task) if options.task else None
    columns = Columns(text=reading.text or "", text_pair=reading.text_pair, label=reading.label, group=reading.group)
    checked, together = check_files(files, columns, task=task, against=options.against, encoding=reading.encoding)
    if options.study is not None:
        config = load_study(options.study)
        checked = [
            replace(each, findings=(*each.findings, *check_cut(each.rows, config), *check_language(each, config)))
            for each in checked
        ]
    if options.as_json:
        _print_json(checked, together)
    else:
        for each in checked:
            _print_file(each)
        if together:
            make_console().print("[bold]Together[/bold]")
            _print_findings(together, "line")
    if options.fix is not None:
        _write_fixed(checked[0], task, options.fix, keep_missing=reading.keep_missing, to_stderr=options.as_json)
    return worst([*(finding for each in checked for finding in each.findings), *together]) != "error"


def _print_json(checked: Sequence[Checked], together: Sequence[Finding]) -> None:
    from metapt_explore.texts.header import SURROGATE

    trees = [each.as_dict() for each in checked]
    if together:
        trees.append({"findings": [finding.as_dict() for finding in together]})
    for tree in trees:
        echo(SURROGATE.sub("\ufffd", json.dumps(tree, ensure_ascii=False)))


def _write_fixed(checked: Checked, task: TaskConfig | None, file: Path, *, keep_missing: bool, to_stderr: bool) -> None:
    from metapt_explore.datacheck.repair import write_repaired

    counts = write_repaired(checked.rows, file, task, keep_missing=keep_missing)
    echo(f"{file}: {_format_written(counts, checked)}", err=to_stderr)


def _format_written(counts: Counter[str], checked: Checked) -> str:
    left_out = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if kind not in NOT_LEFT_OUT) or "none"
    unreadable = sum(len(finding.rows) for finding in checked.rows.raw.findings if finding.kind in UNREADABLE)
    labels = "".join(f" {kind.capitalize()}: {counts[kind]:,}." for kind in NOT_LEFT_OUT[1:] if counts[kind])
    return f"{counts['written']:,} rows written. Left out: {left_out}; could not be read: {unreadable:,}.{labels}"


def _print_file(checked: Checked) -> None:
    from metapt_explore.texts.messages import shown

    console, raw = make_console(), checked.rows.raw
    console.print(f"[bold]{escape(str(raw.path))}[/bold]")
    encoding = f", {raw.encoding}" if raw.encoding else ""
    say(console, f"{len(raw.rows):,} rows, {len(raw.columns)} columns{encoding}.")
    roles = [
        f"{role} '{shown(name)}'{' (guessed)' if role in checked.guessed else ''}"
        for role, name in checked.rows.columns.model_dump().items()
        if name
    ]
    say(console, f"Columns: {', '.join(roles)}.")
    if checked.labels:
        first = list(checked.labels.items())[:MAX_LABELS]
        more = f" and {len(checked.labels) - MAX_LABELS:,} more" if len(checked.labels) > MAX_LABELS else ""
        say(console, "Labels: " + ", ".join(f"{shown(name)} {count:,}" for name, count in first) + more + ".")
    if language := checked.language:
        say(console, f"Language: {language}, as it seems.")
    if checked.findings:
        _print_findings(checked.findings, raw.noun)
    else:
        say(console, "Nothing is wrong with it.")


def _print_findings(findings: Sequence[Finding], noun: str) -> None:
    from metapt_explore.texts.messages import format_rows

    console = make_console()
    for finding in findings:
        rows = f" ({format_rows(finding.rows, noun)})" if finding.rows else ""
        advice = f"\n      {finding.advice}" if finding.advice else ""
        quote = f" {finding.quote}" if finding.quote else ""
        level = f"[{COLOURS[finding.level]}]{finding.level:>8}[/]"
        console.print(f"{level}  {escape(finding.message + quote + rows + advice)}", highlight=False, soft_wrap=True)
