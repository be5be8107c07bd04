"""Whether a finished study was fair, read off what its methods really spent."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.reporting.background_sections import terms_of
from metapt_explore.reporting.questions import questions_of
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import Record, record_of
from metapt_explore.statistics import Flag, fairness_flags
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def flags_of(record: Record) -> list[Flag]:
    return fairness_flags([terms_of(budget) for budget in record.budgets])


def test_a_deliberately_unfair_study(world: Path, tmp_path: Path) -> None:
    """One method tunes at other rates, for longer, with a pull to its start; the finished study says so."""
    unfair = {"learning_rates": [0.2], "steps": 7, "proximal": 1.0, "select_by": "accuracy"}
    methods = [
        {"name": "PT", "kind": "pt"},
        {"name": "PPT", "kind": "ppt"},
        {"name": "favourite", "kind": "metapt", "clustering": "kmeans", "tuning": unfair},
    ]
    config = parse(StudyConfig, tiny.study_tree(world, methods=methods), "test")
    Study(config, tmp_path).run()
    record = record_of(Workspace(tmp_path), config.name)
    unequal = {flag.rule: flag.sentence for flag in flags_of(record) if flag.severity == "unequal"}
    assert set(unequal) == {"rates", "steps", "tuning", "pull", "choice"}
    assert all("favourite" in sentence for sentence in unequal.values())
    markdown = make_report(record).markdown()
    assert "Not all methods were compared on equal terms" in markdown and unequal["rates"] in markdown


def test_a_method_that_is_read_in_another_way(world: Path, tmp_path: Path) -> None:
    """It is said, and a PPT that is read alike is what pre-training is compared with."""
    mixed = {"verbalizer": {"read": "mixed"}}
    methods = [
        {"name": "PPT", "kind": "ppt"},
        {"name": "PPT mixed", "kind": "ppt", **mixed},
        {"name": "recipe", "kind": "metapt", "clustering": "kmeans", **mixed},
    ]
    config = parse(StudyConfig, tiny.study_tree(world, methods=methods), "test")
    Study(config, tmp_path / "own").run()
    record = record_of(Workspace(tmp_path / "own"), config.name)
    (flag,) = [flag for flag in flags_of(record) if flag.severity == "unequal"]
    assert flag.rule == "reading" and "PPT mixed, recipe: Classes are read half by label words" in flag.sentence
    asked = questions_of(record.study, record.methods)
    assert [(q.method, q.baseline, q.primary) for q in asked] == [
        ("recipe", "PPT", True),
        ("recipe", "PPT mixed", False),
        ("PPT mixed", "PPT", False),
    ]
    # The same scores as in a study that reads everything so.
    whole = tiny.study_tree(world, methods=[{"name": "PPT mixed", "kind": "ppt"}], verbalizer={"read": "mixed"})
    results = Study(parse(StudyConfig, whole, "test"), tmp_path / "all").run()
    of_own = record.results[record.results["method"] == "PPT mixed"]
    assert of_own["accuracy"].tolist() == results["accuracy"].tolist()
    with pytest.raises(UserError, match="belongs to the study"):
        odd = [{**methods[1], "verbalizer": {"decode": "whole_vocabulary"}}]
        parse(StudyConfig, tiny.study_tree(world, methods=odd), "test")


def test_a_fair_study_and_pt_that_tunes_for_as_long(world: Path, finished: Path, tmp_path: Path) -> None:
    assert {flag.rule for flag in flags_of(record_of(Workspace(finished), "tiny"))} == {"budget"}
    methods = [
        {"name": "PT", "kind": "pt"},
        {"name": "PT+", "kind": "pt", "extra_tuning": True},
        {"name": "PPT", "kind": "ppt"},
    ]
    config = parse(StudyConfig, tiny.study_tree(world, methods=methods, baselines=["tfidf"]), "test")
    Study(config, tmp_path).run()
    assert flags_of(record_of(Workspace(tmp_path), config.name)) == []
