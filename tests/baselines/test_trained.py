"""Baselines that train or show examples, against the unmodified model and formulas written out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import torch.nn.functional as F
from kept import KeptInMemory, StopAt
from transformers import AutoModelForCausalLM

from metapt_explore.baselines import model_tuning, setfit
from metapt_explore.baselines.fine_tuning import Weights, train_best
from metapt_explore.baselines.full import all_weights, full
from metapt_explore.baselines.in_context import behind, demonstration_tokens, draw, in_context, prefix_view
from metapt_explore.baselines.kept_seeds import KeptSeeds
from metapt_explore.baselines.lora import add_matrices, lora
from metapt_explore.baselines.setting import Setting
from metapt_explore.baselines.zero_shot import zero_shot
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.config import EncoderConfig, StudyConfig, TaskConfig, load_task, parse
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.fewshot.scoring import Split
from metapt_explore.prompts.models import load_backbone
from metapt_explore.runs.baseline_stage import baseline_options
from metapt_explore.runs.cost import count
from metapt_explore.runs.progress import Progress
from metapt_explore.runs.queue import cancel
from metapt_explore.runs.study import Study
from metapt_explore.runs.work import estimate
from metapt_explore.runs.workspace import Workspace


def split(offset: int, rows: int) -> Split:
    texts = [
        f"the {tiny.FEELINGS[('negative', 'positive')[row % 2]][(row + offset) % 5]} w{(7 * row + offset) % 40} "
        + " ".join(["of"] * ((row + offset) % 4))
        for row in range(rows)
    ]
    return Split(texts, [row % 2 for row in range(rows)])


def setting_of(world: Path, kind: str, model: Path | None = None, **options: Any) -> Setting:
    changes = {"model": {"name": str(model)}} if model else {}
    tree = tiny.study_tree(world, baselines=[{"name": "b", "kind": kind, **options}], **changes)
    study = parse(StudyConfig, tree, "test")
    task: TaskConfig = load_task(world / "mood.yaml")
    backbone = load_backbone(study.model) if kind != "setfit" else None
    train, dev = {s: split(s, 8) for s in (1, 2)}, {s: split(s + 100, 8) for s in (1, 2)}
    return Setting(
        study,
        task,
        baseline_options(study, study.baseline("b")),
        0,
        train,
        dev,
        split(500, 12).texts,
        lambda: backbone,  # type: ignore[arg-type, return-value]
    )


def plain_scores(model: Any, rows: list[list[int]], words: list[int]) -> torch.Tensor:
    """Label words' logits behind each row by the unmodified model, one row at a time."""
    return torch.stack([model(input_ids=torch.tensor([ids])).logits[0, -1, words] for ids in rows])


# ------------------------------------------------------------------------------- in-context learning


def test_examples_in_front_equal_the_model_on_the_whole_text(world: Path) -> None:
    setting = setting_of(world, "in_context", max_prompt_tokens=60, separator=" w1 w2 ")
    prefix = prefix_view(setting.backbone())
    assert setting.backbone().placement == "suffix" and prefix.placement == "prefix"
    reader = prefix.reader(setting.task, "test")
    shown = demonstration_tokens(prefix, reader, setting, setting.train[1])
    rows = draw(shown, setting.train[1].labels, setting, 1, 0)
    prompt = [token for row in rows for token in shown[row]]
    scores = behind(prefix, reader, prompt, setting, setting.test)

    written = "".join(
        f"{setting.train[1].texts[row]} Sentiment : {('negative', 'positive')[setting.train[1].labels[row]]} w1 w2 "
        for row in rows
    )
    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager")
    encode = prefix.layout.encode
    whole = [encode(f"{written}{text} Sentiment :") for text in setting.test]
    with torch.no_grad():
        expected = plain_scores(model, whole, list(reader.words))
    torch.testing.assert_close(scores, expected, atol=2e-4, rtol=1e-4)


