"""What dev could choose for each method and baseline of a study: learning rates, steps, C."""

from __future__ import annotations

from dataclasses import dataclass

from metapt_explore.config import BaselineConfig, EvaluationConfig, MethodConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.pretraining.budget import tuning_of
from metapt_explore.results.record import Record
from metapt_explore.statistics.grid_edges import GridEdge, SearchGrid, edge_sentences, grid_edges, lone_rates

#: Settings of baselines that hold a grid, and the column of what was chosen.
LISTS = {"learning_rates": "learning_rate", "c_values": "c"}


def search_grids(study: StudyConfig) -> list[SearchGrid]:
    """The grids of all methods and baselines of a study; what is not searched has one value or is left out."""
    grids = []
    for method in study.methods:
        grids += _of_method(method, study)
    for baseline in study.baselines:
        grids += _of_baseline(baseline, study.evaluation)
    return grids


def _of_method(method: MethodConfig, study: StudyConfig) -> list[SearchGrid]:
    tuning = tuning_of(method, study)
    if tuning.select_by == "last":
        return []
    rates, steps = tuple(sorted(tuning.learning_rates)), tuple(map(float, tuning.scored_steps))
    return [SearchGrid(method.name, "learning_rate", rates), SearchGrid(method.name, "step", steps)]


def _of_baseline(baseline: BaselineConfig, evaluation: EvaluationConfig) -> list[SearchGrid]:
    options = baseline.options_in(evaluation)
    grids = [
        SearchGrid(baseline.name, column, tuple(sorted(values)))
        for key, column in LISTS.items()
        if (values := options.get(key))
    ]
    if options.get("steps") and options.get("learning_rates"):
        steps = tuple(map(float, evaluation.of_baseline(options).scored_steps))
        grids.append(SearchGrid(baseline.name, "step", steps))
    return grids


@dataclass(frozen=True)
class Searched:
    """What dev could choose in a study, and what it chose.

    Attributes:
        edges: How often a choice lies at the edge of its grid.
        sentences: What is to be said of it; empty where all grids are wide enough.
    """

    edges: list[GridEdge]
    sentences: list[str]


def searched(record: Record) -> Searched:
    """The grids of a recorded study; nothing where its settings cannot be read or nothing is scored yet."""
    if record.results.empty:
        return Searched([], [])
    try:
        study = parse(StudyConfig, record.study, record.name)
    except UserError:
        return Searched([], [])
    grids = search_grids(study)
    edges = grid_edges(record.results, grids)
    sentences = edge_sentences(edges)
    if sentences:
        sentences[-1] += (
            f" Wider grids may serve them better: `metapt widen {record.name}` writes the study that has them."
        )
    scored = set(record.results["method"])
    return Searched(edges, sentences + lone_rates(grids, [b.name for b in study.baselines if b.name in scored]))
