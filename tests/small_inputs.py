"""A baseline's inputs with tiny models, and small splits of moods, for tests of baselines and of tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny
import torch

from metapt_explore.baselines.inputs import BaselineInputs
from metapt_explore.config import StudyConfig, TaskConfig, load_task, parse
from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.models.load import load_backbone


def split(offset: int, rows: int) -> LabelledTexts:
    texts = [
        f"the {tiny.FEELINGS[('negative', 'positive')[row % 2]][(row + offset) % 5]} w{(7 * row + offset) % 40} "
        + " ".join(["of"] * ((row + offset) % 4))
        for row in range(rows)
    ]
    return LabelledTexts(texts, [row % 2 for row in range(rows)])


def inputs_of(
    world: Path, kind: str, model: Path | None = None, *, settings: Any = None, **options: Any
) -> BaselineInputs:
    changes = {"model": {"name": str(model)}} if model else {}
    tree = tiny.study_tree(world, baselines=[{"name": "b", "kind": kind, **options, **(settings or {})}], **changes)
    study = parse(StudyConfig, tree, "test")
    task: TaskConfig = load_task(world / "mood.yaml")
    backbone = load_backbone(study.model) if kind != "setfit" else None
    train, dev = {s: split(s, 8) for s in (1, 2)}, {s: split(s + 100, 8) for s in (1, 2)}
    return BaselineInputs(
        study,
        task,
        study.baseline("b").options_in(study.evaluation),
        0,
        train,
        dev,
        split(500, 12).texts,
        lambda: backbone,  # type: ignore[arg-type, return-value]
    )


def plain_scores(model: Any, rows: list[list[int]], words: list[int]) -> torch.Tensor:
    """Label words' logits behind each row by the unmodified model, one row at a time."""
    return torch.stack([model(input_ids=torch.tensor([ids])).logits[0, -1, words] for ids in rows])
