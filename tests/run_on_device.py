"""Runs studies on a device, then on the CPU, and prints the losses of both as JSON.

    python run_on_device.py WORLD WORKSPACE DEVICE [CASE …]

A process of its own: a second device must be known before autograd runs for the first time.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import tiny
import torch
from other_device import NAME, other_device

from metapt_explore.config import StudyConfig, parse
from metapt_explore.export.classify import Classifier
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.study.study import Study

SMALL = {"data_seeds": [1], "steps": 2, "curve_steps": [0, 2], "test_rows": 12}
META = {"kind": "metapt", "clustering": "kmeans"}
TWO = [{"name": "PPT", "kind": "ppt"}, {"name": "MetaPT", **META}]
#: Name to the kind of model and what the study changes.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "learners": (
        "llama",
        {
            "methods": [
                {"name": "PT+", "kind": "pt", "extra_tuning": True},
                {"name": "PPT mean", "kind": "ppt", "average_last": 0.5},
                {"name": "exact", **META, "order": "exact", "inner_steps": 2},
                {"name": "Reptile", **META, "learner": "reptile", "inner_steps": 2},
                {"name": "Meta-SGD", **META, "learner": "meta_sgd", "order": "exact"},
                {"name": "topics", **META, "topics": {"clustering": "kmeans"}},
                {"name": "agreeing", **META, "task_weights": "agreement", "pooled_weight": 0.3},
                {"name": "tuned", **META, "tuning": {"proximal": 1.0, "soup": 2}},
            ],
        },
    ),
    "baselines": (
        "llama",
        {
            "methods": [{"name": "PT", "kind": "pt"}],
            "baselines": [
                {"name": "calibrated", "kind": "zero_shot", "calibration": "content_free"},
                {"name": "in_context", "kind": "in_context", "max_prompt_tokens": 60},
                "linear_probe",
                {"name": "of the LM", "kind": "linear_probe", "of": "model"},
                {"name": "setfit", "kind": "setfit", "pairs_per_text": 1},
                "lora",
                "full",
            ],
        },
    ),
    # Text states that do not fit wait in host memory, exact orders need the plain decoder, tasks are softer.
    "tiers": (
        "llama",
        {
            "model": {"text_state_gib": 1e-6, "second_tier_gib": 0.1},
            "auxiliary_tasks": {"softness": 0.2},
            "methods": TWO,
        },
    ),
    "prefix": ("llama", {"prompt": {"placement": "prefix"}, "methods": TWO}),
    "deep": ("llama", {"prompt": {"placement": "deep"}, "methods": TWO}),
    "deep plain decoder": ("gpt2", {"prompt": {"placement": "deep"}, "methods": TWO}),
    "unlabelled": (
        "llama",
        {
            "texts": {"columns": {"text": "text", "group": "topic"}},
            "labelling": {"by": "zero_shot"},
            "methods": TWO[:1],
        },
    ),
    "plain decoder": ("gpt2", {"methods": TWO}),
    "T5": ("t5", {"prompt": {"placement": "encoder"}, "methods": TWO}),
    "BART": ("bart", {"prompt": {"placement": "decoder"}, "methods": TWO}),
    "BERT": ("bert", {"prompt": {"placement": "prefix"}, "methods": TWO}),
    "sentence": ("sentence", {"prompt": {"placement": "prefix"}, "methods": TWO}),
    "mixed": ("llama", {"verbalizer": {"read": "mixed"}, "methods": TWO[:1]}),
    "automatic": ("llama", {"verbalizer": {"read": "automatic", "automatic_words": 2}, "methods": TWO[:1]}),
    "words and probe": ("llama", {"verbalizer": {"read": "probe_ensemble"}, "methods": TWO[:1]}),
    "whole vocabulary": ("llama", {"verbalizer": {"decode": "whole_vocabulary"}, "methods": TWO[:1]}),
}


def run(case: str, world: Path, workspace: Path, device: str) -> dict[str, Any]:
    """Losses of a case's methods by name and task; what looks at prompts, and a prompt taken away, for some."""
    kind, changes = CASES[case]
    model = world / f"model-{kind}"
    if not model.exists():
        tiny.make_language_model(model, kind)
    base = {"name": case.replace(" ", "-"), "pretraining": {"steps": 2}, "evaluation": SMALL}
    own_model = {"name": str(model), "device": device, **changes.get("model", {})}
    tree = tiny.study_tree(world, **{**base, **changes, "model": own_model})
    study = Study(parse(StudyConfig, tree, case), workspace)
    table = study.run()
    found = {f"{row.method}, {row.task}": float(row.test_loss) for row in table.itertuples()}
    if case == "learners":
        found["agreement"] = study.agreement().table("agreement")["cosine"].abs().mean()
        found["lens"] = study.lens().table("vectors")["norm_ratio"].mean()
        found["probe"] = max(entry.get("accuracy", 0.0) for entry in study.rank_templates("mood").summary["ranking"])
        export_prompt(study.workspace, PromptChoice(study.config.name, "exact", "mood", 1), workspace / "away")
        classified = list(
            Classifier(workspace / "away", device=device, dtype="float32").classify(["the camera is bad", "so good"])
        )
        found["taken away"] = sum(entry.probabilities["negative"] for entry in classified)
    if case == "words and probe":
        away = workspace / "away"
        export_prompt(study.workspace, PromptChoice(study.config.name, study.config.methods[0].name, "mood", 1), away)
        found["taken away"] = next(
            Classifier(away, device=device, dtype="float32").classify(["so good"])
        ).probabilities["negative"]
    return found


def refused() -> list[str]:
    """What the other device refuses, as CUDA does: without that, equal losses would say nothing."""
    here, there = torch.ones(2), torch.ones(2).to(NAME)
    found = []
    for name, attempt in {
        "a sum of both": lambda: here + there,
        "a product of both": lambda: torch.ones(2, 2) @ there,
        "rows by an index elsewhere": lambda: there.index_select(0, torch.tensor([0])),
        "numpy": there.numpy,
    }.items():
        try:
            attempt()
        except (RuntimeError, TypeError):
            found.append(name)
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    here, there, on, cases = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:] or list(CASES)
    told: dict[str, Any] = {}
    with other_device() if on == NAME else nullcontext():
        told["refused"] = refused() if on == NAME else []
        told["device"] = {case: run(case, here, there / "device", on) for case in cases}
    told["cpu"] = {case: run(case, here, there / "cpu", "cpu") for case in cases}
    print(json.dumps(told))
