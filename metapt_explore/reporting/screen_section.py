"""Was there anything to meta-learn? What screenings saw beforehand, in tables for report and page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from metapt_explore.diagnostics.headroom import Estimate
from metapt_explore.diagnostics.screen import Screening, format_estimate
from metapt_explore.reporting.document import Bullets, Document, Heading, Paragraph, Table
from metapt_explore.results.record import Record

#: How to read the table of methods.
METHODS_CAPTION = (
    "Cosine between tasks: of the gradients of two auxiliary tasks at the initial prompt, corrected for noise (1: one "
    "task; 95 % interval over tasks). The next three are nats of loss on rows that were not adapted to, and what takes "
    "them off: the method's own inner steps; steps as few-shot tuning takes them; and such steps on a task's own rows "
    "rather than on another task's, which is what pooling cannot have. Displacement: root mean square over the numbers "
    "of the prompt, of all inner steps, one outer step and one tuning step."
)
#: How to read the table of losses.
LOSSES_CAPTION = (
    "Losses in nats, with 95 % intervals (of a task over its draws, which are few; of the mean over tasks): of the few "
    "support rows, before and after the method's inner steps; of other rows of the task, before, after the inner "
    "steps, and after steps as few-shot tuning takes them."
)
#: How to read the table of gains.
TASKS_CAPTION = (
    "What adapting takes off the loss of a task's other rows, in nats (95 % interval over draws). Rows are the same "
    "before and after, so that a gain is known better than the losses."
)


def screening_table(screenings: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each method: diversity, headroom, displacement.

    Args:
        screenings: `Record.screenings`.
    """
    rows = []
    for told in screenings:
        found = Screening.of(told)
        moves = found.displacement
        rows.append(
            {
                "method": told["method"],
                "tasks": found.tasks,
                "cosine between tasks": format_estimate(found.cosine, 2),
                "inner steps": format_estimate(found.gains["inner"], 3),
                f"{found.tuning_steps} tuning steps": format_estimate(found.gains["tuning"], 3),
                "own over another's rows": format_estimate(found.gains["own"], 3),
                "moves: inner": "–" if moves.inner is None else f"{moves.inner:.4f}",
                "outer": f"{moves.outer:.4f}",
                "tuning": f"{moves.tuning:.4f}",
            }
        )
    return pd.DataFrame(rows)


def losses_table(losses: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each auxiliary task, and one for the mean over tasks: losses before and after adapting, with intervals.

    Args:
        losses: What `headroom_losses` made of a table of headroom; ``losses`` of an entry of `Record.screenings`.
    """
    shown = {
        "support_before": "support before",
        "support_after": "support after",
        "query_before": "others before",
        "query_inner": "after inner steps",
        "query_tuning": "after tuning steps",
    }
    rows = [
        {"task": each["name"], **{name: format_estimate(Estimate.of(each[loss]), 3) for loss, name in shown.items()}}
        for each in losses
    ]
    return pd.DataFrame(rows)


def headroom_table(tasks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row for each auxiliary task: what adapting gains.

    Args:
        tasks: ``headroom`` of an entry of `Record.screenings`.
    """
    rows = [
        {
            "task": task["name"],
            "inner steps": format_estimate(Estimate.of(task["inner"]), 3),
            "tuning steps": format_estimate(Estimate.of(task["tuning"]), 3),
            "own over another's rows": format_estimate(Estimate.of(task["own"]), 3),
        }
        for task in tasks
    ]
    return pd.DataFrame(rows)


def screening_sentences(screenings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The word on each method, and what is wrong with the size of its inner steps."""
    found = [(told["method"], Screening.of(told)) for told in screenings]
    return [f"{method}: {each.sentence} {each.warning}".rstrip() for method, each in found]


def add_screenings(document: Document, record: Record) -> None:
    """The section, where a record has screenings."""
    if not record.screenings:
        return
    document.add(Heading("Was there anything to meta-learn?"))
    document.add(Paragraph("What `metapt screen` says of the auxiliary tasks before anything is pre-trained:"))
    document.add(Bullets(screening_sentences(record.screenings)))
    document.add(Table(screening_table(record.screenings), METHODS_CAPTION))
    for told in record.screenings:
        whose = f"The tasks of {told['method']}."
        if told.get("losses"):
            document.add(Table(losses_table(told["losses"]), f"{whose} {LOSSES_CAPTION}"))
        if told.get("headroom"):
            document.add(Table(headroom_table(told["headroom"]), f"{whose} {TASKS_CAPTION}"))
