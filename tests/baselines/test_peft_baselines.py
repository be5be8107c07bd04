"""PEFT's methods in our loop, against PEFT's own models as a user makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import tiny
import torch
import torch.nn.functional as F
from small_inputs import inputs_of
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from metapt_explore.baselines import cpt, model_tuning, peft_prompts
from metapt_explore.baselines.adapters import add_factors, ia3
from metapt_explore.baselines.in_context import in_context
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.baselines.model_tuning import Trained
from metapt_explore.baselines.registry import check_baselines
from metapt_explore.baselines.zero_shot import zero_shot
from metapt_explore.config import StudyConfig, parse
from metapt_explore.cost.baselines import baseline_tokens
from metapt_explore.errors import UserError
from metapt_explore.models.backbone import Backbone

RUN: dict[str, Callable[[BaselineInputs], BaselineOutcome]] = {
    "ia3": ia3,
    "prompt_tuning": peft_prompts.prompt_tuning,
    "p_tuning": peft_prompts.p_tuning,
    "prefix_tuning": peft_prompts.prefix_tuning,
    "cpt": cpt.cpt,
}
SMALL: dict[str, dict[str, Any]] = {
    "ia3": {},
    "prompt_tuning": {"init_text": "this is {labels} :"},
    "p_tuning": {"prompt_tokens": 4, "network_width": 16},
    "prefix_tuning": {"prompt_tokens": 4},
    "cpt": {"max_prompt_tokens": 40, "shots_per_class": 2, "separator": " and "},
}
RATES = {"ia3": 0.3, "prompt_tuning": 0.3, "p_tuning": 0.02, "prefix_tuning": 0.1, "cpt": 0.1}


def plain_peft(world: Path, config: Any) -> Any:
    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager", dtype=torch.float32)
    return peft.get_peft_model(model, config)


def ours(
    inputs: BaselineInputs, kind: str, placement: Any = None, prepare: Any = None
) -> tuple[Backbone, Trained, float]:
    """Our copy of the model, what is trained of it, and the loss of the first batch of data seed 1."""
    backbone = model_tuning.own_backbone(inputs, placement)
    trained = (prepare or peft_prompts.prompt_of(kind))(backbone, inputs)(1)
    pattern = backbone.pattern(inputs.task, "test", whole_vocabulary=inputs.whole_vocabulary)
    loss = model_tuning.add_gradient(backbone, pattern, inputs.train[1], rows=range(8), trained=trained)
    return backbone, trained, loss


def rows_and_words(backbone: Backbone, inputs: BaselineInputs) -> tuple[list[list[int]], list[int]]:
    pattern = backbone.pattern(inputs.task, "test")
    return [ids for ids, _ in backbone.layout.rows(inputs.train[1].texts, pattern)], list(pattern.words)


def peft_loss(model: Any, rows: list[list[int]], words: list[int], labels: list[int]) -> torch.Tensor:
    logits = [model(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits for ids in rows]
    return F.cross_entropy(torch.stack([each[0, -1, words] for each in logits]), torch.tensor(labels))


@pytest.mark.parametrize("kind", ["prompt_tuning", "p_tuning", "prefix_tuning"])
def test_prompts_are_those_of_peft(kind: str, world: Path) -> None:
    """Same trained numbers, same loss, same gradient as PEFT's model with the same start."""
    inputs = inputs_of(world, kind, **SMALL[kind])
    config = {
        "prompt_tuning": lambda: peft.PromptTuningConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=6,
            prompt_tuning_init="TEXT",
            prompt_tuning_init_text="this is negative, positive :",
            tokenizer_name_or_path=str(world / "lm"),
        ),
        "p_tuning": lambda: peft.PromptEncoderConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=4, encoder_hidden_size=16
        ),
        "prefix_tuning": lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    }[kind]()
    model = plain_peft(world, config)
    backbone, trained, loss = ours(inputs, kind, "deep" if kind == "prefix_tuning" else None)
    assert trained.weights.size == model.get_nb_trainable_parameters()[0]
    module = model.prompt_encoder["default"]
    if kind == "prompt_tuning":  # nothing is drawn
        torch.testing.assert_close(module.embedding.weight.detach(), trained.weights.parameters[0].detach())
    with torch.no_grad():
        for theirs, own in zip(module.parameters(), trained.weights.parameters, strict=True):
            theirs.copy_(own)
    rows, words = rows_and_words(backbone, inputs)
    reference = peft_loss(model, rows, words, inputs.train[1].labels)
    reference.backward()
    assert loss == pytest.approx(float(reference.detach()), rel=1e-4)
    for theirs, own in zip(module.parameters(), trained.weights.parameters, strict=True):
        assert theirs.grad is not None and own.grad is not None and theirs.grad.abs().sum() > 0
        torch.testing.assert_close(own.grad, theirs.grad, atol=1e-5, rtol=1e-3)


