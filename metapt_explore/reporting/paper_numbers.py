"""Numbers that others published, in a table of their own: never in a mean, a rank, an interval or a test."""

from __future__ import annotations

import pandas as pd

from metapt_explore.reporting.document import Document, Heading, Paragraph, Table
from metapt_explore.reporting.tables import percent
from metapt_explore.results.record import Record
from metapt_explore.statistics.numbers import MISSING, number
from metapt_explore.statistics.verdict import metric_name

#: The column of numbers that are not ours; the mark stands beside each, too.
PUBLISHED = "published †"
MARK = "†"
NOTE = (
    "† As its source prints it, under the protocol beside it. Not made by this study, and in none of its means, ranks, "
    "intervals or tests: other rows, another model or another choice of steps make it another question."
)


def paper_table(record: Record) -> pd.DataFrame:
    """A row for each published number, with the study's own mean where it has a method of that name.

    Args:
        record: Scores, and `Record.published`.

    Returns:
        Columns task, method, score, `PUBLISHED`, this study, protocol, source.
    """
    rows = []
    for each in record.published:
        task, method, metric = each["task"], each["method"], each["metric"]
        spread = f" ± {number(each['std'], 1)}" if "std" in each else ""
        own = record.results[(record.results["method"] == method) & (record.results["task"] == task)]
        ours = own[metric].mean() if metric in own and len(own) else None
        rows.append(
            {
                "task": task,
                "method": method,
                "score": metric_name(metric),
                PUBLISHED: f"{number(each['score'], 1)}{spread} {MARK}",
                "this study": MISSING if ours is None else percent(ours),
                "protocol": each["protocol"],
                "source": each["source"],
            }
        )
    return pd.DataFrame(rows)


def add_paper_numbers(document: Document, record: Record) -> None:
    """Adds the section, where there are such numbers."""
    if record.published:
        document.add(Heading("Published by others"), Paragraph(NOTE, note=True), Table(paper_table(record)))
