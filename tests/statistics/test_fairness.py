"""Unequal terms are flagged; equal ones are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.runs.record import record_of
from metapt_explore.runs.study import Study
from metapt_explore.runs.workspace import Workspace
from metapt_explore.statistics import fairness_flags


def account(method: str, kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "method": method,
        "kind": kind,
        "start": "vocabulary",
        "pretraining_row_passes": 0.0 if kind == "pt" else 100.0,
        "diagnostic_rows": 0,
        "learning_rates": [0.001, 0.003],
        "tuning_steps": 30,
        "extra_tuning": False,
        "proximal": 0.0,
        "selected_on": "dev",
        "data_seeds": [1, 2],
        "init_seeds": [0],
        "tasks": ["a"],
        "shots": 16,
        **changes,
    }


FAIR = [account("PT", "pt"), account("PPT", "ppt"), account("MetaPT", "metapt", pretraining_row_passes=103.0)]


def test_a_fair_study_has_notes_at_most() -> None:
    flags = fairness_flags(FAIR)
    assert [flag.severity for flag in flags] == ["note"] and "extra_tuning" in flags[0].sentence
    longer = account("PT+", "pt", extra_tuning=True, tuning_steps=270)
    assert fairness_flags([*FAIR, longer]) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pretraining_row_passes": 150.0}, "unequal numbers of rows"),
        ({"start": "labels"}, "different starts"),
        ({"learning_rates": [0.1]}, "different learning rates"),
        ({"tuning_steps": 60}, "different numbers of steps"),
        ({"proximal": 5.0}, "pulled to their start"),
        ({"selected_on": "test"}, "selected on test"),
        ({"data_seeds": [1]}, "different data seeds"),
        ({"init_seeds": [0, 1]}, "different initialisation seeds"),
        ({"tasks": ["a", "b"]}, "different tasks"),
        ({"shots": 32}, "different numbers of examples"),
    ],
)
def test_each_unequal_term_is_flagged(changes: dict[str, Any], words: str) -> None:
    flags = [f for f in fairness_flags([*FAIR[:2], account("MetaPT", "metapt", **changes)]) if f.severity == "unequal"]
    assert len(flags) == 1 and words in flags[0].sentence and "MetaPT" in flags[0].methods


def test_baselines_that_are_no_prompts_are_bound_by_seeds_and_tasks_only() -> None:
    other = account("TF-IDF", "tfidf", learning_rates=None, tuning_steps=None, init_seeds=None)
    assert all(flag.severity == "note" for flag in fairness_flags([*FAIR, other]))
    assert fairness_flags([*FAIR, {**other, "data_seeds": [9]}])[0].severity == "unequal"


def test_a_deliberately_unfair_study(world: Path, tmp_path: Path) -> None:
    """One method tunes at other rates, for longer; the finished study says so."""
    methods = [
        {"name": "PT", "kind": "pt"},
        {"name": "PPT", "kind": "ppt"},
        {
            "name": "favourite",
            "kind": "metapt",
            "clustering": "kmeans",
            "tuning": {"learning_rates": [0.2], "steps": 7},
        },
    ]
    config = parse(StudyConfig, tiny.study_tree(world, methods=methods), "test")
    Study(config, tmp_path).run()
    flags = fairness_flags(record_of(Workspace(tmp_path), config.name).accounts)
    unequal = [flag.sentence for flag in flags if flag.severity == "unequal"]
    assert len(unequal) == 2 and all("favourite" in sentence for sentence in unequal)
    assert "favourite [0.2]" in unequal[0] and "favourite 7" in unequal[1]


def test_the_tiny_study_is_fair(finished: Path) -> None:
    assert all(f.severity == "note" for f in fairness_flags(record_of(Workspace(finished), "tiny").accounts))
