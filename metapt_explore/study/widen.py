"""A study with wider grids where dev often chose the edge of the ones it had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metapt_explore.config import BaselineConfig, MethodConfig, StudyConfig, parse, to_yaml
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError
from metapt_explore.results.search_grids import LISTS, search_grids
from metapt_explore.statistics.grid_edges import NAMED_SHARE, GridEdge, grid_edges, wider


@dataclass(frozen=True)
class Widening:
    """A setting that gets more values.

    Attributes:
        where: Its place in the study's YAML.
        before: The values so far.
        after: The values of the wider study.
        methods: Whose choice lay at the edge.
    """

    where: str
    before: list[float]
    after: list[float]
    methods: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What changes and for whom, as a line of YAML."""
        listed = ", ".join(f"{value:g}" for value in self.after)
        values = f"[{listed}]" if len(self.after) > 1 else listed
        return f"{self.where}: {values}  # was at the edge: {', '.join(self.methods)}"


@dataclass(frozen=True)
class Widened:
    """A wider study and what is new in it.

    Attributes:
        study: The study, under another name.
        changes: What has more values; empty where no choice lies at an edge.
    """

    study: StudyConfig
    changes: tuple[Widening, ...]

    @property
    def yaml(self) -> str:
        """The study as YAML; the changes stand on top as comments."""
        return "".join(f"# {change.sentence}\n" for change in self.changes) + to_yaml(self.study, brief=True)


def widen(study: StudyConfig, results: pd.DataFrame, *, share: float = NAMED_SHARE, name: str = "") -> Widened:
    """Gives each grid one value more at the end that dev chose for at least a share of some method's scores.

    Prompts that share `evaluation.learning_rates` get the wider list together, so that the comparison stays fair;
    steps are doubled. What is pre-trained stays as it is, and a workspace that has it does not compute it again.
    Tuning is done anew at all rates: halving lets rates compete, so that the old scores would be others.

    Args:
        study: The study that was run.
        results: Its scores, as `results_table` gives them.
        share: A choice counts as being at the edge from this share of a method's scores on, 0 to 1.
        name: Of the wider study; the name with ``-wide`` behind it when absent.

    Raises:
        UserError: If `share` is not above 0 and at most 1.

    Example:
        >>> wide = widen(study.config, study.results())  # doctest: +SKIP
        >>> Path("tour-wide.yaml").write_text(wide.yaml, encoding="utf-8")  # doctest: +SKIP
    """
    if not 0 < share <= 1:
        raise UserError(f"share is above 0 and at most 1 (0.25 is a quarter of a method's scores), not {share}.")
    edges = grid_edges(results, search_grids(study))
    at_edge = {(edge.grid.method, edge.grid.setting): edge for edge in edges if any(edge.beyond(share))}
    tree: dict[str, Any] = parse_yaml(to_yaml(study, brief=True), study.name)
    changes = [
        *_shared(study, at_edge, tree["evaluation"], share),
        *(c for method in study.methods for c in _own(method, at_edge, _entry(tree, "methods", method), share)),
        *(c for b in study.baselines for c in _of_baseline(b, at_edge, _entry(tree, "baselines", b), share)),
    ]
    tree["name"] = name or f"{study.name}-wide"
    _keep_pretraining(study, tree)
    return Widened(parse(StudyConfig, tree, tree["name"]), tuple(changes))


Edges = Mapping[tuple[str, str], GridEdge]


def _entry(tree: dict[str, Any], key: str, of: MethodConfig | BaselineConfig) -> dict[str, Any]:
    """The settings of a method or baseline in the tree, as a mapping that can be changed."""
    for place, entry in enumerate(tree[key]):
        settings: dict[str, Any] = {"name": entry, "kind": entry} if isinstance(entry, str) else entry
        if settings["name"] == of.name:
            tree[key][place] = settings
            return settings
    raise UserError(f"The study has no '{of.name}'.")


