"""What the frozen model makes of the texts of a task's splits, as a stage: probes are fitted to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.models.backbone import Backbone
from metapt_explore.stages.texts import OnUnits, Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.texts.rows import TextInput, as_inputs

#: Units that the share of finished texts is told in.
UNITS = 100


def views_recipe(
    task: str, split: Artifact, model: dict[str, Any], backbone: Callable[[], Backbone], on_units: OnUnits
) -> Recipe:
    """Views of every text of a split (`models/hidden_states.py`), each text once.

    Args:
        task: What the task is called.
        split: The split.
        model: What the language model's answers depend on.
        backbone: Loads it.
        on_units: Called with the finished units, of `UNITS`.
    """
    stage = Question("views", f"frozen states of {task}", 1, {}, {"split": split.id}, model)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.models.hidden_states import ROWS, text_hidden_states

        texts = unique(as_inputs(split.table("rows")))
        done = 0

        def on_pass() -> None:
            nonlocal done
            done = min(len(texts), done + ROWS)
            on_units(UNITS * done // len(texts))

        views = text_hidden_states(backbone(), texts, on_pass)
        out.write_tensors("views", {"views": views})
        out.write_summary({"texts": len(texts), "views": len(views), "width": views.shape[-1]})

    return stage, compute


def views_key(task: str, shots: int | None) -> str:
    """What progress calls the views of a task.

    Example:
        >>> views_key("trec", None), views_key("trec", 4)
        ('views/trec', 'views/trec at 4 shots')
    """
    return f"views/{task}" if shots is None else f"views/{task} at {shots} shots"


def unique(texts: Sequence[TextInput]) -> list[TextInput]:
    """Each text once, in the order of first sight: the order that views are kept in."""
    return list(dict.fromkeys(texts))


class KeptViews:
    """Views of a split's texts, by text.

    Args:
        artifact: A `views` artifact.
        split: The split that it is of.
    """

    def __init__(self, artifact: Artifact, split: Artifact) -> None:
        self._views = artifact.tensors("views")["views"]
        self._place: Mapping[Hashable, int] = {
            text: place for place, text in enumerate(unique(as_inputs(split.table("rows"))))
        }

    def of(self, texts: Sequence[TextInput]) -> Tensor:
        """Views of these texts, `[views, texts, width]`."""
        return self._views[:, torch.tensor([self._place[text] for text in texts])]
