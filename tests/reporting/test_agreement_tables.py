"""Tables of agreement, by hand."""

from __future__ import annotations

import pandas as pd

from metapt_explore.reporting.agreement_tables import agreement_by_cluster, agreement_table

NAN = float("nan")


def pairs() -> pd.DataFrame:
    rows = [
        ("a", "b", "auxiliary", 0.8, 0.1),
        ("a", "c", "auxiliary", 0.4, 0.1),
        ("b", "c", "auxiliary", NAN, NAN),
        ("a", "mood", "downstream", -0.25, 0.031),
        ("b", "mood", "downstream", 0.5, NAN),
        ("c", "mood", "downstream", NAN, NAN),
    ]
    frame = pd.DataFrame(rows, columns=["first", "second", "second_kind", "corrected", "corrected_standard_error"])
    down = pd.DataFrame(
        [("mood", "question", "downstream", "downstream", 0.9, 0.1)],
        columns=["first", "second", "first_kind", "second_kind", "corrected", "corrected_standard_error"],
    )
    return pd.concat([frame.assign(first_kind="auxiliary"), down]).assign(clustering="kmeans", at="here", init_seed=0)


def test_means_over_tasks() -> None:
    (row,) = agreement_table(pairs()).to_dict("records")
    assert row == {"clusters": "kmeans", "at": "here", "init seed": 0, "one another": "0.60", "mood": "0.12"}


def test_task_by_task() -> None:
    """What is nothing but noise is a dash, and is in no mean."""
    assert agreement_by_cluster(pairs()).to_dict("records") == [
        {"cluster": "a", "the others": "0.60", "mood": "−0.25 ± 0.03"},
        {"cluster": "b", "the others": "0.80", "mood": "0.50"},
        {"cluster": "c", "the others": "0.40", "mood": "–"},
    ]
