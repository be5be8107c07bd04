"""The package `setfit`: run as its users run it, and laid beside the recipe that is written out here."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from kept import KeptInMemory, StopAt
from small_inputs import inputs_of

from metapt_explore.baselines import setfit
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, OutcomeCheckpoint
from metapt_explore.baselines.setfit_package import setfit_package
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.config import BaselineConfig, EncoderConfig, StudyConfig, parse
from metapt_explore.cost.count import Reckoning
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.stages.registry import count
from metapt_explore.study.study import Study

pytest.importorskip("setfit")


@pytest.fixture(scope="module")
def encoder(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder with the files of sentence-transformers: pooled by the mean, normalised."""
    from sentence_transformers import SentenceTransformer, models

    folder = tmp_path_factory.mktemp("setfit") / "encoder"
    bert = models.Transformer(str(world / "encoder"))
    SentenceTransformer(modules=[bert, models.Pooling(24), models.Normalize()], device="cpu").save(str(folder))
    return folder


def inputs(world: Path, encoder: Path, kind: str = "setfit_package", seeds: int = 1, **options: Any) -> BaselineInputs:
    made = inputs_of(world, kind, encoder=str(encoder), **options)
    study = made.study.model_copy(update={"encoder": made.study.baseline("b").encoder_in(made.study.encoder)})
    few = {seed: made.train[seed] for seed in list(made.train)[:seeds]}
    return replace(made, study=study, train=few, dev={seed: made.dev[seed] for seed in few})


def without_dropout(model: torch.nn.Module) -> None:
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        if hasattr(layer, "dropout_prob"):
            layer.dropout_prob = 0.0


