"""Runs studies on the device beside the CPU and prints, for each training, in which steps Python waits, and the shapes.

    python count_waits.py WORLD WORKSPACE [CASE …]

A process of its own, as `run_on_device.py` is.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tiny
import torch
from other_device import NAME, WAITS, other_device

from metapt_explore.config import StudyConfig, parse
from metapt_explore.fewshot import tuning_steps
from metapt_explore.models import gradients
from metapt_explore.models.passes import PassRows
from metapt_explore.pretraining import host_reads
from metapt_explore.pretraining.state import TrainingState
from metapt_explore.study.study import Study

STEPS = 4
META = {"kind": "metapt", "clustering": "kmeans"}
LEARNERS = [
    {"name": "PPT", "kind": "ppt"},
    {"name": "MAML", **META},
    {"name": "loss", **META, "task_weights": "loss"},
    {"name": "agreement", **META, "task_weights": "agreement"},
    {"name": "Adam", **META, "inner_optimiser": "adam"},
    {"name": "Meta-SGD", **META, "learner": "meta_sgd"},
    {"name": "Reptile", **META, "learner": "reptile"},
    {"name": "Leap", **META, "learner": "leap"},
    {"name": "HSML", **META, "learner": "hsml"},
    {"name": "own", **META, "learner": "prompt_per_cluster"},
    {"name": "topics", **META, "topics": {"clustering": "kmeans"}},
]
#: Name to the kind of model and what the study changes.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "suffix": ("llama", {"methods": LEARNERS}),
    "tuning": ("llama", {"methods": [{"name": "PT", "kind": "pt", "tuning": {"proximal": 1.0}}]}),
    "prefix": ("llama", {"prompt": {"placement": "prefix"}, "methods": LEARNERS[:2]}),
    "deep": ("llama", {"prompt": {"placement": "deep"}, "methods": LEARNERS[:2]}),
    "exact": ("llama", {"methods": [{"name": "exact", **META, "order": "exact"}]}),
    "plain decoder": ("gpt2", {"methods": LEARNERS[:2]}),
    "whole vocabulary": ("llama", {"verbalizer": {"decode": "whole_vocabulary"}, "methods": LEARNERS[:2]}),
    "T5, decoder": ("t5", {"prompt": {"placement": "decoder"}, "methods": LEARNERS[:1]}),
    "T5, encoder": ("t5", {"prompt": {"placement": "encoder"}, "methods": LEARNERS[:1]}),
    "BERT": ("bert", {"prompt": {"placement": "prefix"}, "methods": LEARNERS[:1]}),
}

#: Waits of each step of each training, and the shapes that its passes had.
STEPS_OF: dict[int, list[list[str]]] = {}
SHAPES_OF: dict[int, list[str]] = {}
_before: dict[int, int] = {}
_passes: list[str] = []


def finish_step(state: TrainingState, *args: Any, **kwargs: Any) -> None:
    """Counts what happened since the training's last step."""
    key = id(state)
    if key in _before:
        STEPS_OF.setdefault(key, []).append(WAITS[_before[key] :])
        SHAPES_OF.setdefault(key, []).extend(_passes)
    KEPT.append(state)  # no other state gets its number
    _finish_step(state, *args, **kwargs)
    _before[key] = len(WAITS)
    _passes.clear()


def pass_losses(backbone: Any, prompts: torch.Tensor, rows: PassRows, **options: Any) -> torch.Tensor:
    """Notes the shapes that a pass is given."""
    tensors = [prompts, rows.numbers, *(getattr(rows.texts, field.name) for field in fields(rows.texts))]
    _passes.append(str([list(value.shape) for value in tensors if isinstance(value, torch.Tensor)]))
    return _pass_losses(backbone, prompts, rows, **options)


KEPT: list[TrainingState] = []
_finish_step, _pass_losses = TrainingState.finish_step, gradients.pass_losses


def count(case: str, world: Path, workspace: Path) -> dict[str, Any]:
    """Waits and shapes of the steps of all trainings of a case."""
    kind, changes = CASES[case]
    model = world / f"model-{kind}"
    if not model.exists():
        tiny.make_language_model(model, kind)
    STEPS_OF.clear()
    SHAPES_OF.clear()
    tree = tiny.study_tree(
        world,
        **{
            "name": case.replace(" ", "-").replace(",", ""),
            "pretraining": {"steps": STEPS, "checkpoint_every": 1000},
            "evaluation": {
                "tasks": [str(world / "mood.yaml")],
                "data_seeds": [1, 2],
                "learning_rates": [0.01, 0.03],
                "steps": STEPS,
                "curve_steps": [0, STEPS],
                "test_rows": 4,
            },
            **changes,
            "model": {"name": str(model), "device": NAME, **changes.get("model", {})},
        },
    )
    study = Study(parse(StudyConfig, tree, case), workspace)
    if case == "tuning":
        study.run()
    else:
        for method in study.config.methods:
            study.prompt(method.name)
    return {"waits": list(STEPS_OF.values()), "shapes": [sorted(set(shapes)) for shapes in SHAPES_OF.values()]}


def counted() -> list[str]:
    """What the device counts: without that, no waits would say nothing."""
    here, there = torch.ones(2), torch.ones(2).to(NAME)
    found = []
    for name, attempt in {
        "float": lambda: float(there[0]),
        "bool": lambda: bool(there.any()),
        "tolist": there.tolist,
        "to the host": there.cpu,
        "a list to the device": lambda: torch.tensor([1, 2], device=NAME),
        "a mask": lambda: there[there > 0],
        "an index": lambda: there[[1, 0]],
        "a sum, which does not wait": lambda: (there + there).sum(),
        "pinned memory, which does not wait": lambda: here.to(NAME, non_blocking=True),
    }.items():
        before = len(WAITS)
        attempt()
        if len(WAITS) > before:
            found.append(name)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    here, there, cases = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or list(CASES)
    with (
        other_device(),
        patch.object(TrainingState, "finish_step", finish_step),
        patch.object(gradients, "pass_losses", pass_losses),
        patch.object(host_reads, "READ_EVERY_S", math.inf),
        patch.object(tuning_steps, "CHECKPOINT_SECONDS", math.inf),
    ):
        told: dict[str, Any] = {case: count(case, here, there / case.replace(" ", "-")) for case in cases}
        print(json.dumps({**told, "counted": counted()}))