def test_as_many_balanced_examples_as_fit(world: Path) -> None:
    setting = setting_of(world, "in_context", max_prompt_tokens=60)
    tokens, labels = [[0] * 10] * 9, [0, 1, 0, 1, 0, 1, 0, 1, 1]
    rows = draw(tokens, labels, setting, 1, 0)
    assert sorted(labels[row] for row in rows) == [0, 0, 0, 1, 1, 1]
    assert rows == draw(tokens, labels, setting, 1, 0) != draw(tokens, labels, setting, 1, 1)
    assert rows != draw(tokens, labels, replace(setting, init_seed=1), 1, 0)
    two = replace(setting, options={**setting.options, "shots_per_class": 2})
    assert len(draw(tokens, labels, two, 1, 0)) == 4
    with pytest.raises(UserError, match="longer than max_prompt_tokens"):
        draw([[0] * 31] * 9, labels, setting, 1, 0)


def test_dev_chooses_the_order_of_examples(world: Path) -> None:
    several = in_context(setting_of(world, "in_context", max_prompt_tokens=60, orders=3))
    one = in_context(setting_of(world, "in_context", max_prompt_tokens=60))
    assert several.spent.forward_rows == 2 * (3 * 8 + 12) and one.spent.forward_rows == 2 * (8 + 12)
    assert {scored.chosen["order"] for scored in one.seeds.values()} == {0}
    for seed, scored in several.seeds.items():
        if scored.chosen["order"] == 0:
            torch.testing.assert_close(scored.scores, one.seeds[seed].scores)


def test_examples_that_the_model_cannot_hold_are_refused(world: Path) -> None:
    setting = setting_of(world, "in_context", max_prompt_tokens=500)
    setting = replace(setting, train={1: split(1, 40)}, dev={1: split(101, 4)})
    with pytest.raises(UserError, match=r"more than .* holds \(128\); set max_prompt_tokens"):
        in_context(setting)


# ------------------------------------------------------------------------------------ LoRA and full


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("model", ["llama", "gpt2", "t5", "bert"])
def test_step_0_is_zero_shot_and_training_learns(kind: str, model: str, world: Path, tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / model, model)
    rate = 0.03 if kind == "lora" else 0.003
    setting = setting_of(world, kind, folder, learning_rates=[rate], steps=12, batch_size=8)
    outcome = (lora if kind == "lora" else full)(setting)
    unprompted = zero_shot(replace(setting, options={"calibration": "none"}))
    for seed, scored in outcome.seeds.items():
        assert scored.start is not None
        torch.testing.assert_close(scored.start, unprompted.seeds[seed].scores, atol=2e-4, rtol=1e-3)
        own = [record for record in outcome.curves if record["data_seed"] == seed]
        assert [record["step"] for record in own] == [0, 2, 4, 12]
        assert own[-1]["train_loss"] < 0.7 * own[1]["train_loss"]
        best = min(own, key=lambda record: record["dev_loss"])
        assert scored.chosen == {"learning_rate": rate, "step": best["step"]}
    assert outcome.spent.row_passes == 2 * 12 * 8
    loaded = setting.backbone().model
    everything = sum(weight.numel() for weight in loaded.parameters())
    trained = outcome.spent.trained_parameters
    assert trained == everything if kind == "full" else 0 < trained < everything


def test_one_step_of_full_fine_tuning_by_hand(world: Path) -> None:
    """AdamW's first step is the sign of the gradient, nearly: g / (|g| + eps), after clipping to a norm of 1."""
    setting = setting_of(world, "full", learning_rates=[0.01], steps=1, batch_size=8)
    setting = replace(setting, train={1: setting.train[1]}, dev={1: setting.train[1]})
    outcome = full(setting)
    assert outcome.seeds[1].chosen["step"] == 1

    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager", dtype=torch.float32)
    layout = setting.backbone().layout
    words = list(setting.backbone().reader(setting.task, "test").words)
    rows = [layout.encode(f"{text} Sentiment :") for text in setting.train[1].texts]
    loss = F.cross_entropy(plain_scores(model, rows, words), torch.tensor(setting.train[1].labels))
    loss.backward()
    assert outcome.curves[1]["train_loss"] == pytest.approx(float(loss.detach()), rel=1e-4)
    weights = [weight for weight in model.parameters() if weight.grad is not None]
    norm = torch.stack([weight.grad.norm() for weight in weights]).norm()  # type: ignore[union-attr]
    with torch.no_grad():
        for weight in weights:
            assert weight.grad is not None
            gradient = weight.grad * min(1.0, float(1.0 / (norm + 1e-6)))
            weight -= 0.01 * gradient / (gradient.abs() + 1e-8)
        expected = plain_scores(model, [layout.encode(f"{text} Sentiment :") for text in setting.test], words)
    torch.testing.assert_close(outcome.seeds[1].scores, expected, atol=2e-3, rtol=1e-2)


