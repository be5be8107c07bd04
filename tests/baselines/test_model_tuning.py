"""LoRA and full fine-tuning, against the unmodified model and steps written out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
import torch.nn.functional as F
from small_inputs import inputs_of, plain_scores
from transformers import AutoModelForCausalLM

from metapt_explore.baselines import model_tuning
from metapt_explore.baselines.adapters import add_matrices, lora
from metapt_explore.baselines.fine_tuning import TrainedWeights
from metapt_explore.baselines.full import all_weights, full
from metapt_explore.baselines.zero_shot import unprompted, zero_shot
from metapt_explore.errors import UserError


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("model", ["llama", "gpt2", "t5", "bert"])
def test_step_0_is_zero_shot_and_training_learns(kind: str, model: str, world: Path, tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / model, model)
    rate = 0.03 if kind == "lora" else 0.003
    inputs = inputs_of(world, kind, folder, learning_rates=[rate], steps=12, batch_size=8)
    outcome = (lora if kind == "lora" else full)(inputs)
    without = zero_shot(replace(inputs, options={"calibration": "none"}))
    for seed, scored in outcome.seeds.items():
        assert scored.start is not None
        torch.testing.assert_close(scored.start, without.seeds[seed].scores, atol=2e-4, rtol=1e-3)
        own = [record for record in outcome.curves if record["data_seed"] == seed]
        assert [record["step"] for record in own] == [0, 2, 4, 12]
        assert own[-1]["train_loss"] < 0.7 * own[1]["train_loss"]
        best = min(own, key=lambda record: record["dev_loss"])
        assert scored.chosen == {"learning_rate": rate, "step": best["step"]}
    assert outcome.spent.row_passes == 2 * 12 * 8
    loaded = inputs.backbone().model
    everything = sum(weight.numel() for weight in loaded.parameters())
    trained = outcome.spent.trained_parameters
    assert trained == everything if kind == "full" else 0 < trained < everything


def test_one_step_of_full_fine_tuning_by_hand(world: Path) -> None:
    """AdamW's first step is the sign of the gradient, nearly: g / (|g| + eps), after clipping to a norm of 1."""
    inputs = inputs_of(world, "full", learning_rates=[0.01], steps=1, batch_size=8)
    inputs = replace(inputs, train={1: inputs.train[1]}, dev={1: inputs.train[1]})
    outcome = full(inputs)
    assert outcome.seeds[1].chosen["step"] == 1

    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager", dtype=torch.float32)
    layout = inputs.backbone().layout
    words = list(inputs.backbone().pattern(inputs.task, "test").words)
    rows = [layout.encode(f"{text} Sentiment :") for text in inputs.train[1].texts]
    loss = F.cross_entropy(plain_scores(model, rows, words), torch.tensor(inputs.train[1].labels))
    loss.backward()
    assert outcome.curves[1]["train_loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    weights = [weight for weight in model.parameters() if weight.grad is not None]
    norm = torch.stack([weight.grad.norm() for weight in weights]).norm()  # type: ignore[union-attr]
    with torch.no_grad():
        for weight in weights:
            assert weight.grad is not None
            gradient = weight.grad * min(1.0, float(1.0 / (norm + 1e-6)))
            weight -= 0.01 * gradient / (gradient.abs() + 1e-8)
        expected = plain_scores(model, [layout.encode(f"{text} Sentiment :") for text in inputs.test], words)
    torch.testing.assert_close(outcome.seeds[1].scores, expected, atol=2e-3, rtol=1e-2)


def test_lora_adds_the_scaled_product_of_its_matrices(world: Path) -> None:
    """After a step the layers behave like frozen ones whose weight has grown by alpha / rank · B A."""
    inputs = inputs_of(world, "lora", learning_rates=[0.05], steps=2, rank=2, alpha=6.0, targets=["q_proj", "v_proj"])
    backbone = model_tuning.own_backbone(inputs)
    pattern = backbone.pattern(inputs.task, "test")
    matrices = add_matrices(backbone.model, inputs)
    # Two layers, two targets, two matrices each: 2 × 32 and 2 × 32 for queries, 2 × 32 and 2 × 16 for values.
    assert [len(matrices), sum(each.numel() for each in matrices)] == [8, 2 * (4 * 32 + 2 * 32 + 2 * 16)]
    assert [weight.requires_grad for weight in backbone.model.parameters()].count(True) == 8
    weights = TrainedWeights(matrices)
    optimiser = torch.optim.AdamW(weights.masters, lr=0.05)
    for _ in range(2):
        model_tuning.add_gradient(backbone, pattern, inputs.train[1], rows=range(8))
        weights.take_gradients()
        optimiser.step()
        weights.publish()

    plain = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager", dtype=torch.float32)
    added = dict(backbone.model.named_parameters())
    with torch.no_grad():
        for layer in range(2):
            for name in ("q_proj", "v_proj"):
                start = f"model.layers.{layer}.self_attn.{name}"
                b, a = added[f"{start}.lora_B.default.weight"], added[f"{start}.lora_A.default.weight"]
                assert b.abs().sum() > 0
                plain.get_submodule(start).weight += 3.0 * b @ a
        rows = [backbone.layout.encode(f"{text} Sentiment :") for text in inputs.test]
        expected = plain_scores(plain, rows, list(pattern.words))
    scores = unprompted(backbone, pattern, inputs.test)
    torch.testing.assert_close(scores, expected, atol=2e-4, rtol=1e-3)


def test_an_initialisation_seed_draws_other_matrices(world: Path) -> None:
    def drawn(seed: int) -> torch.Tensor:
        inputs = replace(inputs_of(world, "lora"), init_seed=seed)
        return torch.cat([each.flatten() for each in add_matrices(model_tuning.own_backbone(inputs).model, inputs)])

    assert torch.equal(drawn(0), drawn(0)) and not torch.equal(drawn(0), drawn(1))


def test_layers_that_are_read_beside_the_model_are_refused(world: Path) -> None:
    for target in ("lm_head", "embed_tokens"):
        with pytest.raises(UserError, match=r"output layer cannot be among its `targets`.*down_proj"):
            lora(inputs_of(world, "lora", targets=["q_proj", target]))


def test_texts_without_content_are_counted(world: Path) -> None:
    inputs = inputs_of(world, "lora", learning_rates=[0.01], steps=2, batch_size=4)
    free = inputs.study.verbalizer.model_copy(update={"calibration": "content_free"})
    study = inputs.study.model_copy(update={"verbalizer": free})
    plain, calibrated = lora(inputs), lora(replace(inputs, study=study))
    # Of two data seeds dev at 0, 2 and as chosen, and test; and test once at the start.
    more = (2 * 4 + 1) * len(free.content_free)
    assert calibrated.spent.forward_rows == plain.spent.forward_rows + more


def test_layers_that_do_not_exist_are_named(world: Path) -> None:
    inputs = inputs_of(world, "lora", targets=["query"])
    with pytest.raises(UserError, match=r"Name the layers in its `targets`, such as \[down_proj"):
        lora(inputs)


def test_all_weights_are_those_of_the_model(world: Path) -> None:
    backbone = model_tuning.own_backbone(inputs_of(world, "full"))
    assert all(weight.requires_grad for weight in all_weights(backbone.model, None))  # type: ignore[arg-type]


def test_scores_do_not_depend_on_other_rows_of_the_test(world: Path) -> None:
    """LoRA's choice and scores of a test row are the same with fewer test rows beside it."""
    inputs = inputs_of(world, "lora", learning_rates=[0.01], steps=3, batch_size=4)
    whole, part = lora(inputs), lora(replace(inputs, test=inputs.test[:5]))
    for seed in (1, 2):
        assert whole.seeds[seed].chosen == part.seeds[seed].chosen
        np.testing.assert_allclose(whole.seeds[seed].scores[:5], part.seeds[seed].scores, atol=1e-5)


def test_rates_of_lora_drop_out_where_prompts_do(world: Path) -> None:
    """Those that stay train as they would without it; full fine-tuning keeps them all."""
    inputs = inputs_of(world, "lora", learning_rates=[1e-4, 0.01, 0.03], steps=6, batch_size=4)
    evaluation = inputs.study.evaluation.model_copy(update={"steps": 6, "halving_steps": [2, 4]})
    study = inputs.study.model_copy(update={"evaluation": evaluation})
    options = study.baseline("b").options_in(evaluation)
    halved, whole = lora(replace(inputs, study=study, options=options)), lora(inputs)
    # Three rates for two steps, two for two, one for two; eight dev rows at 0, then of as many rates, at
    # 2, 4 and 6, and as chosen.
    assert whole.spent.row_passes == 2 * 18 * 4 and halved.spent.row_passes == 2 * (6 + 4 + 2) * 4
    assert halved.spent.forward_rows == 2 * (12 + (1 + 3 + 2 + 1 + 1) * 8) + 12
    every = [{**record, "train_loss": str(record["train_loss"])} for record in whole.curves]
    for record in halved.curves:
        assert {**record, "train_loss": str(record["train_loss"])} in every
    assert len(halved.curves) == 2 * (2 + 3 + 4)
    assert "halving_steps" not in inputs_of(world, "full").study.baseline("b").options_in(evaluation)
