"""Headroom, displacement and the word on them: every number here is worked out on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from metapt_explore.config import EvaluationConfig, MethodConfig, load_study
from metapt_explore.diagnostics.displacement import Displacement, expected, measured, tuning_rate
from metapt_explore.diagnostics.headroom import (
    Estimate,
    headroom_losses,
    headroom_of_tasks,
    headroom_over_tasks,
    mean_with_interval,
)
from metapt_explore.diagnostics.screen import SAID, Screening, downstream_cosines, task_diversity
from metapt_explore.reporting.screen_section import losses_table

NAN = float("nan")


def losses() -> pd.DataFrame:
    rows = [
        # task, name, support before and after, query before, inner, tuning, other
        (0, "a", 1.0, 0.5, 1.0, 0.9, 0.5, 0.8),
        (0, "a", 2.0, 1.0, 2.0, 1.7, 1.3, 1.4),
        (1, "b", 1.0, 1.0, 1.0, 1.1, 0.7, 0.6),
        (1, "b", 1.0, 1.0, 1.0, 1.1, 0.9, 1.0),
    ]
    columns = ["task", "name", "support_before", "support_after"]
    return pd.DataFrame(rows, columns=[*columns, "query_before", "query_inner", "query_tuning", "query_other"])


def test_gains_by_hand() -> None:
    first, second = headroom_of_tasks(losses())
    assert (first["name"], first["support_before"], first["query_before"]) == ("a", 1.5, 1.5)
    # Gains 0.1 and 0.3: mean 0.2, standard error 0.1, Student's 97.5 % point with one degree of freedom 12.706.
    assert first["inner"]["value"] == pytest.approx(0.2)
    assert first["inner"]["low"] == pytest.approx(0.2 - 1.2706, abs=1e-4)
    assert first["tuning"]["value"] == pytest.approx(0.6) and first["own"]["value"] == pytest.approx(0.2)
    assert second["inner"]["value"] == pytest.approx(-0.1) and second["inner"]["low"] == pytest.approx(-0.1)
    over = headroom_over_tasks(losses())
    assert over["inner"].value == pytest.approx(0.05) and over["inner"].n == 2  # tasks 0.2 and -0.1
    assert over["inner"].high == pytest.approx(0.05 + 12.7062 * 0.15, abs=1e-3)
    assert over["own"].value == pytest.approx((0.2 + 0.0) / 2) and not over["own"].above_zero


def test_losses_before_and_after_by_hand() -> None:
    first, second, mean = headroom_losses(losses())
    assert (first["name"], second["name"], mean["name"]) == ("a", "b", "mean over tasks")
    # 1.0 and 2.0: mean 1.5, standard error 0.5, Student's point 12.7062; after the inner steps 0.9 and 1.7.
    assert first["query_before"]["value"] == 1.5 and first["query_before"]["high"] == pytest.approx(1.5 + 6.3531)
    assert first["query_inner"]["value"] == pytest.approx(1.3)
    assert first["query_inner"]["low"] == pytest.approx(1.3 - 12.7062 * 0.4, abs=1e-4)
    # Over tasks: 1.5 and 1.0 before, 1.3 and 1.1 after.
    assert mean["query_before"]["value"] == pytest.approx(1.25) and mean["query_before"]["n"] == 2
    assert mean["query_inner"]["high"] == pytest.approx(1.2 + 12.7062 * 0.1, abs=1e-4)
    table = losses_table([first, second, mean]).set_index("task")
    assert table.loc["mean over tasks", "others before"].startswith("1.250 (−1.927 to 4.427)")
    assert list(table.columns)[2:] == ["others before", "after inner steps", "after tuning steps"]


def test_means_of_little() -> None:
    """What is not known is left out; a single value has no interval; nothing is nothing."""
    one = mean_with_interval([NAN, 0.5])
    assert (one.value, one.n) == (0.5, 1) and np.isnan(one.low) and not one.above_zero
    assert np.isnan(mean_with_interval([]).value)
    assert Estimate.of(one.as_dict()).as_dict() == one.as_dict() == {"value": 0.5, "low": None, "high": None, "n": 1}


def test_displacement_from_settings_and_from_steps() -> None:
    tuned = {"learning_rates": [0.5, 0.1]}
    method = MethodConfig(name="m", kind="metapt", clustering="kmeans", outer_lr=0.02, tuning=tuned)
    tour = load_study("tour")
    alike = expected(method, tour)  # type: ignore[arg-type]
    assert alike.inner == tour.evaluation.learning_rates[0], "a step of Adam is as long as its rate"
    gradient = tour.pretraining.model_copy(update={"inner_optimiser": "gradient"})
    plain = tour.model_copy(update={"pretraining": gradient})
    known = expected(method, plain)  # type: ignore[arg-type]
    assert (known.inner, known.outer, known.tuning, known.ratio) == (None, 0.02, 0.5, None) and known.warning == ""
    told = expected(method, plain, gradient=0.01)  # type: ignore[arg-type]
    assert (
        told.inner == pytest.approx(0.03 * 0.01) and "1667 times less" in told.warning
    )  # one step at the default rate
    half = MethodConfig(name="m", kind="metapt", clustering="kmeans", inner_steps=2, inner_lr=3.0, adapted=0.25)
    quarter = expected(half, tour, gradient=0.01)  # type: ignore[arg-type]
    assert quarter.inner == pytest.approx(2 * 3.0 * 0.01 / 2)
    evaluation = EvaluationConfig(tasks=["trec"], learning_rates=[0.064, 0.001, 0.016])
    assert tuning_rate(MethodConfig(name="PT", kind="pt"), evaluation) == 0.016
    found = measured(np.array([0.001, 0.003]), np.array([0.01]), np.array([0.016]), rates=[0.016])
    assert found.inner == pytest.approx(0.002) and found.ratio == pytest.approx(8) and found.warning == ""
    assert "20 times less" in Displacement(0.001, 0.01, 0.02).warning
    assert "20 times as far" in Displacement(0.4, 0.01, 0.02).warning
    assert "do not move" in Displacement(0.0, 0.01, 0.02).warning
    assert Displacement.of(found.as_dict()) == found


# ------------------------------------------------------------------------------------------- diversity


def pairs(cosines: dict[tuple[str, str], float], error: float = 0.1) -> pd.DataFrame:
    rows = [(*names, cosine, error) for names, cosine in cosines.items()]
    return pd.DataFrame(rows, columns=["first", "second", "cosine", "standard_error"])


def test_diversity_by_hand() -> None:
    table = pairs({("a", "b"): 0.4, ("a", "c"): 0.2, ("b", "c"): 0.3, ("a", "mood"): 0.9})
    found = task_diversity(table, {"a": 0.64, "b": 0.25, "c": 0.16})
    # √ of products: 0.4, 0.32, 0.2; sum 0.92. Without a: 0.3/0.2; without b: 0.2/0.32; without c: 0.4/0.4.
    assert found.value == pytest.approx(0.9 / 0.92) and found.n == 3
    left = np.array([1.5, 0.625, 1.0])
    error = np.sqrt(2 / 3 * ((left - left.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(4.302653 * error, rel=1e-5)
    two = task_diversity(table, {"a": 0.64, "b": 0.25})
    assert two.value == pytest.approx(1.0) and two.high == pytest.approx(1 + 1.959964 * 0.1 / 0.4)
    assert np.isnan(task_diversity(table, {"a": 0.01, "b": 0.02, "c": None}).value)
    # With two tasks of noise the third carries every pair: without it nothing is left.
    assert np.isnan(task_diversity(table, {"a": 1.0, "b": 0.05, "c": 0.05}).value)
    assert np.isnan(task_diversity(table, {"a": 0.5}).value)


@pytest.mark.parametrize("truth", [0.8, 0.2])
def test_diversity_finds_the_cosine_under_noise(truth: float) -> None:
    """Gradients of ten tasks with one cosine under noise: observed cosines are far too low, the mean is not."""
    rng = np.random.default_rng(2)
    values = []
    for _ in range(20):
        shared = rng.normal(size=400)
        signals = [np.sqrt(truth) * shared + np.sqrt(1 - truth) * rng.normal(size=400) for _ in range(10)]
        halves = [[signal + 1.5 * rng.normal(size=400) for _ in range(2)] for signal in signals]
        half = [float(np.corrcoef(*of_task)[0, 1]) for of_task in halves]
        wholes = [sum(of_task) for of_task in halves]
        cosines = {
            (str(i), str(j)): float(np.corrcoef(wholes[i], wholes[j])[0, 1]) for i in range(10) for j in range(i)
        }
        found = task_diversity(pairs(cosines), {str(i): 2 * h / (1 + h) for i, h in enumerate(half)})
        assert np.mean(list(cosines.values())) < 0.7 * truth
        values.append(found.value)
    assert np.mean(values) == pytest.approx(truth, abs=0.05)


def test_downstream_cosines_are_means_of_what_is_known() -> None:
    table = pd.DataFrame(
        {
            "first": ["a", "b", "c", "a"],
            "second": ["mood", "mood", "mood", "b"],
            "first_kind": "auxiliary",
            "second_kind": ["downstream"] * 3 + ["auxiliary"],
            "corrected": [0.2, 0.4, 0.9, 1.0],
        }
    )
    assert downstream_cosines(table, {"a", "b"}) == {"mood": pytest.approx(0.3)}
    assert downstream_cosines(table.assign(corrected=NAN), {"a"}) == {"mood": None}


# --------------------------------------------------------------------------------------------- the word


def screening(cosine: Estimate, *, tasks: int = 6, inner: float = -1.0, tuning: float = 1.0, **more: Any) -> Screening:
    gains = {
        "inner": Estimate(inner, inner - 0.1, inner + 0.1, 6),
        "tuning": Estimate(tuning, tuning - 0.1, tuning + 0.1, 6),
        "own": Estimate(0.0, -0.1, 0.1, 6),
    }
    return Screening(tasks, cosine, gains, more.get("moves", Displacement(0.01, 0.01, 0.01)), 5)


@pytest.mark.parametrize(
    ("cosine", "word"),
    [
        (Estimate(0.87, 0.78, 0.97, 28), "nearly_one"),
        (Estimate(0.87, 0.30, 1.40, 28), "cannot_be_told"),
        (Estimate(0.55, 0.50, 0.60, 28), "cannot_be_told"),
        (Estimate(0.10, 0.00, 0.20, 28), "differ"),
        (Estimate(-0.10, -0.90, 0.75, 28), "cannot_be_told"),
        (Estimate(0.10, NAN, NAN, 1), "differ"),
        (Estimate(NAN, NAN, NAN, 0), "cannot_be_told"),
    ],
)
def test_the_word(cosine: Estimate, word: str) -> None:
    found = screening(cosine)
    assert found.word == word
    assert found.sentence.startswith(SAID[found.word])
    assert Screening.of(found.as_dict()).as_dict() == found.as_dict()


def test_where_nothing_is_gained_there_is_nothing_to_adapt_to() -> None:
    low = Estimate(0.1, 0.0, 0.2, 28)
    assert screening(low, tuning=0.05).word == "nothing_to_adapt"
    assert screening(low, tuning=0.05, inner=0.2).word == "differ"
    assert screening(Estimate(0.9, 0.8, 1.0, 28), tuning=0.05).word == "nearly_one"
    one = screening(Estimate(NAN, NAN, NAN, 0), tasks=1)
    assert one.word == "nearly_one" and "pooled pre-training under another name" in one.sentence
    assert "50 times less" in screening(low, moves=Displacement(0.001, 0.01, 0.05)).warning
