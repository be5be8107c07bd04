"""What a tuned prompt or a baseline says of every scored row: log-probabilities of the classes, and the choice.

They are kept beside the scores, so that a score can be opened down to its rows: confusion, calibration, where one
method is right and another wrong (`statistics/errors.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.fewshot.scoring import LabelledTexts
    from metapt_explore.verbalizers.verbalizer import Verbalizer

#: What the columns of class scores begin with; then the number of the class.
SCORE = "score_"
#: The table of what was said of dev rows.
DEV_PREDICTIONS = "dev_predictions"
#: `predicted`, where the best word belongs to no class.
NO_CLASS = -1


@dataclass(frozen=True)
class RowScores:
    """What is said of rows.

    Attributes:
        log_probabilities: fp16 `[rows, classes]`, on the CPU. Where other words compete, a row's do not add up to one.
        predicted: int16 `[rows]`: the class, `NO_CLASS` for a word of none.
    """

    log_probabilities: Tensor
    predicted: Tensor

    @classmethod
    def of(cls, scores: Tensor, verbalizer: Verbalizer | None = None) -> RowScores:
        """Out of scores, read as `fewshot.scoring.measure` reads them.

        Args:
            scores: Scores of the classes, `[rows, columns]`.
            verbalizer: Where more than the label words competes.

        Example:
            >>> import torch
            >>> RowScores.of(torch.tensor([[0.0, 2.0], [3.0, 0.0]])).predicted
            tensor([1, 0], dtype=torch.int16)
        """
        import torch

        choice = scores if verbalizer is None else verbalizer.for_choice(scores)
        loss = scores if verbalizer is None else verbalizer.for_loss(scores)
        classes = scores.shape[1] if verbalizer is None else verbalizer.classes
        predicted = choice.argmax(dim=1)
        predicted = torch.where(predicted < classes, predicted, NO_CLASS)
        kept = loss.float().log_softmax(dim=1)[:, :classes]
        return cls(kept.half().cpu(), predicted.to(torch.int16).cpu())


def predictions_table(by_seed: Mapping[int, RowScores], labels: Sequence[int], numbers: Sequence[int]) -> pd.DataFrame:
    """A row for each data seed and scored row.

    Args:
        by_seed: What was said of the scored rows, by data seed.
        labels: Class index of each scored row.
        numbers: Its place in the table ``rows`` of the task's few-shot rows: the same for all methods.

    Returns:
        Columns ``data_seed``, ``row`` (the number), ``label``, ``predicted`` (class indices) and, for each class,
        ``score_0`` … (log-probability, float16).
    """
    frames = []
    for seed, scores in by_seed.items():
        logs = scores.log_probabilities.numpy()
        frames.append(
            pd.DataFrame(
                {
                    "data_seed": np.full(len(labels), seed, dtype=np.int64),
                    "row": np.asarray(numbers, dtype=np.int32),
                    "label": np.asarray(labels, dtype=np.int16),
                    "predicted": scores.predicted.numpy(),
                    **{f"{SCORE}{index}": logs[:, index] for index in range(logs.shape[1])},
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def dev_predictions_table(
    by_seed: Mapping[int, RowScores], dev: Mapping[int, LabelledTexts], numbers: Mapping[int, Sequence[int]]
) -> pd.DataFrame:
    """The same of the dev rows, which every data seed has of its own: ensembles go by it.

    Args:
        by_seed: What was said of the dev rows, by data seed.
        dev: The dev rows of each data seed.
        numbers: Their places in the table ``rows``.
    """
    return pd.concat(
        [predictions_table({seed: said}, dev[seed].labels, numbers[seed]) for seed, said in by_seed.items()],
        ignore_index=True,
    )
