"""Few-shot tuning: the stacked grid equals one cell at a time, dev chooses, scores are right."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from small_inputs import split
from tuned import LABELS, run

from metapt_explore.config import EvaluationConfig
from metapt_explore.fewshot.samples import balanced_part
from metapt_explore.fewshot.scoring import macro_f1, measure
from metapt_explore.fewshot.selection import choose, soups
from metapt_explore.fewshot.tuning_steps import epoch_rows
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.scoring import score_all
from metapt_explore.statistics.curves import whole_curves


def test_the_stacked_grid_equals_one_cell_at_a_time(backbone: CausalBackbone) -> None:
    """Data seeds and learning rates in one batch do not influence each other."""
    whole = run(backbone, [3, 8], [0.01, 0.1])
    assert whole.passes == 2 * 2 * 5 * 4
    # Dev: the start once a data seed, then both rates at two steps; test: one start, the chosen rate at two steps.
    assert whole.forward == 2 * (1 + 2 * 2) * 8 + (1 + 2 * 2) * 24
    for seed in (3, 8):
        for rate in (0.01, 0.1):
            alone = run(backbone, [seed], [rate])
            together = [c for c in whole.curves if (c["data_seed"], c["learning_rate"]) == (seed, rate)]
            assert [c["step"] for c in together] == [0, 2, 5]
            for a, b in zip(together, alone.curves, strict=True):
                assert a["dev_loss"] == pytest.approx(b["dev_loss"], rel=1e-4)


def test_the_kept_prompt_gives_the_reported_scores(backbone: CausalBackbone) -> None:
    outcome = run(backbone, [3], [0.05])
    test = split(500, 24)
    pattern = backbone.pattern(LABELS, "test")
    scores = score_all(backbone, outcome.prompts[3][None], backbone.bank(test.texts, pattern), pattern=pattern)[0]
    assert measure(scores, test.labels)["accuracy"] == outcome.results[0]["accuracy"]
    assert measure(scores, test.labels)["loss"] == pytest.approx(outcome.results[0]["test_loss"], rel=1e-5)


def test_halving_drops_the_rates_that_dev_likes_least_and_changes_nothing_else(backbone: CausalBackbone) -> None:
    """What is left is, step by step, what the full grid has; the dropped ones are those with the higher dev loss."""
    rates = [0.001, 0.01, 0.1, 0.5]
    whole, halved = run(backbone, [3, 8], rates, steps=8), run(backbone, [3, 8], rates, steps=8, halving_steps=[2, 4])
    assert whole.passes == 2 * 4 * 8 * 4
    assert halved.passes == 2 * (4 * 2 + 2 * 2 + 1 * 4) * 4
    full = run(backbone, [3, 8], rates, steps=8, curve_steps=[0, 2, 4, 8]).curves
    for seed in (3, 8):

        def losses(curves: list[dict[str, Any]], step: int, seed: int = seed) -> dict[float, float]:
            found = [c for c in curves if c["data_seed"] == seed and c["step"] == step]
            return {c["learning_rate"]: c["dev_loss"] for c in found}

        running = set(rates)
        for step, left in ((0, 4), (2, 4), (4, 2), (8, 1)):
            assert set(losses(halved.curves, step)) == running and len(running) == left
            for rate, loss in losses(halved.curves, step).items():
                assert loss == pytest.approx(losses(full, step)[rate], rel=1e-4)
            if step in (2, 4):
                running = set(sorted(running, key=losses(full, step).__getitem__)[: len(running) // 2])


def test_a_rate_that_was_dropped_can_still_be_chosen_at_a_step_that_it_came_to(backbone: CausalBackbone) -> None:
    halved = run(backbone, [3], [0.01, 0.5], steps=6, halving_steps=[2])
    best = choose(halved.curves, "loss")
    result = halved.results[0]
    assert (result["learning_rate"], result["step"]) == (best["learning_rate"], best["step"])
    tested = [c for c in halved.curves if "test_accuracy" in c]
    assert {c["learning_rate"] for c in tested} == {best["learning_rate"]}


def test_curves_over_some_test_rows_leave_the_scores_as_they_are(backbone: CausalBackbone) -> None:
    whole, some = run(backbone, [3, 8], [0.05, 0.1]), run(backbone, [3, 8], [0.05, 0.1], curve_rows=10)
    for a, b in zip(whole.results, some.results, strict=True):
        assert a == pytest.approx(b)
    test, pattern = split(500, 24), backbone.pattern(LABELS, "test")
    few = balanced_part(test.labels, 10)
    assert sorted(test.labels[row] for row in few) == [0] * 5 + [1] * 5
    for seed, result in zip((3, 8), some.results, strict=True):
        bank = backbone.bank([test.texts[row] for row in few], pattern)
        scores = score_all(backbone, some.prompts[seed][None], bank, pattern=pattern)[0]
        rate, step = result["learning_rate"], result["step"]
        (drawn,) = [c for c in some.curves if (c["data_seed"], c["learning_rate"], c["step"]) == (seed, rate, step)]
        assert drawn["test_accuracy"] == measure(scores, [test.labels[row] for row in few])["accuracy"]
        assert drawn["test_loss"] == pytest.approx(measure(scores, [test.labels[row] for row in few])["loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"soup": 2, "select_by": "one_se"}, "goes with `select_by: loss`"),
        ({"halving_steps": [2, 5], "steps": 5}, "5 is not before the last of 5 steps"),
        ({"halving_steps": [3, 2]}, "ascend"),
        ({"scored_on": "other_seeds"}, "pairing: paired"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(tasks=["x"], **settings)


def test_a_curve_keeps_its_last_score_and_stands_on_the_same_rows() -> None:
    rows = [
        ("PT", 1, 0, 0.5),
        ("PT", 1, 5, 0.6),
        ("PT", 2, 0, 0.4),
        ("PT", 2, 5, 0.7),
        ("PT", 2, 10, 0.8),
        ("PT+", 1, 80, 0.3),
    ]
    columns = ["method", "data_seed", "step", "test_accuracy"]
    curves = pd.DataFrame(rows, columns=columns).assign(task="x", init_seed=0)
    curves.loc[len(curves)] = ["PT", 1, 10, float("nan"), "x", 0]  # another rate has no test score
    drawn = whole_curves(curves)[columns]
    expected = [*rows[:2], ("PT", 1, 10, 0.6), *rows[2:]]
    assert sorted(drawn.itertuples(index=False, name=None)) == sorted(expected)


def test_calibrated_accuracies_by_hand(backbone: CausalBackbone) -> None:
    """Of the start and of the kept prompt: each class's probability over its mean on the scored rows."""
    outcome = run(backbone, [3], [0.05, 0.1], curve_rows=10)
    test, pattern = split(500, 24), backbone.pattern(LABELS, "test")
    start = backbone.embedding[20:23].clone()
    for prompt, name in ((outcome.prompts[3], "calibrated_accuracy"), (start, "start_calibrated_accuracy")):
        scores = score_all(backbone, prompt[None], backbone.bank(test.texts, pattern), pattern=pattern)[0].softmax(-1)
        right = (scores / scores.mean(0)).argmax(1) == torch.tensor(test.labels)
        assert outcome.results[0][name] == pytest.approx(float(right.float().mean()))
    assert not [name for record in outcome.curves for name in record if "calibrated" in name]


