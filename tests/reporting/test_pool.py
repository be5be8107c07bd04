"""Pooling over studies: against the equations, by simulation, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from scipy import stats

from metapt_explore.errors import UserError
from metapt_explore.plots.compare import pooled_forest
from metapt_explore.reporting.pool import pool, pooled_report
from metapt_explore.results.record import Record
from metapt_explore.statistics.pooling import StudyEffect, pool_effects

STUDIES = Path(__file__).parents[2] / "studies"


def effects(means: list[float] | np.ndarray, errors: list[float] | np.ndarray) -> list[StudyEffect]:
    pairs = zip(means, errors, strict=True)
    return [StudyEffect(f"s{i}", m, e, m - 2 * e, m + 2 * e, 10, 10, ("mr",)) for i, (m, e) in enumerate(pairs)]


def test_equal_errors_by_hand() -> None:
    # With equal errors the mean is plain, tau² = s² − e², and Hartung–Knapp is the t interval of the means.
    means = np.array([0.01, 0.05, -0.03, 0.04])
    found = pool_effects("A", "B", effects(means, [0.01] * 4))
    expected = stats.ttest_1samp(means, 0)
    assert found.difference == pytest.approx(means.mean()) and found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.tau == pytest.approx(np.sqrt(means.var(ddof=1) - 0.01**2))
    q = ((means - means.mean()) ** 2).sum() / 0.01**2
    assert found.i_squared == pytest.approx(1 - 3 / q) and found.q_p == pytest.approx(stats.chi2.sf(q, 3))
    assert found.weights == pytest.approx([0.25] * 4)


def test_unequal_errors_fulfil_the_equation_of_paule_and_mandel() -> None:
    means, errors = np.array([0.01, 0.06, -0.02]), np.array([0.005, 0.02, 0.01])
    found = pool_effects("A", "B", effects(means, errors))
    weights = 1 / (errors**2 + found.tau**2)
    assert (weights * (means - found.difference) ** 2).sum() == pytest.approx(2)
    assert found.difference == pytest.approx((weights * means).sum() / weights.sum())
    assert found.predicted is not None and found.predicted[0] < found.low < found.high < found.predicted[1]


def test_agreeing_studies_are_not_surer_than_their_errors() -> None:
    found = pool_effects("A", "B", effects([0.02, 0.02], [0.01, 0.01]))
    reach = stats.t.ppf(0.975, 1) * 0.01 / np.sqrt(2)
    assert (found.tau, found.high - found.difference) == (0.0, pytest.approx(reach)) and found.predicted is None
    assert "cannot be told" in found.sentence and "hardly known" in found.caveats[0]
    assert "no spread beyond luck was seen" in found.sentence


def test_the_spread_of_a_few_pairs_is_not_believed() -> None:
    """One of five studies has next to no spread by luck: it would take all the weight."""
    studies = effects([0.02, 0.01, 0.03, 0.02, 0.01], [0.00005, 0.02, 0.02, 0.02, 0.02])
    with pytest.raises(UserError, match="'s0' has 3 independent seeds"):
        pool_effects("A", "B", [replace(effect, pairs=3, seeds=3) for effect in studies])
    found = pool_effects("A", "B", [replace(studies[0], seeds=5), *studies[1:]])
    assert found.caveats[0].startswith("'s0' has 100 % of the weight") and "'s0' (5)" in found.caveats[1]
    assert not pool_effects("A", "B", effects([0.02] * 5, [0.01] * 5)).caveats


def test_errors_of_five_pairs_do_no_great_harm() -> None:
    """Errors are taken from pairs here, as in records; with three pairs alarms would be at 8 %."""
    rng, alarms, draws = np.random.default_rng(4), 0, 1500
    for _ in range(draws):
        pairs = rng.normal(0, 0.03, (5, 5))
        alarms += pool_effects("A", "B", effects(pairs.mean(0), pairs.std(0, ddof=1) / np.sqrt(5))).p < 0.05
    assert alarms / draws < 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / draws)


@pytest.mark.parametrize("tau", [0.0, 0.02])
def test_false_alarms_over_simulated_studies(tau: float) -> None:
    rng, errors, alarms, draws = np.random.default_rng(2), np.array([0.005, 0.01, 0.02, 0.01, 0.015]), 0, 1500
    for _ in range(draws):
        alarms += pool_effects("A", "B", effects(rng.normal(0, np.sqrt(tau**2 + errors**2)), errors)).p < 0.05
    assert alarms / draws < 0.05 + 3.3 * np.sqrt(0.05 * 0.95 / draws) and (tau == 0 or alarms / draws > 0.025)


@pytest.fixture(scope="module")
def two() -> list[Record]:
    return [Record.load(STUDIES / name) for name in ("amazon", "starter")]


def test_two_published_studies_together(two: list[Record]) -> None:
    found = pool(two)
    assert (found.method, found.baseline) == ("MetaPT", "PPT") and sum(found.weights) == pytest.approx(1)
    assert min(e.difference for e in found.effects) <= found.difference <= max(e.difference for e in found.effects)
    report = pooled_report(found)
    assert "amazon-benchmark" in report.markdown() and found.sentence in report.markdown()
    figure = pooled_forest(found)
    assert [trace["y"][0] for trace in figure.to_dict()["data"]] == ["amazon-benchmark", "starter", "pooled"]


def test_what_cannot_be_pooled_is_refused(two: list[Record]) -> None:
    amazon, starter = two
    with pytest.raises(UserError, match="two studies or more"):
        pool([amazon])
    with pytest.raises(UserError, match="'starter' has no scores of 'SetFit'"):
        pool(two, "PPT", "SetFit")
    with pytest.raises(UserError, match="count twice"):
        pool([starter, replace(starter, name="again")])
    other = [{**method, "kind": "pt"} if method["name"] == "PPT" else method for method in starter.study["methods"]]
    with pytest.raises(UserError, match="different methods"):
        pool([amazon, replace(starter, study={**starter.study, "methods": other})])
    with pytest.raises(UserError, match="Name both"):
        pool(two, "PPT")
    one = starter.results[starter.results["data_seed"] == 13]
    with pytest.raises(UserError, match="nothing of the spread"):
        pool([amazon, replace(starter, results=one)])
    few = starter.results[starter.results["data_seed"].isin(sorted(starter.results["data_seed"].unique())[:3])]
    with pytest.raises(UserError, match=r"'starter' has 3 independent seeds.*leave it out"):
        pool([amazon, replace(starter, results=few)])


def by_f1(record: Record) -> Record:
    """The record with an F1 that is half its accuracy, in a study that is compared by it."""
    study: dict[str, Any] = {**record.study, "evaluation": {**record.study["evaluation"], "metric": "macro_f1"}}
    return replace(record, study=study, results=record.results.assign(macro_f1=record.results["accuracy"] / 2))


def test_the_score_is_the_one_that_studies_are_compared_by(two: list[Record]) -> None:
    accuracy, f1 = pool(two), pool([by_f1(record) for record in two])
    assert [effect.difference for effect in f1.effects] == pytest.approx([e.difference / 2 for e in accuracy.effects])
    for found, name, other in ((accuracy, "accuracy", "macro F1"), (f1, "macro F1", "accuracy")):
        figure = pooled_forest(found).to_json()
        for shown in (found.sentence, pooled_report(found).markdown(), figure):
            assert f"points of {name}" in shown and f"points of {other}" not in shown
    with pytest.raises(UserError, match=r"accuracy in 'amazon-benchmark', macro F1 in 'starter'\).*evaluation.metric"):
        pool([two[0], by_f1(two[1])])


def test_the_command_prints_and_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("pool", STUDIES / "amazon", STUDIES / "starter", "--method", "PPT", "--baseline", "PT", "--out", tmp_path)
    assert call(monkeypatch, *words) == 0
    assert "Over 2 studies with 20 pairs of seeds" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "report.md").is_file() and (tmp_path / "report.html").is_file()
