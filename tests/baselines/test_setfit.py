"""SetFit, against formulas written out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_inputs import inputs_of, split

from metapt_explore.baselines import setfit
from metapt_explore.baselines.fine_tuning import RateSearch, TrainedWeights, train_best
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.config import EncoderConfig


def test_pair_loss_by_hand() -> None:
    first, second = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    # Cosines 0 and 1; what is wanted is 1 and 0.25.
    assert float(setfit.pair_loss(first, second, torch.tensor([1.0, 0.25]))) == pytest.approx((1 + 0.5625) / 2)


def test_pairs_are_of_the_classes_they_say() -> None:
    labels = [0, 0, 1, 1, 1, 2]
    pairs = setfit.draw_pairs(labels, 4, seeds=(0, 0), data_seed=13)
    assert len(pairs.same) == 6 * 2 * 4 and sum(pairs.same) == 24
    for a, b, same in zip(pairs.first, pairs.second, pairs.same, strict=True):
        assert same == float(labels[a] == labels[b])
        assert a != b or labels.count(labels[a]) == 1
    assert sorted(pairs.first) == sorted(list(range(6)) * 8)
    assert (
        pairs
        == setfit.draw_pairs(labels, 4, seeds=(0, 0), data_seed=13)
        != setfit.draw_pairs(labels, 4, seeds=(0, 1), data_seed=13)
    )


def test_gradient_of_pairs_by_hand(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against embeddings of one text at a time and the cosine of torch."""
    monkeypatch.setattr(setfit, "in_bfloat16", lambda device: False)
    encoder = load_encoder(EncoderConfig(name=str(world / "encoder")))
    encoder.model.requires_grad_(True)
    encoder.model.config.hidden_dropout_prob = 0.0
    for layer in encoder.model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
        if hasattr(layer, "dropout_prob"):
            layer.dropout_prob = 0.0
    tokens = encoder.tokens(["a good book", "the bad song was old and boring", "superb"])
    pairs = setfit.Pairs([0, 1], [2, 0], [1.0, 0.0])
    loss = setfit.add_gradient(encoder, tokens, pairs, seed=0)
    weight = encoder.model.embeddings.word_embeddings.weight
    ours, weight.grad = weight.grad.clone(), None
    means = [encoder.model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0) for ids in tokens]
    expected = (
        (F.cosine_similarity(means[0], means[2], 0) - 1) ** 2 + F.cosine_similarity(means[1], means[0], 0) ** 2
    ) / 2
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    torch.testing.assert_close(ours, weight.grad, atol=1e-5, rtol=1e-3)
    # Where products are taken in bfloat16, nearly the same.
    monkeypatch.setattr(setfit, "in_bfloat16", lambda device: True)
    weight.grad = None
    assert setfit.add_gradient(encoder, tokens, pairs, seed=0) == pytest.approx(loss, abs=0.02)
    assert float((weight.grad - ours).norm() / ours.norm()) < 0.05


def test_setfit_learns_and_starts_from_the_encoder(world: Path) -> None:
    from metapt_explore.fewshot.logistic_regression import LogisticRegressionHead

    inputs = inputs_of(world, "setfit", learning_rates=[3e-3], pairs_per_text=20, checkpoints=2)
    inputs = replace(inputs, train={1: inputs.train[1]}, dev={1: inputs.dev[1]})
    outcome = setfit.setfit(inputs)
    assert [record["step"] for record in outcome.curves] == [0, 10, 20]
    assert outcome.spent.row_passes == 2 * 8 * 2 * 20
    encoder = load_encoder(inputs.study.encoder)
    embeddings, labels = encoder.embed(list(inputs.train[1].texts)), inputs.train[1].labels
    head = LogisticRegressionHead(embeddings, labels, 2, c=1.0, where="rows")
    assert outcome.seeds[1].start is not None
    torch.testing.assert_close(outcome.seeds[1].start, head.scores(encoder.embed(list(inputs.test))))
    again = setfit.setfit(inputs)
    assert torch.equal(again.seeds[1].scores, outcome.seeds[1].scores), "dropout comes from the seeds"
    other = setfit.setfit(replace(inputs, init_seed=5))
    assert not torch.equal(other.seeds[1].scores, outcome.seeds[1].scores) or other.curves != outcome.curves


def test_training_moves_pairs_of_one_class_together(world: Path) -> None:
    encoder = load_encoder(EncoderConfig(name=str(world / "encoder")))
    encoder.model.requires_grad_(True)
    weights = TrainedWeights([value for name, value in encoder.model.named_parameters() if "pooler" not in name])
    train = split(1, 8)
    pairs, tokens = (
        setfit.draw_pairs(train.labels, 8, seeds=(0, 0), data_seed=1),
        encoder.tokens([str(text) for text in train.texts]),
    )

    def loss() -> float:
        vectors = torch.from_numpy(encoder.embed([str(text) for text in train.texts]))
        return float(setfit.pair_loss(vectors[pairs.first], vectors[pairs.second], torch.tensor(pairs.same)))

    before = loss()
    train_best(
        weights,
        RateSearch([2e-3], [0, 30], "loss"),
        lambda step: setfit.add_gradient(encoder, tokens, pairs, seed=step),
        score_dev=lambda: {"accuracy": 0.0, "macro_f1": 0.0, "loss": loss()},
        where="here",
    )
    assert loss() < 0.5 * before
