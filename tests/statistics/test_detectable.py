"""The smallest difference that a study finds: against tables, and by simulating studies that have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metapt_explore.config import load_study
from metapt_explore.reporting.plan_power import detectable_sentence
from metapt_explore.statistics.designs import mean_over_pairs
from metapt_explore.statistics.detectable import RECORDED, recorded_spread, smallest_difference
from metapt_explore.statistics.significance import paired_power

LAYOUTS = {
    "paired": [(i, i) for i in range(8)],
    "one initialisation": [(0, j) for j in range(8)],
    "crossed": [(i, j) for i in range(5) for j in range(5)],
    "10 initialisations on 5 samples": [(i, i % 5) for i in range(10)],
    "not finished": [(i, j) for i in range(5) for j in range(6) if (i + j) % 3],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_four_of_five_studies_find_it(name: str) -> None:
    pairs, studies = LAYOUTS[name], 400
    difference = smallest_difference(pairs, 0.02)
    assert difference is not None
    index = pd.MultiIndex.from_tuples(pairs, names=["init_seed", "data_seed"])
    rng = np.random.default_rng(3)
    init, data = (np.array([pair[place] for pair in pairs]) for place in (0, 1))
    shares = np.sqrt([1 / 3] * 3) if name not in ("paired", "one initialisation") else np.array([0.0, 0.0, 1.0])
    found = 0
    for _ in range(studies):
        effects = rng.normal(size=20)[init], rng.normal(size=20)[data], rng.normal(size=len(pairs))
        values = difference + 0.02 * sum(share * effect for share, effect in zip(shares, effects, strict=True))
        p = mean_over_pairs(pd.Series(values, index=index)).p
        found += p is not None and p < 0.05
    assert found / studies == pytest.approx(0.8, abs=3.3 * np.sqrt(0.8 * 0.2 / studies))


def test_pairs_of_their_own_are_the_noncentral_t() -> None:
    # Cohen's d of a paired t test with ten pairs, 80 % at 5 %: 0.996 (G*Power).
    found = smallest_difference([(i, i) for i in range(10)], 1.0)
    assert found == pytest.approx(0.996, abs=0.001) and paired_power(10, found or 0, 1.0) == pytest.approx(0.8)
    assert smallest_difference([(0, 1)], 1.0) is None


def test_more_of_the_rarer_seed_finds_less() -> None:
    small, large = ([(i, j) for i in range(n) for j in range(10)] for n in (4, 8))
    assert (smallest_difference(small, 1.0) or 0) > (smallest_difference(large, 1.0) or 9)


def test_the_spread_is_that_of_the_table_by_hand() -> None:
    table = pd.read_csv(RECORDED, comment="#")
    rows = table[(table["kinds"] == "metapt-ppt") & (table["shots"] == 16)]
    weights = (rows["pairs"] - 1).to_numpy()
    within = (rows["task_variance"] * weights).sum() / weights.sum()
    covariance = (rows["covariance"] * weights).sum() / weights.sum()
    found = recorded_spread(("ppt", "metapt"), tasks=4, shots=12)
    assert found.alike and found.studies == tuple(dict.fromkeys(rows["study"]))
    assert found.deviation == pytest.approx(np.sqrt(covariance + (within - covariance) / 4))
    other = recorded_spread(("ppt", "full"), tasks=4, shots=16)
    assert not other.alike and other.deviation > 0


def test_a_plan_says_what_could_be_found() -> None:
    said = detectable_sentence(load_study("tour"))
    assert "between MetaPT and PPT is found in 80 % of studies" in said and "cannot tell" in said
    crossed = load_study(Path(__file__).parents[2] / "studies" / "crossed.yaml")
    assert "With 100 pairs of seeds on 7 tasks" in detectable_sentence(crossed)
    assert "between MetaPT and PPT" in detectable_sentence(crossed)  # over its clusterings and orders