def test_lora_adds_the_scaled_product_of_its_matrices(world: Path) -> None:
    """After a step the layers behave like frozen ones whose weight has grown by alpha / rank · B A."""
    setting = setting_of(world, "lora", learning_rates=[0.05], steps=2, rank=2, alpha=6.0, targets=["q_proj", "v_proj"])
    backbone = model_tuning.own_backbone(setting)
    reader = backbone.reader(setting.task, "test")
    matrices = add_matrices(backbone.model, setting)
    # Two layers, two targets, two matrices each: 2 × 32 and 2 × 32 for queries, 2 × 32 and 2 × 16 for values.
    assert [len(matrices), sum(each.numel() for each in matrices)] == [8, 2 * (4 * 32 + 2 * 32 + 2 * 16)]
    assert [weight.requires_grad for weight in backbone.model.parameters()].count(True) == 8
    weights = Weights(matrices)
    optimiser = torch.optim.AdamW(weights.masters, lr=0.05)
    for _ in range(2):
        model_tuning.add_gradient(backbone, reader, setting.train[1], range(8))
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
        rows = [backbone.layout.encode(f"{text} Sentiment :") for text in setting.test]
        expected = plain_scores(plain, rows, list(reader.words))
    scores = model_tuning.unprompted(backbone, reader, setting.test)
    torch.testing.assert_close(scores, expected, atol=2e-4, rtol=1e-3)


def test_an_initialisation_seed_draws_other_matrices(world: Path) -> None:
    def drawn(seed: int) -> torch.Tensor:
        setting = replace(setting_of(world, "lora"), init_seed=seed)
        return torch.cat([each.flatten() for each in add_matrices(model_tuning.own_backbone(setting).model, setting)])

    assert torch.equal(drawn(0), drawn(0)) and not torch.equal(drawn(0), drawn(1))


def test_layers_that_do_not_exist_are_named(world: Path) -> None:
    setting = setting_of(world, "lora", targets=["query"])
    with pytest.raises(UserError, match=r"Name the layers in its `targets`, such as \[down_proj"):
        lora(setting)


def test_small_steps_are_not_lost_in_bfloat16() -> None:
    weight = torch.nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weights = Weights([weight])
    for _ in range(100):
        weight.grad = torch.ones_like(weight)
        weights.take_gradients()
        torch.optim.SGD(weights.masters, lr=1e-3).step()
        weights.publish()
    # Half of 1/256 is lost in bfloat16 each time; clipping makes a step of 1e-3 · 1/2.
    assert weight.detach().tolist() == pytest.approx([0.95] * 4, abs=0.004)
    weights.reset()
    assert weight.detach().tolist() == [1.0] * 4 == weights.masters[0].tolist()


def test_the_best_weights_on_dev_are_put_back() -> None:
    """A parabola whose dev minimum lies on the way: rates and steps are compared, the first of equals counts."""
    weight = torch.nn.Parameter(torch.zeros(1))

    def gradient(step: int) -> float:
        weight.grad = torch.tensor([-1.0])
        return 1.0

    def score_dev() -> dict[str, float]:
        return {"accuracy": 0.5, "loss": float((weight.detach() - 0.2).abs())}

    best, curves = train_best(Weights([weight]), [0.1, 0.2], [0, 1, 2, 3], gradient, score_dev, "loss", "here")
    assert (best["learning_rate"], best["step"]) == (0.2, 1) or (best["learning_rate"], best["step"]) == (0.1, 2)
    assert float(weight.detach()) == pytest.approx(0.2, abs=1e-5) and len(curves) == 8
    best, _ = train_best(Weights([weight]), [0.1], [0, 1], gradient, score_dev, "accuracy", "here")
    assert best["step"] == 0, "the weights began at the minimum"

    with pytest.raises(UserError, match=r"not a number any more at step 1 with learning rate 0\.1"):
        train_best(Weights([weight]), [0.1], [0, 1], lambda step: float("nan"), score_dev, "loss", "here")


