"""scikit-learn's tools work on a classifier of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

from metapt_explore.estimators.begin import find_begin
from metapt_explore.estimators.classifier import PromptClassifier
from metapt_explore.estimators.pretrainer import PromptPretrainer

Rows = tuple[list[str], list[str]]


@pytest.fixture
def quick(small: dict[str, Any]) -> PromptClassifier:
    return PromptClassifier(**{**small, "steps": 2, "learning_rates": [0.05]})


def _lowered(texts: list[str]) -> list[str]:
    return [text.lower() for text in texts]


def test_clones_are_not_fitted_and_keep_what_they_begin_from(fitted: PromptClassifier, tmp_path: Path) -> None:
    copied = clone(PromptClassifier(init=fitted, steps=3))
    assert copied.init is fitted and copied.steps == 3 and not hasattr(copied, "exported_")
    assert not hasattr(clone(fitted), "exported_") and clone(fitted).get_params() == fitted.get_params()
    assert find_begin(FrozenEstimator(fitted), lambda files: fitted.exported_.write(tmp_path)).length == 3
    assert clone(PromptPretrainer(n_clusters=3)).set_params(method="ppt").get_params()["n_clusters"] == 3
    assert "steps=3" in repr(copied)


def test_grids_scores_and_pipelines(quick: PromptClassifier, rows: Rows) -> None:
    texts, labels = rows[0], np.array(rows[1])
    grid = GridSearchCV(quick, {"steps": [1, 2]}, cv=2).fit(texts, labels)
    assert grid.best_params_["steps"] in (1, 2) and set(grid.predict(texts[:3])) <= {"negative", "positive"}
    scores = cross_val_score(make_pipeline(FunctionTransformer(_lowered), quick), texts, labels, cv=2)
    assert scores.shape == (2,) and ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_the_checks_that_need_no_numbers(quick: PromptClassifier) -> None:
    """scikit-learn leaves all but the first out for estimators of texts: they give matrices of numbers."""
    done = {check["check_name"]: check for check in check_estimator(quick, on_fail=None, on_skip=None)}
    failed = {name: check["exception"] for name, check in done.items() if check["status"] == "failed"}
    assert not failed
    assert sum(check["status"] == "passed" for check in done.values()) >= 1
