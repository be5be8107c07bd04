"""What a recipe adds to a method: task weights, pooled share, mean over late prompts, gentler tuning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_methods import CONFIG, TEXTS, backbone, gradient_of, objective_of, plain_loss, task_of  # noqa: F401

from metapt_explore.config import MethodConfig, StudyConfig
from metapt_explore.errors import Cancelled
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.pretraining.budget import budget, tuning_of
from metapt_explore.pretraining.episode_bank import PretrainingTexts
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.loop import pretrain
from metapt_explore.pretraining.maml import task_weights
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.pretraining.state import TrainingCallbacks
from metapt_explore.storage.artifact import ArtifactWriter

from test_methods import LABELS  # isort: skip


def with_method(pretraining_task: PretrainingTask, **changes: Any) -> PretrainingTask:
    return replace(pretraining_task, method=pretraining_task.method.model_copy(update=changes))


# ------------------------------------------------------------------------------------- task weights


def test_agreement_weights_by_hand() -> None:
    """Two tasks pull along the first axis, one against them: it gets no weight, the others share it."""
    gradients = torch.tensor([[[1.0, 0.0]], [[2.0, 0.0]], [[-1.0, 0.5]]])
    weights = task_weights("agreement", torch.ones(3), gradients)
    assert weights is not None
    directions = torch.nn.functional.normalize(gradients[:, 0], dim=1)
    cosines = [
        torch.nn.functional.cosine_similarity(directions[i], directions.sum(0) - directions[i], dim=0) for i in range(3)
    ]
    expected = torch.stack(cosines).clamp(min=0)
    torch.testing.assert_close(weights, expected / expected.sum())
    assert weights[2] == 0


@given(
    st.sampled_from(["loss", "agreement"]),
    st.lists(st.floats(0.0, 10.0, width=32), min_size=1, max_size=6),
    st.integers(0, 2**31),
)
def test_weights_are_shares(by: str, losses: list[float], seed: int) -> None:
    gradients = torch.randn(len(losses), 2, 3, generator=torch.Generator().manual_seed(seed))
    weights = task_weights(by, torch.tensor(losses), gradients)
    assert weights is not None
    if weights.any():
        assert (weights >= 0).all() and float(weights.sum()) == pytest.approx(1.0, abs=1e-5)
        if by == "loss":
            assert weights.argmax() == torch.tensor(losses).argmax() or losses.count(max(losses)) > 1


def test_the_loss_weighted_gradient(backbone: CausalBackbone) -> None:  # noqa: F811
    pretraining_task = with_method(task_of("first-order"), task_weights="loss")
    learner = make_learner(pretraining_task)
    prompt, episode = backbone.embedding[20:23].clone(), learner.draw(1)
    plain, records = make_learner(task_of("first-order")).gradient({"prompt": prompt}, episode, objective_of(backbone))
    weighted, _ = learner.gradient({"prompt": prompt}, episode, objective_of(backbone))
    losses = torch.tensor([record["query"] for record in records])
    singles = []
    for index in range(len(episode.tasks)):
        alone = replace(
            episode,
            tasks=[episode.tasks[index]],
            support=[episode.support[index]],
            query=[episode.query[index]],
            support_labels=[episode.support_labels[index]],
            query_labels=[episode.query_labels[index]],
        )
        singles.append(
            make_learner(task_of("first-order")).gradient({"prompt": prompt}, alone, objective_of(backbone))[0][
                "prompt"
            ]
        )
    stacked = torch.stack(singles)
    torch.testing.assert_close(plain["prompt"], stacked.mean(0), rtol=1e-4, atol=1e-5)
    expected = (losses / losses.sum())[:, None, None] * stacked
    torch.testing.assert_close(weighted["prompt"], expected.sum(0), rtol=1e-4, atol=1e-5)


def test_a_pooled_share_of_one_is_the_support_gradient_at_the_start(
    backbone: CausalBackbone,  # noqa: F811
    plain_loss: Any,  # noqa: F811
) -> None:
    pretraining_task = with_method(task_of("first-order"), pooled_weight=1.0)
    learner, scorer = make_learner(pretraining_task), objective_of(backbone)
    prompt, episode = backbone.embedding[20:23].clone(), learner.draw(3)
    gradients, _ = learner.gradient({"prompt": prompt}, episode, scorer)
    rows = [row for part in episode.support for row in part]
    labels = [label for part in episode.support_labels for label in part]
    torch.testing.assert_close(
        gradients["prompt"], gradient_of(plain_loss, prompt, rows, labels)[1], rtol=1e-4, atol=1e-5
    )
    plain, _ = make_learner(task_of("first-order")).gradient({"prompt": prompt}, episode, objective_of(backbone))
    half, _ = make_learner(with_method(pretraining_task, pooled_weight=0.5)).gradient(
        {"prompt": prompt}, episode, objective_of(backbone)
    )
    torch.testing.assert_close(half["prompt"], (plain["prompt"] + gradients["prompt"]) / 2)
    # It costs nothing: the support gradient is known anyway.
    assert scorer.row_passes == 3 * (4 + 6)


# --------------------------------------------------------------------------------------------- loop


class Memory(ArtifactWriter):
    """Nothing on disk."""

    def __init__(self) -> None:
        self.kept: Any = None

    def metric(self, record: dict[str, Any]) -> None: ...

    def save_checkpoint(self, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
        self.kept = {name: value.clone() for name, value in tensors.items()}, meta

    def load_checkpoint(self) -> Any:
        return self.kept


def learn(backbone: CausalBackbone, pretraining_task: PretrainingTask, record: Memory, stop: int | None = None) -> Any:  # noqa: F811
    seen: dict[int, torch.Tensor] = {}

    def on_step(done: int) -> None:
        # Passes within a step say the same number again.
        if record.kept is not None and record.kept[1]["step"] == done:
            seen[done] = record.kept[0]["prompt"]
        if done == stop:
            raise Cancelled

    start, pattern = backbone.embedding[20:23].clone(), backbone.pattern(LABELS, "test")
    source, callbacks = PretrainingTexts(TEXTS, pattern), TrainingCallbacks(record.metric, on_step, on_step, record)
    learner = make_learner(pretraining_task)
    outcome = pretrain(learner, pretraining_task, start, backbone=backbone, source=source, callbacks=callbacks)
    return outcome.learned["prompt"], list(seen.values())


@pytest.mark.parametrize("name", ["ppt", "first-order"])
def test_the_mean_over_late_prompts(name: str, backbone: CausalBackbone) -> None:  # noqa: F811
    every_step = CONFIG.model_copy(update={"checkpoint_every": 1})
    last, seen = learn(backbone, task_of(name, every_step), Memory())
    assert torch.equal(seen[-1], last) and len(seen) == 6
    averaged = with_method(task_of(name, every_step), average_last=0.5)
    mean, _ = learn(backbone, averaged, Memory())
    torch.testing.assert_close(mean, torch.stack(seen[3:]).mean(0))
    shared = task_of(name, every_step.model_copy(update={"average_last": 0.5}))
    assert torch.equal(learn(backbone, shared, Memory())[0], mean), "the shared setting means the same"
    assert torch.equal(learn(backbone, with_method(shared, average_last=0.0), Memory())[0], last)
    # Stopped within the averaged steps and gone on, the same bits.
    record = Memory()
    with pytest.raises(Cancelled):
        learn(backbone, averaged, record, stop=5)
    again, _ = learn(backbone, averaged, record)
    assert torch.equal(again, mean)


# ------------------------------------------------------------------------------------------- tuning


def study(**method: Any) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "name": "s",
            "texts": {"file": "x.csv"},
            "clusterings": [{"name": "k", "algorithm": "kmeans"}],
            "auxiliary_tasks": {"labels": {"a": "a", "b": "b"}},
            "methods": [{"name": "M", **method}],
            "pretraining": {"steps": 10, "meta_batch_size": 2, "support_size": 4, "query_size": 4},
            "evaluation": {"tasks": ["trec"], "steps": 10, "batch_size": 16, "curve_steps": [0, 5]},
        }
    )


def test_extra_tuning_spends_the_pretraining_rows() -> None:
    config = study(kind="pt", extra_tuning=True)
    assert budget(config.pretraining) == 160
    tuned = tuning_of(config.methods[0], config)
    assert tuned.steps == 10 + 160 // 16
    assert tuned.scored_steps == [0, 5, 10, 20]
    # A step holds all rows of a task that has fewer: two classes at one shot, then at four.
    few = config.at_shots(1)
    assert tuning_of(config.methods[0], few, classes=2).steps == 10 + 160 // 2
    assert tuning_of(config.methods[0], config.at_shots(4), classes=2).steps == 10 + 160 // 8
    assert tuning_of(config.methods[0], config.at_shots(16), classes=2).steps == 10 + 160 // 16
    assert tuning_of(MethodConfig(name="PT", kind="pt"), config) == config.evaluation


def test_a_methods_own_tuning() -> None:
    config = study(kind="ppt", tuning={"learning_rates": [0.5], "proximal": 3.0})
    tuned = tuning_of(config.methods[0], config)
    assert (tuned.learning_rates, tuned.proximal, tuned.steps) == ([0.5], 3.0, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "ppt", "extra_tuning": True}, "extra_tuning` belongs to pt"),
        ({"kind": "pt", "average_last": 0.5}, "average_last` belongs to ppt and metapt"),
        ({"kind": "ppt", "pooled_weight": 0.5}, "pooled_weight` belongs to maml"),
        (
            {"kind": "metapt", "clustering": "k", "learner": "reptile", "task_weights": "loss"},
            "task_weights` belongs to maml, not to reptile",
        ),
    ],
)
def test_settings_that_do_not_fit_a_kind(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study(**settings)
