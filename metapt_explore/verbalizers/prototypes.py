"""Class prototypes: mean hidden states at the answer of the examples of each class.

RepVerb of MetaPrompter (Jiang, Zhang & Kwok, ICML 2023, arXiv 2306.00618): a row belongs to the class whose
prototype is most similar. No label word is needed; both scores can be mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor

#: Divides cosines before the softmax.
TEMPERATURE = 0.1


class Prototypes:
    """Mean hidden states of classes, for each prompt.

    Args:
        features: Hidden states of the examples under each prompt, `[groups, examples, width]`.
        labels: Class index of each example, one list for all prompts or one for each.
        classes: Number of classes; each has an example.
        words_share: Weight of the label words, 0 to 1.

    Example:
        >>> features = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
        >>> prototypes = Prototypes(features, [0, 1], 2, words_share=0.0)
        >>> prototypes.mixed(torch.zeros(1, 2), torch.tensor([[3.0, 0.1]]), 0).argmax().item()
        0
    """

    def __init__(self, features: Tensor, labels: Sequence[int], classes: int, *, words_share: float) -> None:
        member = F.one_hot(torch.tensor(list(labels)), classes).float().to(features.device)
        means = torch.einsum("gew,ec->gcw", F.normalize(features.float(), dim=-1), member / member.sum(0))
        self._means = F.normalize(means, dim=-1)
        self._words_share = words_share

    @classmethod
    def of_each(cls, parts: Sequence[Prototypes]) -> Prototypes:
        """Joins prototypes of several sets of examples, one group after another."""
        joined = cls.__new__(cls)
        joined._means = torch.cat([part._means for part in parts])
        joined._words_share = parts[0]._words_share
        return joined

    def mixed(self, scores: Tensor, features: Tensor, group: int) -> Tensor:
        """Log-probabilities of the classes.

        Args:
            scores: The label words' logits, `[rows, classes]`.
            features: Hidden states of the rows, `[rows, width]`.
            group: The prompt that they were read under.

        Returns:
            `[rows, classes]`.
        """
        means = self._means[group].to(features.device)
        similarity = F.normalize(features.float(), dim=-1) @ means.T / TEMPERATURE
        by_prototype = similarity.log_softmax(-1)
        if self._words_share == 0:
            return by_prototype
        if self._words_share == 1:
            return scores.log_softmax(-1)
        return torch.logaddexp(
            scores.log_softmax(-1) + log(self._words_share), by_prototype + log(1 - self._words_share)
        )
