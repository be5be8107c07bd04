"""Every learner and every format stands in a table of the docs: its paper, what it costs, when to use it."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from metapt_explore.config import PretrainingConfig
from metapt_explore.config.learners import ClusterTasksMethod, MAMLMethod
from metapt_explore.config.method import MethodConfig
from metapt_explore.config.task_formats import TaskFormat

DOCS = Path(__file__).parents[1] / "docs"


def table(page: str, first: str) -> dict[str, dict[str, str]]:
    """The rows of the table whose first column is called so, by their first cells."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith(f"| {first} |"))
    titles, _, *rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[head : head + lines[head:].index("")]
    ]
    assert all(len(row) == len(titles) and all(row) for row in rows), "a row without a cell"
    return {row[0]: dict(zip(titles, row, strict=True)) for row in rows}


def test_every_learner_has_its_paper_its_cost_and_its_use() -> None:
    rows = table("concepts.md", "`learner`")
    kinds = [kind for kind in MethodConfig.kinds.values() if issubclass(kind, ClusterTasksMethod)]
    assert {re.findall("`(.+?)`", first)[0] for first in rows} == {
        name for name, kind in MethodConfig.kinds.items() if kind in kinds
    }
    assert all(row["when to use it"] for row in rows.values())
    assert all(re.search(r"\b(19|20)\d\d\b|the same", row["source"]) for row in rows.values())


@pytest.mark.parametrize("first", list(table("concepts.md", "`learner`")))
def test_what_a_learner_costs_is_counted(first: str) -> None:
    """Row passes of a step with one inner step and with three, in shares of pooled pre-training's."""
    learner, *more = re.findall("`(.+?)`", first)
    given = {"order": "exact"} if "order: exact" in more else {"adapted": 0.5} if "adapted" in more else {}
    sizes = PretrainingConfig()
    pooled = MethodConfig(name="pooled", kind="ppt").row_passes_per_step(sizes)
    shares = []
    for steps in (1, 3):
        inner = {"inner_steps": steps} if learner != "prompt_per_cluster" else {}
        method = MethodConfig(name="m", kind="metapt", clustering="c", learner=learner, **inner, **given)
        assert given != {"adapted": 0.5} or (isinstance(method, MAMLMethod) and method.adapted == 0.5)
        shares.append(method.row_passes_per_step(sizes) / pooled)
    assert table("concepts.md", "`learner`")[first]["rows a step"] == " · ".join(f"{share:.4g}" for share in shares)


def test_every_format_has_its_paper_its_cost_and_its_use() -> None:
    rows = table("task-formats.md", "format")
    assert {first.strip("`") for first in rows} == set(TaskFormat.kinds)
    for row in rows.values():
        assert re.search(r"\b20\d\d\b", row["from"]) and re.search(r"\d", row["tokens a row"])


def test_the_figures_of_ensembles_are_the_records() -> None:
    page = (DOCS / "readers.md").read_text(encoding="utf-8")
    results = pd.read_parquet(DOCS.parent / "studies" / "starter-together" / "results.parquet")
    means = 100 * results.groupby(["method", "task"])["accuracy"].mean().groupby("method").mean()
    best = means[["PPT and probe", "linear_probe", "probe alone", "PPT", "tfidf", "zero-shot calibrated"]].max()
    assert best == means["PPT and probe"] and f"| best single, *PPT and probe* | {best:.1f} |" in page
    for name in set(means.index) - {"PPT and probe", "linear_probe", "probe alone", "PPT", "tfidf"}:
        if name != "zero-shot calibrated":
            assert f"{means[name]:.1f} ({means[name] - best:+.1f})" in page, name