def test_tuning_learns(backbone: CausalBackbone) -> None:
    curves = run(backbone, [3], [0.1], steps=40).curves
    assert curves[-1]["dev_loss"] < 0.8 * curves[0]["dev_loss"]


def test_dev_chooses() -> None:
    records = [
        {"step": 0, "learning_rate": 1, "dev_accuracy": 0.75, "dev_loss": 0.9},
        {"step": 5, "learning_rate": 1, "dev_accuracy": 0.75, "dev_loss": 0.6},
        {"step": 9, "learning_rate": 1, "dev_accuracy": 0.50, "dev_loss": 0.4},
        {"step": 3, "learning_rate": 2, "dev_accuracy": 0.50, "dev_loss": 0.4},
    ]
    assert choose(records, "accuracy") == records[1]
    assert choose(records, "loss") == records[3]


def test_one_standard_error_by_hand() -> None:
    """The lowest is 0.4; 0.9 is further behind than its error, 0.55 and 0.5 are not: fewest steps, then lower rate."""
    records = [
        {"step": 0, "learning_rate": 1, "dev_loss": 0.9, "dev_behind_se": 0.3},
        {"step": 5, "learning_rate": 2, "dev_loss": 0.5, "dev_behind_se": 0.15},
        {"step": 5, "learning_rate": 1, "dev_loss": 0.55, "dev_behind_se": 0.2},
        {"step": 9, "learning_rate": 1, "dev_loss": 0.4, "dev_behind_se": 0.0},
    ]
    assert choose(records, "one_se") == records[2]
    assert choose([records[0], records[3]], "one_se") == records[3]


