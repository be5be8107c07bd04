"""Deep prompts (keys and values of every layer) equal PEFT's prefix tuning, transformers' cache and their own start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from plain_reference import FAMILIES, FUSED, Case, assert_near, keys_in_front, make_backbone, make_case, unmodified

from metapt_explore.config import InitConfig
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import Batch
from metapt_explore.models.kv_cache.text import TokenRows
from metapt_explore.models.load import load_backbone
from metapt_explore.models.memory import RowMemory
from metapt_explore.prompts.health import norm_ratio
from metapt_explore.prompts.init import InitSources, initial_prompt

BackboneOf = Callable[..., CausalBackbone]
WAYS = [
    (family, decoder)
    for family in ("llama", "llama-wide-heads", "gpt2", "qwen2", "qwen3", "mistral", "gemma3")
    for decoder in (("fused", "plain") if family in FUSED else ("plain",))
]


def ragged_case(backbone: CausalBackbone, prompt_tokens: int = 4) -> Case:
    case = make_case(backbone, [5, 1, 12, 30, 3], groups=1, rows=1, prompt_tokens=prompt_tokens)
    case.batch = Batch(range(5), [0] * 5, [0, 1, 1, 0, 1])
    return case


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(("family", "decoder"), WAYS, ids=["-".join(way) for way in WAYS])
def test_deep_equals_peft(family: str, decoder: str, backbone_of: BackboneOf, folder_of: Callable[[str], Path]) -> None:
    """Scores, loss and gradients of keys and values, of a padded batch; the parameters are laid out alike."""
    from peft import PrefixTuningConfig, TaskType, get_peft_model

    case = ragged_case(backbone_of(family, "deep", decoder))
    prompt = case.prompts[0]
    config = PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=len(prompt))
    model = get_peft_model(unmodified(folder_of(family)), config).eval()
    weight = model.prompt_encoder["default"].embedding.weight
    assert weight.shape == prompt.shape
    weight.data.copy_(prompt)
    rows = case.prepared()
    assert isinstance(rows, TokenRows) and len(set(rows.lengths.tolist())) > 1, "the batch is padded"
    logits = model(input_ids=rows.token_ids, attention_mask=rows.mask()).logits
    theirs = logits[torch.arange(5), rows.lengths - 1][:, torch.tensor(case.pattern.words)]
    their_loss = F.cross_entropy(theirs, torch.tensor(case.batch.labels))
    (their_gradient,) = torch.autograd.grad(their_loss, weight)
    losses, gradients = case.objective().losses_and_gradients(case.prompts, case.batch)
    assert their_gradient.norm() > 1e-3
    assert_near(case.class_scores(), theirs.detach())
    assert_near(losses[0], their_loss.detach())
    assert_near(gradients[0], their_gradient)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3", "gemma3"])
def test_a_start_does_what_its_token_vectors_do(family: str, backbone_of: BackboneOf) -> None:
    """Keys and values of token vectors score as these vectors in front of the text, and are the model's own."""
    deep, prefix = backbone_of(family, "deep", "plain"), backbone_of(family, "prefix", "plain")
    ids = [7, 3, 11, 5]
    vectors = prefix.embedding[torch.tensor(ids)].float()
    shallow = ragged_case(prefix)
    shallow.prompts = vectors[None]
    case = ragged_case(deep)
    case.prompts = deep.as_prompt(vectors)[None]
    assert prefix.as_prompt(vectors) is vectors
    assert case.prompts.shape == (1, 4, deep.width) and deep.width == deep.deep.width  # type: ignore[union-attr]
    assert_near(case.class_scores(), shallow.class_scores())


def test_a_start_is_the_cache_of_the_unmodified_model(
    backbone_of: BackboneOf, folder_of: Callable[[str], Path]
) -> None:
    model = unmodified(folder_of("llama"))
    backbone = backbone_of("llama", "deep")
    ids = torch.tensor([[7, 3, 11, 5]])
    found = keys_in_front(backbone.as_prompt(backbone.embedding[ids[0]].float()), model)
    theirs = model(input_ids=ids, use_cache=True).past_key_values
    for layer in range(2):
        assert_near(found.layers[layer].keys, theirs.layers[layer].keys)
        assert_near(found.layers[layer].values, theirs.layers[layer].values)


