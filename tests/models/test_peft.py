"""Where PEFT has a layout of ours, both give the same scores, losses and gradients on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from plain_reference import Case, assert_near, make_case, unmodified

from metapt_explore.models.backbone import Backbone
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.encoder_decoder import EncoderDecoderBackbone
from metapt_explore.models.gradients import Batch
from metapt_explore.models.kv_cache.text import TokenRows


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(("family", "decoder"), [("llama", "fused"), ("llama", "plain"), ("gpt2", "plain")])
def test_prefix_equals_peft(
    family: str, decoder: str, backbone_of: Callable[..., CausalBackbone], folder_of: Callable[[str], Path]
) -> None:
    """Scores, loss and prompt gradient of a right-padded batch with an attention mask."""
    from peft import PromptTuningConfig, TaskType, get_peft_model

    case = ragged_case(backbone_of(family, "prefix", decoder))
    prompt = case.prompts[0]

    peft_config = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=len(prompt))
    model = get_peft_model(unmodified(folder_of(family)), peft_config).eval()
    weight = model.prompt_encoder["default"].embedding.weight
    weight.data.copy_(prompt)
    rows = case.prepared()
    assert isinstance(rows, TokenRows) and len(set(rows.lengths.tolist())) > 1, "the batch is padded"
    mask = (torch.arange(rows.token_ids.shape[1])[None] < rows.lengths[:, None]).long()
    logits = model(input_ids=rows.token_ids, attention_mask=mask).logits
    last = len(prompt) + rows.lengths - 1
    assert_equal_to(case, logits[torch.arange(5), last][:, torch.tensor(case.pattern.words)], weight)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("family", ["t5", "t5-gated", "bart"])
def test_encoder_equals_peft(
    family: str, backbone_of: Callable[..., Backbone], folder_of: Callable[[str], Path]
) -> None:
    """A prompt in front of the encoder's tokens only, which PEFT does with one transformer submodule."""
    from peft import PromptTuningConfig, TaskType, get_peft_model

    case = ragged_case(backbone_of(family, "encoder", "plain"))
    prompt, backbone = case.prompts[0], case.backbone
    assert isinstance(backbone, EncoderDecoderBackbone)
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=len(prompt), num_transformer_submodules=1
    )
    model = get_peft_model(unmodified(folder_of(family)), config).eval()
    weight = model.prompt_encoder["default"].embedding.weight
    weight.data.copy_(prompt)
    rows = case.prepared()
    assert isinstance(rows, TokenRows)
    start = torch.tensor(backbone.decoder_start).expand(5, -1)
    logits = model(input_ids=rows.token_ids, attention_mask=rows.mask(), decoder_input_ids=start).logits
    assert_equal_to(case, logits[:, -1][:, torch.tensor(case.pattern.words)], weight)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_masked_prefix_equals_peft(
    family: str, backbone_of: Callable[..., Backbone], folder_of: Callable[[str], Path]
) -> None:
    """A prompt in front of [CLS]; PEFT's model for features has it, and we put the model's own head behind it."""
    from peft import PromptTuningConfig, TaskType, get_peft_model

    case = ragged_case(backbone_of(family, "prefix", "plain"))
    prompt = case.prompts[0]
    whole = unmodified(folder_of(family))
    config = PromptTuningConfig(task_type=TaskType.FEATURE_EXTRACTION, num_virtual_tokens=len(prompt))
    model = get_peft_model(whole.base_model, config).eval()
    weight = model.prompt_encoder["default"].embedding.weight
    weight.data.copy_(prompt)
    rows = case.prepared()
    assert isinstance(rows, TokenRows)
    hidden = model(input_ids=rows.token_ids, attention_mask=rows.mask()).last_hidden_state
    at_mask = hidden[torch.arange(5), len(prompt) + rows.positions]
    logits = whole.cls(at_mask) if family == "bert" else whole.lm_head(at_mask)
    assert_equal_to(case, logits[:, torch.tensor(case.pattern.words)], weight)


def ragged_case(backbone: Backbone) -> Case:
    case = make_case(backbone, [5, 1, 12, 30, 3], groups=1, rows=1, prompt_tokens=4)
    case.batch = Batch(range(5), [0] * 5, [0, 1, 1, 0, 1])
    return case


def assert_equal_to(case: Case, theirs: torch.Tensor, weight: torch.Tensor) -> None:
    """Scores, loss and prompt gradient."""
    their_loss = F.cross_entropy(theirs, torch.tensor(case.batch.labels))
    (their_gradient,) = torch.autograd.grad(their_loss, weight)
    losses, gradients = case.objective().losses_and_gradients(case.prompts, case.batch)
    assert their_gradient.norm() > 1e-3
    assert_near(case.class_scores(), theirs.detach())
    assert_near(losses[0], their_loss.detach())
    assert_near(gradients[0], their_gradient)
