"""The `prefix` placement is prompt tuning as the PEFT library does it, on the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from plain_reference import assert_near, make_case, unmodified

from metapt_explore.prompts.causal import CausalBackbone
from metapt_explore.prompts.gradients import Batch
from metapt_explore.prompts.text_state import TokenRows


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(("family", "decoder"), [("llama", "fused"), ("llama", "plain"), ("gpt2", "plain")])
def test_prefix_equals_peft(
    family: str, decoder: str, backbone_of: Callable[..., CausalBackbone], folder_of: Callable[[str], Path]
) -> None:
    """Scores, loss and prompt gradient of a right-padded batch with an attention mask."""
    from peft import PromptTuningConfig, TaskType, get_peft_model

    case = make_case(backbone_of(family, "prefix", decoder), [5, 1, 12, 30, 3], groups=1, rows=1, prompt_tokens=4)
    case.batch = Batch(range(5), [0] * 5, [0, 1, 1, 0, 1])
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
    theirs = logits[torch.arange(5), last][:, torch.tensor(case.reader.words)]
    their_loss = F.cross_entropy(theirs, torch.tensor(case.batch.labels))
    (their_gradient,) = torch.autograd.grad(their_loss, weight)

    losses, gradients = case.scorer().losses_and_gradients(case.prompts, case.batch)
    assert their_gradient.norm() > 1e-3
    assert_near(case.class_scores(), theirs.detach())
    assert_near(losses[0], their_loss.detach())
    assert_near(gradients[0], their_gradient)
