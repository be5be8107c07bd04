"""Few-shot evaluations read by label words and a probe (`fewshot/words_and_probe.py`), as a stage."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from typing import Any

import pandas as pd
from torch import Tensor

from metapt_explore.config import EvaluationConfig, TaskConfig
from metapt_explore.fewshot.scoring import ClassReading, Split, measure
from metapt_explore.fewshot.text_probe import TextProbe
from metapt_explore.fewshot.words_and_probe import Weights, fit_probes, held_out, pooled, weigh
from metapt_explore.runs.artifact import Artifact, ArtifactWriter, Stage
from metapt_explore.runs.data_stages import Recipe
from metapt_explore.runs.fewshot_rows import FewShotRows
from metapt_explore.runs.prompt_stages import LoadBackbone
from metapt_explore.runs.views_stage import KeptViews
from metapt_explore.runs.workspace import Workspace

#: What an evaluation leaves behind that the way of reading does not change.
KEPT_FILES = ("metrics.jsonl", "curves.parquet", "prompts.safetensors", "results.parquet", "summary.json")


def with_probe(
    plain: Recipe,
    verbalizer: dict[str, Any],
    workspace: Workspace,
    task: TaskConfig,
    evaluation: EvaluationConfig,
    init_seed: int,
    split: Artifact,
    views: Artifact,
    backbone: LoadBackbone,
) -> Recipe:
    """The evaluation `plain`, its tuned prompts read once more beside a probe.

    Tuning, and dev's choice of rate and step, go by the label words alone. So does the score at the start, when no
    example has been seen. Where the plain evaluation is there already, its prompts are taken and nothing is tuned.

    Args:
        plain: The evaluation by label words.
        verbalizer: How this one is read, for its id.
        workspace: Where the plain one may lie.
        task: The task.
        evaluation: How it is tuned and scored.
        init_seed: The initialisation seed.
        split: The task's splits.
        views: Views of their texts.
        backbone: Loads the language model.
    """
    question, tune = plain
    stage = Stage(
        question.kind,
        question.title,
        question.version,
        {**question.config, "verbalizer": verbalizer},
        {**question.parents, "views": views.id},
        question.inputs,
    )

    def compute(out: ArtifactWriter) -> None:
        there = workspace.artifact(question.id)
        if there.status == "done":
            for name in KEPT_FILES:
                shutil.copyfile(there.folder / name, out.folder / name)
            tuned = {"tuned_in": there.id, "tuning_seconds": there.stage["seconds"]}
            out.write_table("telemetry", pd.DataFrame([tuned]))
        else:
            tune(out)
        results, weights, probes = _read_again(out, task, evaluation, init_seed, split, views, backbone)
        out.write_table("results", results)
        out.write_tensors("probes", {k: v for seed, own in probes.items() for k, v in own.tensors(f"{seed}.").items()})
        parameters = max(probe.parameters for probe in probes.values())
        out.write_summary({**out.summary, "probe_parameters": parameters, "weights": weights})

    return stage, compute


def _read_again(
    out: Artifact,
    task: TaskConfig,
    evaluation: EvaluationConfig,
    init_seed: int,
    split: Artifact,
    views: Artifact,
    backbone: LoadBackbone,
) -> tuple[pd.DataFrame, dict[str, dict[str, float]], dict[str, TextProbe]]:
    """Results of the tuned prompts read beside a probe, and each data seed's weights and chosen probe."""
    loaded, kept = backbone(), KeptViews(views, split)
    where = f"task {task.name}"
    reading = ClassReading(loaded, loaded.reader(task, where, whole_vocabulary=False))
    rows = FewShotRows(split, task, evaluation, init_seed)
    prompts = out.tensors("prompts")
    results = out.table("results")
    weights: dict[str, dict[str, float]] = {}
    probes: dict[str, TextProbe] = {}
    changed: list[dict[str, Any]] = []
    for record in results.to_dict(orient="records"):
        seed = int(record["data_seed"])
        train, dev, scored = rows.train[seed], rows.dev[seed], rows.scored
        prompt = prompts[f"data_seed_{seed}"][None].to(loaded.device)
        of_dev, of_scored = (reading.scores(prompt, part, [train])[0] for part in (dev, scored))
        fitted = fit_probes(kept.of(train.texts), train.labels, len(task.labels), f"{where}, data seed {seed}")
        views_of_dev = kept.of(dev.texts)
        opinions = {c: probe.scores(views_of_dev) for c, probe in fitted.items()}
        chosen = weigh(of_dev, opinions, dev.labels, held_out(dev.texts, train.texts))
        name = f"data_seed_{seed}"
        weights[name], probes[name] = asdict(chosen), fitted[chosen.c]
        end = _measured(of_scored, probes[name].scores(kept.of(scored.texts)), chosen, scored)
        changed.append(
            {
                **record,
                "accuracy": end["accuracy"],
                "macro_f1": end["macro_f1"],
                "test_loss": end["loss"],
                "dev_accuracy": _measured(of_dev, opinions[chosen.c], chosen, dev)["accuracy"],
                # Taking off the mean over the scored rows is for label words alone.
                "calibrated_accuracy": float("nan"),
                "start_calibrated_accuracy": float("nan"),
                "weights": json.dumps(asdict(chosen)),
            }
        )
    return pd.DataFrame(changed), weights, probes


def _measured(words: Tensor, probe: Tensor, weights: Weights, rows: Split) -> dict[str, float]:
    return measure(pooled(words, probe, weights), rows.labels)