@pytest.mark.parametrize("kind", ["vocabulary", "random"])
def test_starts_are_of_the_models_own_size(kind: str, backbone_of: BackboneOf) -> None:
    backbone = backbone_of("llama", "deep")
    sources = InitSources(backbone.embedding, as_prompt=backbone.as_prompt, usual=backbone.usual_vectors)
    start = initial_prompt(InitConfig(kind=kind), 20, sources, seed=0, init_seed=0)
    assert start.shape == (20, backbone.width) and start.dtype == torch.float32
    assert 0.6 < norm_ratio(start, backbone.usual_vectors) < 1.7
    other = initial_prompt(InitConfig(kind=kind), 20, sources, seed=0, init_seed=1)
    assert not torch.equal(start, other)
    # Each number is of the size that it has over common tokens.
    size, usual = start.std(dim=0), backbone.usual_vectors.std(dim=0)
    assert float(torch.corrcoef(torch.stack([size, usual]))[0, 1]) > 0.5


@pytest.mark.parametrize("prompt_tokens", [1, 100])
@pytest.mark.parametrize("placement", ["suffix", "prefix", "deep"])
@pytest.mark.parametrize(("family", "decoder"), [("llama", "fused"), ("llama", "plain"), ("gpt2", "plain")])
def test_one_vector_and_a_hundred(
    family: str, decoder: str, placement: str, prompt_tokens: int, backbone_of: BackboneOf, folder_of: Callable
) -> None:
    """Scores and gradients equal the unmodified model's for the shortest and the longest usual prompt."""
    case = make_case(backbone_of(family, placement, decoder), [5, 1, 9], 2, rows=4, prompt_tokens=prompt_tokens)
    leaf = case.prompts.clone().requires_grad_(True)
    expected = case.plain_losses(unmodified(folder_of(family)), leaf)
    (gradient,) = torch.autograd.grad(expected.sum(), leaf)
    losses, gradients = case.objective().losses_and_gradients(case.prompts, case.batch)
    assert_near(losses, expected.detach())
    assert_near(gradients, gradient)


def test_a_pass_is_cut_by_what_keys_and_values_take(backbone_of: BackboneOf) -> None:
    """A longer prompt makes rows dearer, as each row sees the keys and values of its own group."""
    backbone = backbone_of("llama", "deep")
    pattern = make_case(backbone, [5], 1, rows=1).pattern
    few, many = (backbone.row_bytes(pattern, tokens, 12, scoring=True) for tokens in (1, 100))
    memory = RowMemory.of(backbone.model.config, 4)
    assert many - few >= 99 * memory.kv_bytes_per_token


def test_the_fast_pass_runs_where_it_is_exact(folder_of: Callable[[str], Path]) -> None:
    from metapt_explore.config import ModelConfig

    settings = ModelConfig(name=str(folder_of("llama")), dtype="float32", device="cpu")
    backbone = load_backbone(settings, "deep")
    assert isinstance(backbone, CausalBackbone) and not backbone.plain_pass
    # What a configuration says is what the model computes.
    from metapt_explore.models.deep import DeepShape

    assert DeepShape.of(backbone.model.config) == backbone.deep


@pytest.mark.parametrize("family", [family for family in FAMILIES if family in FUSED or family == "gemma2"])
def test_groups_are_apart(family: str, folder_of: Callable[[str], Path]) -> None:
    """The gradient of one group's keys and values is what it is alone."""
    backbone = make_backbone(folder_of(family), "deep")
    case = make_case(backbone, [5, 1, 12, 9], groups=3, rows=6)
    losses, gradients = case.objective().losses_and_gradients(case.prompts, case.batch)
    for group in range(3):
        own = [place for place, of in enumerate(case.batch.groups) if of == group]
        if not own:
            assert not gradients[group].any()
            continue
        alone = Batch([case.batch.rows[p] for p in own], [0] * len(own), [case.batch.labels[p] for p in own])
        loss, gradient = case.objective().losses_and_gradients(case.prompts[group : group + 1], alone)
        assert_near(losses[group], loss[0])
        assert_near(gradients[group], gradient[0])