def test_standard_errors_are_those_of_paired_rows(backbone: CausalBackbone) -> None:
    outcome = run(backbone, [3], [0.05, 0.1])
    dev, pattern = split(103, 8), backbone.pattern(LABELS, "test")
    start = backbone.embedding[20:23].clone()

    def losses(prompt: torch.Tensor) -> torch.Tensor:
        scores = score_all(backbone, prompt[None], backbone.bank(dev.texts, pattern), pattern=pattern)[0]
        return F.cross_entropy(scores, torch.tensor(dev.labels), reduction="none")

    # The chosen prompt is the one with the lowest dev loss.
    behind = losses(start) - losses(outcome.prompts[3])
    begin = next(record for record in outcome.curves if record["step"] == 0)
    assert begin["dev_behind_se"] == pytest.approx(float(behind.std() / 8**0.5), rel=1e-3)
    assert min(outcome.curves, key=lambda record: record["dev_loss"])["dev_behind_se"] == 0


def test_soups_by_hand() -> None:
    """The best two of seed 3 are rate 0.2 after 5 steps and the start, which stands in both curves and counts once."""
    start = torch.zeros(4, 1, 2)
    snapshots = {0: start, 5: torch.arange(8.0).view(4, 1, 2)}
    cells = [(3, 0.1), (3, 0.2), (8, 0.1), (8, 0.2)]
    losses = {(3, 0.1, 0): 0.5, (3, 0.2, 0): 0.5, (3, 0.1, 5): 2.0, (3, 0.2, 5): 0.4}
    losses |= {(8, 0.1, 0): 0.9, (8, 0.2, 0): 0.9, (8, 0.1, 5): 0.2, (8, 0.2, 5): 0.3}
    curves = [{"data_seed": s, "learning_rate": r, "step": t, "dev_loss": loss} for (s, r, t), loss in losses.items()]
    found = soups(snapshots, cells, curves, size=2)
    torch.testing.assert_close(found[3], torch.tensor([[1.0, 1.5]]))
    torch.testing.assert_close(found[8], torch.tensor([[5.0, 6.0]]))
    # All three: the start, [0, 1] and [2, 3].
    torch.testing.assert_close(soups(snapshots, cells, curves, size=9)[3], torch.tensor([[2 / 3, 4 / 3]]))


def test_a_soup_is_one_prompt_whose_scores_are_reported(backbone: CausalBackbone) -> None:
    plain, soup = run(backbone, [3], [0.05, 0.1]), run(backbone, [3], [0.05, 0.1], soup=3)
    assert not torch.equal(plain.prompts[3], soup.prompts[3])
    keys = ("dev_loss", "learning_rate", "step")
    assert [[c[k] for k in keys] for c in plain.curves] == [[c[k] for k in keys] for c in soup.curves]
    pattern = backbone.pattern(LABELS, "test")
    for rows, key in ((split(500, 24), "accuracy"), (split(103, 8), "dev_accuracy")):
        scores = score_all(backbone, soup.prompts[3][None], backbone.bank(rows.texts, pattern), pattern=pattern)[0]
        assert measure(scores, rows.labels)["accuracy"] == soup.results[0][key]


def test_an_epoch_sees_every_row_once_and_seeds_differ() -> None:
    steps = [epoch_rows(8, 4, step, seed=13, order_seeds=(0, 0)) for step in (1, 2)]
    assert sorted(steps[0] + steps[1]) == list(range(8))
    assert [epoch_rows(8, 4, step, seed=13, order_seeds=(0, 0)) for step in (3, 4)] != steps
    assert [epoch_rows(8, 4, step, seed=13, order_seeds=(0, 1)) for step in (1, 2)] != steps
    assert epoch_rows(3, 4, 1, seed=13, order_seeds=(0, 0)) == [0, 1, 2]


def test_scores_by_hand() -> None:
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.0]])
    found = measure(scores, [0, 1, 1, 0])
    assert found["accuracy"] == 0.75
    # Class 0: precision 2/3, recall 1; class 1: precision 1, recall 1/2.
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert found["loss"] == pytest.approx(float(F.cross_entropy(scores, torch.tensor([0, 1, 1, 0]))))


def test_macro_f1_is_scikit_learns_to_the_last_bit() -> None:
    """With classes that are not there, are never predicted, and predictions that are no class."""
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    for classes, rows, spare in itertools.product((2, 3, 6), (1, 7, 60), (0, 2)):
        for _ in range(5):
            truth, predicted = rng.integers(0, classes, rows), rng.integers(0, classes + spare, rows)
            expected = f1_score(truth, predicted, average="macro", labels=range(classes), zero_division=0)
            assert macro_f1(truth, predicted, classes) == expected
