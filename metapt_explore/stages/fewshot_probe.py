"""Few-shot evaluations read by label words and a probe (`fewshot/probe_ensemble.py`), as a stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from metapt_explore.config import EvaluationConfig, TaskConfig, VerbalizerConfig
from metapt_explore.fewshot.linear_probe import LinearProbe
from metapt_explore.fewshot.probe_ensemble import EnsembleWeights, fit_probes, held_out, pooled, weigh
from metapt_explore.fewshot.scoring import ClassReading, Metrics, Split, measure
from metapt_explore.stages.fewshot_rows import FewShotRows
from metapt_explore.stages.hidden_states import KeptViews
from metapt_explore.stages.prompt import LoadBackbone
from metapt_explore.stages.texts import OnUnits, Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question

#: Raised whenever the probe, its weights or how they are chosen change.
READING = 1


def probe_recipe(
    words: Question,
    tuned: Artifact,
    verbalizer: VerbalizerConfig,
    task: TaskConfig,
    evaluation: EvaluationConfig,
    init_seed: int,
    split: Artifact,
    views: Artifact,
    backbone: LoadBackbone,
    on_units: OnUnits,
) -> Recipe:
    """The prompts of an evaluation by label words, read once more beside a probe.

    Tuning, and dev's choice of rate and step, go by the label words alone. So does the score at the start, when no
    example has been seen.

    Args:
        words: The question of the evaluation by label words.
        tuned: Its artifact, whose prompts are read.
        verbalizer: How they are read.
        task: The task.
        evaluation: How it was tuned, and what is scored.
        init_seed: The initialisation seed.
        split: The task's splits.
        views: Views of their texts.
        backbone: Loads the language model.
        on_units: Called after each pass through it; may raise to stop.
    """
    config = {**words.config, "verbalizer": verbalizer.model_dump(mode="json", exclude_defaults=True)}
    parents = {**words.parents, "tuned": tuned.id, "views": views.id}
    stage = Question(words.kind, words.title, words.version, {**config, "reading": READING}, parents, words.inputs)

    def compute(out: ArtifactWriter) -> None:
        prompts, results = tuned.tensors("prompts"), tuned.table("results")
        before = tuned.summary.get("forward_rows")
        readings, forward = _read(prompts, task, evaluation, init_seed, split, views, backbone, lambda: on_units(0))
        changed = [
            {**record, **readings[f"data_seed_{record['data_seed']}"].scores}
            for record in results.to_dict(orient="records")
        ]
        out.write_table("results", pd.DataFrame(changed))
        # What dev said on the way was said of the words alone; so were test scores, which are none of this reading.
        curves = tuned.table("curves")
        of_test = [column for column in curves if str(column).startswith("test_")]
        out.write_table("curves", curves.assign(**dict.fromkeys(of_test, float("nan"))))
        out.write_tensors("prompts", prompts)
        probes = {name: reading.probe for name, reading in readings.items()}
        out.write_tensors("probes", {k: v for name, own in probes.items() for k, v in own.tensors(f"{name}.").items()})
        out.write_summary(
            {
                **tuned.summary,
                # Prompts that were tuned before rows were counted have no figure, and this reading has none either.
                **({"forward_rows": before + forward} if before is not None else {}),
                "probe_parameters": max(probe.parameters for probe in probes.values()),
                "classes": list(task.labels),
                "weights": {name: asdict(reading.weights) for name, reading in readings.items()},
            }
        )

    return stage, compute


@dataclass(frozen=True)
class _Reading:
    """One data seed's probe beside its label words."""

    probe: LinearProbe
    weights: EnsembleWeights
    scores: dict[str, Any]


def _read(
    prompts: dict[str, Tensor],
    task: TaskConfig,
    evaluation: EvaluationConfig,
    init_seed: int,
    split: Artifact,
    views: Artifact,
    backbone: LoadBackbone,
    on_pass: Callable[[], None],
) -> tuple[dict[str, _Reading], int]:
    loaded, kept = backbone(), KeptViews(views, split)
    where = f"task {task.name}"
    pattern = loaded.pattern(task, where, whole_vocabulary=False)
    reading = ClassReading(loaded, pattern, on_pass=on_pass)
    rows = FewShotRows(split, task, evaluation, init_seed)
    scored, views_of_scored = rows.scored, kept.of(rows.scored.texts)
    names = {seed: f"data_seed_{seed}" for seed in rows.train}
    stacked = torch.stack([prompts[name] for name in names.values()]).to(loaded.device)
    words_of_scored = reading.scores(stacked, scored, list(rows.train.values()))
    found: dict[str, _Reading] = {}
    for place, (seed, name) in enumerate(names.items()):
        train, dev = rows.train[seed], rows.dev[seed]
        fitted = fit_probes(kept.of(train.texts), train.labels, len(task.labels), where=f"{where}, data seed {seed}")
        words_of_dev = reading.scores(stacked[place : place + 1], dev, [train])[0]
        views_of_dev = kept.of(dev.texts)
        opinions = {c: probe.scores(views_of_dev) for c, probe in fitted.items()}
        weights = weigh(words_of_dev, opinions, dev.labels, held_out=held_out(dev.texts, train.texts))
        probe = fitted[weights.c]
        end = _measured(words_of_scored[place], probe.scores(views_of_scored), weights, scored)
        scores = {
            "accuracy": end["accuracy"],
            "macro_f1": end["macro_f1"],
            "test_loss": end["loss"],
            "dev_accuracy": _measured(words_of_dev, opinions[weights.c], weights, dev)["accuracy"],
            # Taking off the mean over the scored rows is for label words alone.
            "calibrated_accuracy": float("nan"),
            "weights": json.dumps(asdict(weights)),
        }
        found[name] = _Reading(probe, weights, scores)
    return found, reading.forward.rows


def _measured(words: Tensor, probe: Tensor, weights: EnsembleWeights, rows: Split) -> Metrics:
    return measure(pooled(words, probe, weights), rows.labels)