def test_all_weights_are_those_of_the_model(world: Path) -> None:
    backbone = model_tuning.own_backbone(setting_of(world, "full"))
    assert all(weight.requires_grad for weight in all_weights(backbone.model, None))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ SetFit


def test_pair_loss_by_hand() -> None:
    first, second = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    # Cosines 0 and 1; what is wanted is 1 and 0.25.
    assert float(setfit.pair_loss(first, second, torch.tensor([1.0, 0.25]))) == pytest.approx((1 + 0.5625) / 2)


def test_pairs_are_of_the_classes_they_say() -> None:
    labels = [0, 0, 1, 1, 1, 2]
    pairs = setfit.draw_pairs(labels, 4, (0, 0), 13)
    assert len(pairs.same) == 6 * 2 * 4 and sum(pairs.same) == 24
    for a, b, same in zip(pairs.first, pairs.second, pairs.same, strict=True):
        assert same == float(labels[a] == labels[b])
        assert a != b or labels.count(labels[a]) == 1
    assert sorted(pairs.first) == sorted(list(range(6)) * 8)
    assert pairs == setfit.draw_pairs(labels, 4, (0, 0), 13) != setfit.draw_pairs(labels, 4, (0, 1), 13)


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
    loss = setfit.add_gradient(encoder, tokens, pairs, 0)
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
    assert setfit.add_gradient(encoder, tokens, pairs, 0) == pytest.approx(loss, abs=0.02)
    assert float((weight.grad - ours).norm() / ours.norm()) < 0.05


def test_setfit_learns_and_starts_from_the_encoder(world: Path) -> None:
    from metapt_explore.fewshot.linear_head import LinearHead

    setting = setting_of(world, "setfit", learning_rates=[3e-3], pairs_per_text=20, checkpoints=2)
    setting = replace(setting, train={1: setting.train[1]}, dev={1: setting.dev[1]})
    outcome = setfit.setfit(setting)
    assert [record["step"] for record in outcome.curves] == [0, 10, 20]
    assert outcome.spent.row_passes == 2 * 8 * 2 * 20
    encoder = load_encoder(setting.study.encoder)
    head = LinearHead(encoder.embed(list(setting.train[1].texts)), setting.train[1].labels, 2, 1.0, "rows")
    assert outcome.seeds[1].start is not None
    torch.testing.assert_close(outcome.seeds[1].start, head.scores(encoder.embed(list(setting.test))))
    again = setfit.setfit(setting)
    assert torch.equal(again.seeds[1].scores, outcome.seeds[1].scores), "dropout comes from the seeds"
    other = setfit.setfit(replace(setting, init_seed=5))
    assert not torch.equal(other.seeds[1].scores, outcome.seeds[1].scores) or other.curves != outcome.curves


def test_training_moves_pairs_of_one_class_together(world: Path) -> None:
    encoder = load_encoder(EncoderConfig(name=str(world / "encoder")))
    encoder.model.requires_grad_(True)
    weights = Weights([value for name, value in encoder.model.named_parameters() if "pooler" not in name])
    train = split(1, 8)
    pairs, tokens = setfit.draw_pairs(train.labels, 8, (0, 0), 1), encoder.tokens([str(text) for text in train.texts])

    def loss() -> float:
        vectors = torch.from_numpy(encoder.embed([str(text) for text in train.texts]))
        return float(setfit.pair_loss(vectors[pairs.first], vectors[pairs.second], torch.tensor(pairs.same)))

    before = loss()
    train_best(
        weights,
        [2e-3],
        [0, 30],
        lambda step: setfit.add_gradient(encoder, tokens, pairs, step),
        lambda: {"accuracy": 0.0, "loss": loss()},
        "loss",
        "here",
    )
    assert loss() < 0.5 * before