def test_same_pairs_same_loss_same_gradient(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sentence_transformers import SentenceTransformer, losses

    monkeypatch.setattr(setfit, "in_bfloat16", lambda device: False)
    texts = ["a good book", "the bad song was old and boring", "superb", "the awful camera"]
    pairs = setfit.Pairs([0, 1, 2, 3], [2, 0, 3, 1], [1.0, 0.0, 0.0, 1.0])
    ours = load_encoder(EncoderConfig(name=str(encoder)))
    ours.model.requires_grad_(True)
    theirs = SentenceTransformer(str(encoder), device="cpu")
    for model in (ours.model, theirs):
        without_dropout(model)
    loss = setfit.add_gradient(ours, ours.tokens(texts), pairs, seed=0)
    sides = [theirs.tokenize([texts[row] for row in side]) for side in (pairs.first, pairs.second)]
    expected = losses.CosineSimilarityLoss(theirs.train())(sides, torch.tensor(pairs.same))
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    gradients = {name.removeprefix("0.model."): each.grad for name, each in theirs.named_parameters()}
    compared = [name for name, value in ours.model.named_parameters() if value.grad is not None]
    assert len(compared) > 10
    for name in compared:
        torch.testing.assert_close(ours.model.get_parameter(name).grad, gradients[name], atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize(("shots", "classes", "each"), product([1, 3], [2, 3], [None, 4]))
def test_pairs_are_counted_as_the_package_draws_them(shots: int, classes: int, each: int | None) -> None:
    from setfit.sampler import ContrastiveDataset

    labels = list(range(classes)) * shots
    texts = [f"text {row}" for row in range(len(labels))]
    drawn = list(ContrastiveDataset(texts, labels, False, each))
    config = BaselineConfig(name="x", kind="setfit_package", pairs_per_text=each)
    assert len(drawn) == config.pairs(shots, classes)  # type: ignore[attr-defined]
    assert sum(pair["label"] for pair in drawn) == len(drawn) / 2
    if each:  # what is written out here draws as many, of the same kinds
        ours = setfit.draw_pairs(labels, each, seeds=(0, 0), data_seed=1)
        assert (len(ours.same), sum(ours.same)) == (len(drawn), len(drawn) / 2)


def test_untrained_both_say_the_same(world: Path, encoder: Path) -> None:
    package = setfit_package(inputs(world, encoder, learning_rates=[1e-12], pairs_per_text=1))
    recipe = setfit.setfit(inputs(world, encoder, "setfit", learning_rates=[1e-12], pairs_per_text=1))
    start = recipe.seeds[1].start
    assert start is not None
    torch.testing.assert_close(package.seeds[1].scores, start, atol=1e-3, rtol=1e-3)
    assert package.spent.trained_parameters == recipe.spent.trained_parameters
    assert package.spent.row_passes == recipe.spent.row_passes == 2 * 2 * 8


def test_trained_on_as_many_pairs_both_move_alike(world: Path, encoder: Path) -> None:
    """Other dropout, order and partners, so not equal: nearer to each other than to where they began."""
    settings = {"learning_rates": [2e-3], "pairs_per_text": 20}
    package = setfit_package(inputs(world, encoder, **settings)).seeds[1]
    recipe = setfit.setfit(inputs(world, encoder, "setfit", checkpoints=1, **settings)).seeds[1]
    assert recipe.start is not None and recipe.chosen == package.chosen == {"learning_rate": 2e-3, "step": 20}
    start, ours, theirs = (
        scores.log_softmax(1).exp()[:, 0] for scores in (recipe.start, recipe.scores, package.scores)
    )
    assert (ours - theirs).abs().mean() < 0.5 * min((ours - start).abs().mean(), (theirs - start).abs().mean())
    assert (ours > 0.5).tolist() == (theirs > 0.5).tolist()


def test_the_same_twice_and_nothing_else_is_touched(world: Path, encoder: Path) -> None:
    once = setfit_package(inputs(world, encoder))
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.random.get_rng_state()
    again = setfit_package(inputs(world, encoder))
    assert random.getstate() == states[0] and np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.random.get_rng_state(), states[2])
    assert torch.equal(once.seeds[1].scores, again.seeds[1].scores) and once.curves == again.curves
    other = setfit_package(replace(inputs(world, encoder), init_seed=5))
    assert not torch.equal(other.seeds[1].scores, once.seeds[1].scores)
    assert once.spent.row_passes == 2 * 40, "20 pairs of one class; the 16 of two classes are filled up to as many"


def test_dev_chooses_among_rates(world: Path, encoder: Path) -> None:
    outcome = setfit_package(inputs(world, encoder, learning_rates=[1e-4, 3e-3]))
    best = min(outcome.curves, key=lambda point: point["dev_loss"])
    assert [point["learning_rate"] for point in outcome.curves] == [1e-4, 3e-3]
    assert outcome.seeds[1].chosen == {"learning_rate": best["learning_rate"], "step": best["step"]}
    assert outcome.seeds[1].dev_accuracy == best["dev_accuracy"]


def test_stopped_and_gone_on_with(world: Path, encoder: Path) -> None:
    """Stopped during the second of two data seeds, of three steps each."""
    given = inputs(world, encoder, seeds=2)
    whole = setfit_package(given)
    kept = OutcomeCheckpoint(KeptInMemory())
    attempt = replace(given, keep=kept.save, restore=kept.restore)
    with pytest.raises(Cancelled):
        setfit_package(replace(attempt, on_units=StopAt(5)))
    calls = StopAt(None)
    rest: BaselineOutcome = setfit_package(replace(attempt, on_units=calls))
    assert calls.calls == 3, "the first data seed is not trained again"
    assert rest.curves == whole.curves and rest.spent == whole.spent
    assert all(torch.equal(rest.seeds[seed].scores, scored.scores) for seed, scored in whole.seeds.items())


def test_in_a_study(world: Path, encoder: Path, tmp_path: Path) -> None:
    baseline = {"name": "SetFit", "kind": "setfit_package", "encoder": str(encoder)}
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], baselines=[baseline])
    study = Study(parse(StudyConfig, tree, "test"), tmp_path)
    works = count(study, Reckoning.of(study.config, text_tokens=10))
    artifact = study.baseline("SetFit", "mood", init_seed=0)
    assert artifact.table("results")["accuracy"].between(0, 1).all() and artifact.summary["row_passes"] == 2 * 2 * 40
    assert artifact.summary["runs"] == f"sentence encoder {encoder}" and not study.model.loaded
    assert artifact.summary["package"].startswith("setfit 1.")
    assert works["baseline/encoder/SetFit/mood/0"].embedded > 0


def test_one_class_is_refused(world: Path, encoder: Path) -> None:
    given = inputs(world, encoder)
    alone = replace(given, train={1: LabelledTexts(given.train[1].texts, [0] * 8)})
    with pytest.raises(UserError, match="data seed 1: the training rows are all of one class; SetFit needs two"):
        setfit_package(alone)


@pytest.mark.parametrize("kind", ["setfit_package", "setfit"])
def test_a_rate_that_diverges_is_named(world: Path, encoder: Path, kind: str) -> None:
    given = inputs(world, encoder, kind)
    far = replace(given, options={**given.options, "learning_rates": [1e30]})
    with pytest.raises(
        UserError, match=r"data seed 1: .*not (numbers|a number) any more.*rate 1e\+30; lower.*`learning_rates`"
    ):
        {"setfit_package": setfit_package, "setfit": setfit.setfit}[kind](far)
