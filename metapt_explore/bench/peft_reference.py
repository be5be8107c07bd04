"""The reference that we are measured against: PEFT's prompt (or prefix) tuning and plain loops, as a user writes them.

PEFT puts the prompt first and runs the whole sequence at every step. `full_head` reads the label words
out of the logits of all positions, as `model(...).logits` gives them; without it `logits_to_keep=1` is
passed, which few users know of.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.config.baselines import PEFT
from metapt_explore.errors import UserError
from metapt_explore.models.hf_load import load_model


class PeftReference:
    """A frozen model under PEFT prompt tuning or prefix tuning, with fused (SDPA) attention.

    Args:
        folder: The model.
        prompt: Initial soft prompt, fp32 `[prompt_tokens, width]`.
        words: Token ids of the label words.
        dtype: As ours.
        device: As ours.
        full_head: Whether logits of all positions are computed.
        deep: Whether the prompt is keys and values of every layer: PEFT's prefix tuning, without its projection.
    """

    def __init__(
        self,
        folder: Path,
        prompt: Tensor,
        words: Tensor,
        *,
        dtype: torch.dtype,
        device: torch.device,
        full_head: bool = True,
        deep: bool = False,
    ) -> None:
        try:
            from peft import PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
        except ImportError:
            raise UserError(f"`metapt bench` compares with PEFT: pip install '{PEFT}'.") from None
        from transformers import AutoModelForCausalLM

        model = load_model(
            AutoModelForCausalLM, "decoder-only", folder, name=str(folder), dtype=dtype, attn_implementation="sdpa"
        )
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)  # PEFT's
        kind = PrefixTuningConfig if deep else PromptTuningConfig
        config = kind(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=len(prompt))
        self.model: Any = get_peft_model(model.to(device), config).eval()
        self.words, self.full_head = words, full_head
        (self.name,) = [name for name, value in self.model.named_parameters() if value.requires_grad]
        self.prompt: Tensor = dict(self.model.named_parameters())[self.name]
        self.set_prompt(prompt)

    @torch.no_grad()
    def set_prompt(self, prompt: Tensor) -> None:
        """Replaces the prompt."""
        self.prompt.copy_(prompt)

    def loss(self, token_ids: Tensor, labels: Tensor, prompt: Tensor | None = None) -> Tensor:
        """Mean cross-entropy over the label words of rows `[rows, tokens]` of one length."""
        return F.cross_entropy(self.scores(token_ids, prompt), labels)

    def scores(self, token_ids: Tensor, prompt: Tensor | None = None) -> Tensor:
        """Logits of the label words, `[rows, classes]`."""
        inputs: dict[str, Any] = {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids)}
        if not self.full_head:
            inputs["logits_to_keep"] = 1
        if prompt is None:
            logits = self.model(**inputs).logits
        else:
            logits = torch.func.functional_call(self.model, {self.name: prompt}, (), inputs).logits
        answers: torch.Tensor = logits[:, -1][:, self.words].float()
        return answers

    def step(self, token_ids: Tensor, labels: Tensor) -> Tensor:
        """Gradient of one batch."""
        (gradient,) = torch.autograd.grad(self.loss(token_ids, labels), self.prompt)
        return gradient

    def meta_step(
        self, support: list[tuple[Tensor, Tensor]], query: list[tuple[Tensor, Tensor]], inner_lr: float
    ) -> Tensor:
        """First-order MAML as meta-learning libraries write it: clone, adapt, one task at a time."""
        total = torch.zeros_like(self.prompt)
        for (support_ids, support_labels), (query_ids, query_labels) in zip(support, query, strict=True):
            clone = self.prompt.detach().clone().requires_grad_(True)
            (inner,) = torch.autograd.grad(self.loss(support_ids, support_labels, clone), clone)
            adapted = (clone - inner_lr * inner).detach().requires_grad_(True)
            (outer,) = torch.autograd.grad(self.loss(query_ids, query_labels, adapted), adapted)
            total += outer
        return total / len(support)