def test_factors_are_those_of_peft(world: Path) -> None:
    inputs = inputs_of(world, "ia3")
    model = plain_peft(world, peft.IA3Config(task_type="CAUSAL_LM"))
    backbone = model_tuning.own_backbone(inputs)
    factors = add_factors(backbone.model, inputs)
    assert sum(each.numel() for each in factors) == model.get_nb_trainable_parameters()[0]
    added = {name: each for name, each in backbone.model.named_parameters() if "ia3_" in name}
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, theirs in model.named_parameters():
            if "ia3_" in name:
                added[name.removeprefix("base_model.model.")].copy_(0.5 + torch.rand(theirs.shape, generator=generator))
                theirs.copy_(added[name.removeprefix("base_model.model.")])
    rows, words = rows_and_words(backbone, inputs)
    pattern = backbone.pattern(inputs.task, "test")
    loss = model_tuning.add_gradient(backbone, pattern, inputs.train[1], rows=range(8))
    reference = peft_loss(model, rows, words, inputs.train[1].labels)
    assert loss == pytest.approx(float(reference.detach()), rel=1e-4)


def test_cpt_is_that_of_peft(world: Path) -> None:
    """Loss and gradient of a batch, where a row is read over the whole vocabulary as PEFT reads it."""
    inputs = inputs_of(world, "cpt", **SMALL["cpt"])
    whole = inputs.study.verbalizer.model_copy(update={"decode": "whole_vocabulary"})
    inputs = replace(inputs, study=inputs.study.model_copy(update={"verbalizer": whole}))
    backbone, trained, _ = ours(inputs, "cpt", prepare=cpt.prepare)
    pattern = backbone.pattern(inputs.task, "test")
    context = cpt.context_of(backbone, pattern, inputs, first=(), seed=1)
    options = inputs.options
    config = peft.CPTConfig(
        task_type="CAUSAL_LM",
        cpt_token_ids=context.tokens,
        cpt_mask=[1] * len(context.tokens),
        cpt_tokens_type_mask=context.types,
        opt_weighted_loss_type="decay",
        opt_loss_decay_factor=options["decay"],
        opt_projection_epsilon=options["text_epsilon"],
        opt_projection_format_epsilon=options["template_epsilon"],
    )
    model = plain_peft(world, config)
    (theirs,) = [each for each in model.parameters() if each.requires_grad]
    (own,) = trained.weights.parameters
    assert theirs.shape == own.shape
    with torch.no_grad():  # some moves are longer than allowed, some shorter
        own.copy_(torch.randn(own.shape, generator=torch.Generator().manual_seed(0)) * 0.004)
        theirs.copy_(own)
    own.grad = None
    train = inputs.train[1]
    loss = model_tuning.add_gradient(backbone, pattern_of(backbone, inputs), train, rows=range(8), trained=trained)
    rows, words = rows_and_words(backbone, inputs)
    total = torch.zeros(())
    for ids, label in zip(rows, train.labels, strict=True):
        written = torch.tensor([[*ids, words[label]]])
        types = torch.tensor([[1] * len(ids) + [4]])
        total = total + model(input_ids=written, labels=written.clone(), input_type_mask=types).loss / len(rows)
    total.backward()
    assert loss == pytest.approx(float(total.detach()), rel=1e-4)
    assert own.grad is not None and theirs.grad is not None
    torch.testing.assert_close(own.grad, theirs.grad, atol=1e-5, rtol=1e-3)
    still = torch.tensor([of_type % 4 == 0 for of_type in context.types])
    assert still.sum() > 4 and own.grad[still].abs().sum() == 0 and own.grad[~still].abs().sum() > 0


def pattern_of(backbone: Backbone, inputs: BaselineInputs) -> Any:
    return backbone.pattern(inputs.task, "test", whole_vocabulary=inputs.whole_vocabulary)