# ------------------------------------------------------------------------------------- in a study


def test_a_cancelled_run_goes_on_at_the_next_baseline(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(
        world,
        methods=[{"name": "PT", "kind": "pt"}],
        baselines=["zero_shot", {"name": "full", "kind": "full", "learning_rates": [0.001]}],
    )
    stages: list[str] = []

    def stop(state: Any) -> None:
        if state.stage.startswith("baseline full on question"):
            cancel(Workspace(tmp_path), "tiny")

    with pytest.raises(Cancelled):
        Study(tree, tmp_path, Progress(stop)).run()
    study = Study(tree, tmp_path, Progress(lambda state: stages.append(state.stage)))
    results = study.run()
    begun = [stage for stage in dict.fromkeys(stages) if stage.startswith("baseline")]
    assert begun == ["baseline full on question, initialisation seed 0"]
    assert set(results["method"]) == {"PT", "zero_shot", "full"}


@pytest.mark.parametrize("kind", ["setfit", "lora", "full", "in_context"])
def test_finished_data_seeds_are_kept(kind: str, world: Path) -> None:
    """Stopped during the second of two data seeds: the first is not trained again, and the same comes out."""
    how = {"setfit": setfit.setfit, "lora": lora, "full": full, "in_context": in_context}[kind]
    options = {"orders": 2} if kind == "in_context" else {}
    setting, counted = setting_of(world, kind, **options), StopAt(None)
    whole = how(replace(setting, on_units=counted))
    kept = KeptSeeds(KeptInMemory())
    attempt = replace(setting, keep=kept.save, restore=kept.restore)
    with pytest.raises(Cancelled):
        how(replace(attempt, on_units=StopAt(counted.calls // 2 + 1)))
    rest = StopAt(None)
    found = how(replace(attempt, on_units=rest))
    assert rest.calls == counted.calls // 2
    assert found.spent == whole.spent and list(found.seeds) == list(whole.seeds)
    pd.testing.assert_frame_equal(pd.DataFrame(found.curves), pd.DataFrame(whole.curves), check_exact=True)
    for seed, scored in whole.seeds.items():
        again = found.seeds[seed]
        assert (again.dev_accuracy, again.chosen) == (scored.dev_accuracy, scored.chosen)
        assert torch.equal(again.scores, scored.scores) and (again.start is None) == (scored.start is None)
        assert scored.start is None or torch.equal(again.start, scored.start)


def test_work_of_baselines_is_counted(world: Path) -> None:
    baselines = ["majority", "zero_shot", "setfit", {"name": "full", "kind": "full", "learning_rates": [0.1, 0.2]}]
    config = parse(StudyConfig, tiny.study_tree(world, baselines=baselines), "test")
    tasks = {task.name: task for task in map(load_task, config.evaluation.tasks)}
    works = count(config, tasks, text_tokens=10)
    # Train and dev of two seeds, and test.
    assert works["baseline/model/zero_shot/mood"].encoded == 10 * (2 * 2 * 8 + 20)
    # Two seeds, two rates, four steps of four rows forward and backward, dev at three steps; test each time.
    assert works["baseline/model/full/mood/0"].encoded == 10 * (2 * (2 * (3.5 * 16 + 24) + 20) + 20)
    assert not any(key.startswith("baseline/encoder") for key in works)
    planned = estimate(config, tasks)
    assert planned["baseline/none/majority/mood"] == 100 and planned["baseline/encoder/setfit/question/0"] > 100


def test_scores_do_not_depend_on_other_rows_of_the_test(world: Path) -> None:
    """LoRA's choice and scores of a test row are the same with fewer test rows beside it."""
    setting = setting_of(world, "lora", learning_rates=[0.01], steps=3, batch_size=4)
    whole, part = lora(setting), lora(replace(setting, test=setting.test[:5]))
    for seed in (1, 2):
        assert whole.seeds[seed].chosen == part.seeds[seed].chosen
        np.testing.assert_allclose(whole.seeds[seed].scores[:5], part.seeds[seed].scores, atol=1e-5)