def _ends(edges: Sequence[GridEdge], share: float) -> dict[str, bool]:
    sides = [edge.beyond(share) for edge in edges]
    return {"below": any(low for low, _ in sides), "above": any(high for _, high in sides)}


def _names(edges: Sequence[GridEdge]) -> tuple[str, ...]:
    return tuple(edge.grid.method for edge in edges)


def _shared(study: StudyConfig, at_edge: Edges, evaluation: dict[str, Any], share: float) -> list[Widening]:
    """Rates and steps of `evaluation`, for what has none of its own."""
    changes = []
    given = {method.name: method.tuning.of_evaluation if method.tuning else {} for method in study.methods}
    rates = [
        e for (m, s), e in at_edge.items() if s == "learning_rate" and m in given and "learning_rates" not in given[m]
    ]
    before = sorted(study.evaluation.learning_rates)
    evaluation["halving_steps"] = study.evaluation.halving_steps
    if rates and len(before) > 1:
        evaluation["learning_rates"] = wider(before, **_ends(rates, share))
        changes.append(Widening("evaluation.learning_rates", before, evaluation["learning_rates"], _names(rates)))
    fixed = {method.name for method in study.methods if getattr(method, "extra_tuning", False)}
    fixed |= {name for name, own in given.items() if "steps" in own}
    fixed |= {baseline.name for baseline in study.baselines if baseline.options.get("steps")}
    late = [e for (m, s), e in at_edge.items() if s == "step" and m not in fixed]
    steps = study.evaluation.steps
    if late and steps:
        evaluation["steps"] = 2 * steps
        evaluation["curve_steps"] = sorted({*study.evaluation.curve_steps, steps, steps * 3 // 2, 2 * steps})
        changes.append(Widening("evaluation.steps", [steps], [2 * steps], _names(late)))
    return changes


def _own(method: MethodConfig, at_edge: Edges, entry: dict[str, Any], share: float) -> list[Widening]:
    """Rates and steps of a method's own `tuning`."""
    given = method.tuning.of_evaluation if method.tuning else {}
    where, changes = f"{method.name}: tuning", []
    edge = at_edge.get((method.name, "learning_rate"))
    if edge is not None and "learning_rates" in given:
        values = wider(edge.grid.values, **_ends([edge], share))
        entry["tuning"]["learning_rates"] = values
        changes.append(Widening(f"{where}.learning_rates", list(edge.grid.values), values, (method.name,)))
    edge = at_edge.get((method.name, "step"))
    if edge is not None and "steps" in given and not getattr(method, "extra_tuning", False):
        steps = given["steps"]
        entry["tuning"]["steps"] = 2 * steps
        changes.append(Widening(f"{where}.steps", [steps], [2 * steps], (method.name,)))
    return changes


def _of_baseline(baseline: BaselineConfig, at_edge: Edges, entry: dict[str, Any], share: float) -> list[Widening]:
    """Lists of a baseline, and steps where it has its own."""
    changes = []
    for key, setting in LISTS.items():
        edge = at_edge.get((baseline.name, setting))
        if edge is not None:
            entry[key] = wider(edge.grid.values, **_ends([edge], share))
            changes.append(Widening(f"{baseline.name}: {key}", list(edge.grid.values), entry[key], (baseline.name,)))
    steps = baseline.options.get("steps")
    if steps and (baseline.name, "step") in at_edge:
        entry["steps"] = 2 * steps
        changes.append(Widening(f"{baseline.name}: steps", [steps], [2 * steps], (baseline.name,)))
    return changes


def _keep_pretraining(study: StudyConfig, tree: dict[str, Any]) -> None:
    """Writes out the inner rates that follow from the middle learning rate, which may be another one now."""
    wide = parse(StudyConfig, tree, tree["name"])
    for method in study.methods:
        rate = study.pretraining_of(method).inner_lr
        if "inner_lr" in type(method).model_fields and wide.pretraining_of(method).inner_lr != rate:
            _entry(tree, "methods", method)["inner_lr"] = rate