def test_cpt_begins_as_examples_in_context_and_stays_near(world: Path) -> None:
    inputs = inputs_of(world, "cpt", learning_rates=[10.0], steps=2, batch_size=4, **SMALL["cpt"])
    outcome = cpt.cpt(inputs)
    shown = {**inputs.options, "calibration": "none", "orders": 1}
    reference = in_context(replace(inputs, options=shown))
    for seed, scored in outcome.seeds.items():
        assert scored.start is not None
        torch.testing.assert_close(scored.start, reference.seeds[seed].scores, atol=2e-4, rtol=1e-3)
    assert (
        len({tuple(scored.start.flatten().tolist()) for scored in outcome.seeds.values() if scored.start is not None})
        == 2
    )
    backbone = model_tuning.own_backbone(inputs)
    trained = cpt.prepare(backbone, inputs)(1)
    assert trained.prompt is not None
    before = trained.prompt()
    with torch.no_grad():
        trained.weights.parameters[0].fill_(5.0)
    moved = (trained.prompt() - before).norm(dim=2)[0]
    # PEFT's epsilons are for 2,048 numbers; labels and separators have one of 1e-10.
    longest = {1: 0.1, 2: 0.2, 3: 0.1, 0: 1e-10}
    context = cpt.context_of(backbone, pattern_of(backbone, inputs), inputs, first=(), seed=1)
    expected = torch.tensor([longest[of_type % 4] * (32 / 2048) ** 0.5 for of_type in context.types])
    torch.testing.assert_close(moved, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        *[(kind, "gpt2") for kind in RUN],
        *[(kind, model) for kind in ("ia3", "prompt_tuning", "p_tuning") for model in ("t5", "bert")],
    ],
)
def test_training_learns_in_every_family(kind: str, model: str, world: Path, tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / model, model)
    far = {"text_epsilon": 50.0, "template_epsilon": 50.0} if kind == "cpt" else {}
    settings = {**SMALL[kind], **far, "learning_rates": [RATES[kind]]}
    inputs = inputs_of(world, kind, folder, steps=12, batch_size=8, **settings)
    inputs = replace(inputs, train={1: inputs.train[1]}, dev={1: inputs.dev[1]})
    outcome = RUN[kind](inputs)
    curve = [point["train_loss"] for point in outcome.curves]
    assert curve[-1] < 0.95 * curve[1]
    context = kind == "cpt"
    assert outcome.spent.row_passes == 12 * (8 + context) and outcome.spent.trained_parameters > 0
    # Test before and after; dev at 0, 2, 4 and 12, and as chosen.
    assert outcome.spent.forward_rows == 2 * 12 + 5 * 8
    if kind == "ia3":
        without = zero_shot(replace(inputs, options={"calibration": "none"}))
        assert outcome.seeds[1].start is not None
        torch.testing.assert_close(outcome.seeds[1].start, without.seeds[1].scores, atol=2e-4, rtol=1e-3)


def test_a_prompt_of_a_masked_model_stands_where_peft_puts_it(world: Path, tmp_path: Path) -> None:
    """PEFT has no class for masked models; its recipe by hand: vectors, then the whole row."""
    folder = tiny.make_language_model(tmp_path / "bert", "bert")
    inputs = inputs_of(world, "p_tuning", folder, **SMALL["p_tuning"])
    backbone, trained, loss = ours(inputs, "p_tuning")
    plain = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager")
    pattern, train = backbone.pattern(inputs.task, "test"), inputs.train[1]
    with torch.no_grad():
        prompt, scores = trained.prompt_for(backbone), []
        for ids, position in backbone.layout.rows(train.texts, pattern):
            whole = torch.cat([prompt, plain.get_input_embeddings()(torch.tensor([ids]))], dim=1)
            scores.append(plain(inputs_embeds=whole).logits[0, prompt.shape[1] + position, list(pattern.words)])
    assert loss == pytest.approx(float(F.cross_entropy(torch.stack(scores), torch.tensor(train.labels))), rel=1e-4)


def test_an_initialisation_seed_draws_another_prompt(world: Path) -> None:
    def drawn(kind: str, seed: int) -> torch.Tensor:
        inputs = replace(inputs_of(world, kind, **SMALL[kind]), init_seed=seed)
        backbone = model_tuning.own_backbone(inputs, "deep" if kind == "prefix_tuning" else None)
        module = peft_prompts.make_module(kind, backbone, inputs)
        return torch.cat([each.detach().flatten() for each in module.parameters()])

    before = torch.random.get_rng_state()
    for kind in ("p_tuning", "prefix_tuning"):
        assert torch.equal(drawn(kind, 0), drawn(kind, 0)) and not torch.equal(drawn(kind, 0), drawn(kind, 1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_what_cannot_work_is_refused_early(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = lambda entry: parse(StudyConfig, tiny.study_tree(world, baselines=[entry]), "test")  # noqa: E731
    for kind in ("prefix_tuning", "cpt"):
        with pytest.raises(UserError, match=rf"'{kind}' needs a decoder-only model"):
            check_baselines(of(kind), "masked")
    with pytest.raises(UserError, match="`feedforward_layers` must stand among"):
        ia3(inputs_of(world, "ia3", scaled_layers=["v_proj"], feedforward_layers=["down_proj"]))
    with pytest.raises(UserError, match=r"Name the layers in its `scaled_layers`, such as \[down_proj"):
        ia3(inputs_of(world, "ia3", scaled_layers=["query"]))
    with pytest.raises(UserError, match="longer than max_prompt_tokens"):
        cpt.cpt(inputs_of(world, "cpt", max_prompt_tokens=4))
    monkeypatch.setattr("metapt_explore.baselines.registry.find_spec", lambda name: None)
    for kind in RUN:
        with pytest.raises(UserError, match=f"'{kind}' needs PEFT: pip install"):
            check_baselines(of(kind), "causal")


def test_examples_in_context_are_counted(world: Path) -> None:
    """The context is run at every step, with its gradient, and whenever rows are scored."""
    study = parse(StudyConfig, tiny.study_tree(world, baselines=["lora", "cpt"]), "test")
    task = inputs_of(world, "lora").task
    plain, with_context = (
        baseline_tokens(study, study.baseline(name), task, text_tokens=10, init_seed=0) for name in ("lora", "cpt")
    )
    assert with_context > 2 * plain
