"""`metapt data check`: what is wrong with a file, row by row, in a terminal."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from metapt_explore.config import Columns, load_study, load_task
from metapt_explore.datacheck.check import Checked, check_cut, check_files
from metapt_explore.datacheck.repair import write_repaired
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console, say
from metapt_explore.texts.header import SURROGATE
from metapt_explore.texts.messages import Finding, format_rows, worst
from metapt_explore.texts.messages import shown as shown_text

COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}
MOST_LABELS = 12
#: Findings whose rows could not be read at all.
UNREAD = ("fields", "quotation marks", "JSON")
#: What --fix counts besides rows that it leaves out.
NOT_LEFT_OUT = ("written", "labels changed", "labels blanked")


def check_in_terminal(
    files: list[Path],
    columns: Columns,
    task: str | None,
    against: Path | None,
    fix: Path | None,
    as_json: bool,
    study: str | None = None,
    keep_missing: bool = False,
    encoding: str = "",
) -> bool:
    """Prints everything that was found, and repairs the file where that is asked for.

    Returns:
        Whether a study could read the files as they are: nothing found is an error.

    Raises:
        UserError: Where there is nothing to look at, or several files are to be repaired into one.
    """
    if fix is not None and len(files) > 1:
        raise UserError("--fix writes one file anew: check one at a time.")
    whose = load_task(task) if task else None
    checked, together = check_files(files, columns, task=whose, against=against, encoding=encoding)
    if study is not None:
        config = load_study(study)
        checked = [replace(each, findings=(*each.findings, *check_cut(each.rows, config))) for each in checked]
    if as_json:
        for each in checked:
            echo(SURROGATE.sub("\ufffd", json.dumps(each.as_dict(), ensure_ascii=False)))
        if together:
            said = json.dumps({"findings": [f.as_dict() for f in together]}, ensure_ascii=False)
            echo(SURROGATE.sub("\ufffd", said))
    else:
        for each in checked:
            _print_file(each)
        if together:
            make_console().print("[bold]Together[/bold]")
            _print_findings(together, "line")
    if fix is not None:
        counts = write_repaired(checked[0].rows, fix, whose, keep_missing=keep_missing)
        echo(f"{fix}: {_format_written(counts, checked[0])}", err=as_json)
    return worst([*(f for each in checked for f in each.findings), *together]) != "error"


def _format_written(counts: Counter[str], checked: Checked) -> str:
    left = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if kind not in NOT_LEFT_OUT) or "none"
    lost = sum(len(f.rows) for f in checked.rows.raw.findings if f.kind in UNREAD)
    labels = "".join(f" {kind.capitalize()}: {counts[kind]:,}." for kind in NOT_LEFT_OUT[1:] if counts[kind])
    return f"{counts['written']:,} rows written. Left out: {left}; could not be read: {lost:,}.{labels}"


def _print_file(checked: Checked) -> None:
    console, raw = make_console(), checked.rows.raw
    console.print(f"[bold]{escape(str(raw.path))}[/bold]")
    how = f", {raw.encoding}" if raw.encoding else ""
    say(console, f"{len(raw.rows):,} rows, {len(raw.columns)} columns{how}.")
    roles = [
        f"{role} '{shown_text(name)}'{' (guessed)' if role in checked.guessed else ''}"
        for role, name in checked.rows.columns.model_dump().items()
        if name
    ]
    say(console, f"Columns: {', '.join(roles)}.")
    if checked.labels:
        shown = list(checked.labels.items())[:MOST_LABELS]
        more = f" and {len(checked.labels) - MOST_LABELS:,} more" if len(checked.labels) > MOST_LABELS else ""
        say(console, "Labels: " + ", ".join(f"{shown_text(name)} {count:,}" for name, count in shown) + more + ".")
    if checked.findings:
        _print_findings(checked.findings, raw.noun)
    else:
        say(console, "Nothing is wrong with it.")


def _print_findings(findings: tuple[Finding, ...] | list[Finding], noun: str) -> None:
    console = make_console()
    for finding in findings:
        where = f" ({format_rows(finding.rows, noun)})" if finding.rows else ""
        advice = f"\n      {finding.advice}" if finding.advice else ""
        quote = f" {finding.quote}" if finding.quote else ""
        level = f"[{COLOURS[finding.level]}]{finding.level:>8}[/]"
        console.print(f"{level}  {escape(finding.message + quote + where + advice)}", highlight=False, soft_wrap=True)
