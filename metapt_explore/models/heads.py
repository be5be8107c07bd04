"""Output layers: from hidden states at the answer to logits of words."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class LinearHead:
    """A linear output layer; only the rows of the label words are computed.

    Args:
        weight: `[vocabulary, width]`.
        bias: `[vocabulary]`, or None.
        scale: Factor of the hidden states (T5).
        cap: Limit of the logits, which a hyperbolic tangent bends (Gemma 2).
    """

    def __init__(
        self, weight: Tensor, bias: Tensor | None = None, *, scale: float = 1.0, cap: float | None = None
    ) -> None:
        self.weight, self.bias, self.scale, self.cap = weight, bias, scale, cap

    def words(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """See `Head`. In fp32: between two label words, bfloat16 logits would often be equal."""
        logits = hidden.float() @ self.weight[tokens].float().T
        return self._bent(logits, None if self.bias is None else self.bias[tokens].float())

    def vocabulary(self, hidden: Tensor) -> Tensor:
        """See `Head`. In the model's dtype: an fp32 copy of the weights would be too large."""
        logits = (hidden.to(self.weight.dtype) @ self.weight.T).float()
        return self._bent(logits, None if self.bias is None else self.bias.float())

    def _bent(self, logits: Tensor, bias: Tensor | None) -> Tensor:
        if self.scale != 1.0:
            logits = logits * self.scale
        if bias is not None:
            logits = logits + bias
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


class ModelHead:
    """A model's own output layers, run on given hidden states.

    The model is copied (weights are shared), with a stand-in below the head that returns the given hidden states.
    This works for every masked model of transformers, and costs the full vocabulary at one position.

    Args:
        model: A transformers model whose `base_model_prefix` names what lies below the head.
    """

    def __init__(self, model: Any) -> None:
        self._given = _Given()
        self._model = copy.copy(model)
        self._model._modules = {**model._modules, model.base_model_prefix: self._given}

    def words(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """See `Head`."""
        return self.vocabulary(hidden)[:, tokens]

    def vocabulary(self, hidden: Tensor) -> Tensor:
        """See `Head`."""
        self._given.hidden = hidden[:, None]
        try:
            ids = torch.zeros(len(hidden), 1, dtype=torch.long, device=hidden.device)
            logits: Tensor = self._model(input_ids=ids).logits
        finally:
            self._given.hidden = None
        return logits[:, 0].float()


class _Given(nn.Module):
    """Stands for a base model: returns given hidden states."""

    hidden: Tensor | None = None

    def forward(self, *ignored: Any, **also_ignored: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=self.hidden)


class SimilarityHead:
    """Similarity to descriptions of classes, in place of words: description `i` is "token" `i`.

    Args:
        descriptions: Unit vectors, `[classes, width]`.
        scale: Factor of the cosine (the inverse of the temperature).
    """

    def __init__(self, descriptions: Tensor, scale: float) -> None:
        self.descriptions, self.scale = descriptions, scale

    def words(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """See `Head`; hidden states are unit vectors."""
        return self.scale * (hidden.float() @ self.descriptions[tokens].T)

    def vocabulary(self, hidden: Tensor) -> Tensor:
        """See `Head`; the vocabulary is the descriptions."""
        return self.scale * (hidden.float() @ self.descriptions.T)
