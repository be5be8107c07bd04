"""A baseline as a stage: one baseline on one task, over all data seeds."""

from __future__ import annotations

import time
from typing import Any

import pandas as pd

from metapt_explore import hub
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome, OutcomeCheckpoint
from metapt_explore.baselines.registry import run_of
from metapt_explore.config import BaselineConfig, StudyConfig, TaskConfig
from metapt_explore.fewshot.scoring import Split, measure
from metapt_explore.stages.prompt import LoadBackbone
from metapt_explore.stages.texts import OnUnits, Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.texts.rows import as_inputs
from metapt_explore.verbalizers.pattern import words_key

#: Units that a baseline's share of finished work is told in.
UNITS = 100
#: What runs, as summaries say it.
RUNS = {"model": "language model", "encoder": "sentence encoder", None: "no model"}


def baseline_recipe(
    study: StudyConfig,
    baseline: BaselineConfig,
    task: TaskConfig,
    init_seed: int | None,
    split: Artifact,
    model: dict[str, Any],
    device: str,
    backbone: LoadBackbone,
    on_units: OnUnits,
) -> Recipe:
    """A baseline on one task.

    Args:
        study: The study.
        baseline: Which, and its settings.
        task: The task.
        init_seed: The initialisation seed; None for baselines without initialisation.
        split: The task's few-shot splits.
        model: What the language model's answers depend on.
        device: Where the sentence encoder runs.
        backbone: Loads the language model.
        on_units: Called with the finished units, of `UNITS`.
    """
    evaluation = study.evaluation
    options = baseline.options_in(evaluation)
    data_seeds = evaluation.data_seeds if init_seed is None else evaluation.data_seeds_of(init_seed)
    config: dict[str, Any] = {
        "kind": baseline.kind,
        **options,
        "classes": list(task.labels),
        "data_seeds": data_seeds,
        "select_by": "loss" if evaluation.select_by == "one_se" else evaluation.select_by,
    }
    if init_seed is not None:
        config |= {"init_seed": init_seed, "seed": study.seed}
    inputs: dict[str, Any] = {}
    if baseline.reads_words:
        config |= {"template": task.template, "words": words_key(task), "decode": study.verbalizer.decode}
        if "content_free" in (options.get("calibration"), study.verbalizer.calibration):
            config["content_free"] = study.verbalizer.content_free
        if "steps" in options:
            config["calibration"] = study.verbalizer.calibration
            config["scored_steps"] = evaluation.of_baseline(options).scored_steps
    if baseline.runs == "model":
        inputs = dict(model)
    elif baseline.runs == "encoder":
        from metapt_explore.models.device import resolve_dtype
        from metapt_explore.models.folder import content_hash, model_folder
        from metapt_explore.models.pooling import read_pooling

        folder = model_folder(study.encoder.name, study.encoder.revision, hub.ENCODER)
        read = {"max_tokens": study.encoder.max_tokens, "batch_size": study.encoder.batch_size}
        config["encoder"] = read | read_pooling(folder, study.encoder.name).unusual
        inputs = {"encoder": content_hash(folder), "device": device.split(":")[0]}
        if baseline.kind == "setfit":
            inputs["training_dtype"] = str(resolve_dtype("auto", device)).removeprefix("torch.")
    seed_part = "" if init_seed is None else f", initialisation seed {init_seed}"
    title = f"baseline {baseline.name} on {task.name}{seed_part}"
    stage = Question("baseline", title, 1, config, {"split": split.id}, inputs)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.storage.peak_memory import PeakWatch

        rows = split.table("rows")
        classes = {name: index for index, name in enumerate(task.labels)}

        def part(name: str, seed: int | None = None) -> Split:
            chosen = rows[(rows["split"] == name) & ((rows["data_seed"] == seed) if seed is not None else True)]
            return Split(as_inputs(chosen), [classes[label] for label in chosen["label"]])

        done = 0

        def on_share(share: float) -> None:
            nonlocal done
            done = int(share * UNITS)
            on_units(done)

        kept = OutcomeCheckpoint(out)
        train, dev = ({seed: part(name, seed) for seed in data_seeds} for name in ("train", "dev"))
        test = part("test")
        baseline_inputs = BaselineInputs(
            study,
            task,
            options,
            init_seed,
            train,
            dev,
            test.texts,
            backbone,
            device,
            on_share,
            lambda: on_units(done),
            kept.save,
            kept.restore,
        )
        before, began = out.seconds, time.monotonic()
        with PeakWatch() as watch:
            outcome: BaselineOutcome = run_of(baseline.kind)(baseline_inputs)
        write_outcome(out, outcome, test, RUNS[baseline.runs])
        spent = {"seconds": before + time.monotonic() - began, "peak_mib": watch.peak}
        out.write_table("telemetry", pd.DataFrame([spent]))

    return stage, compute


def write_outcome(out: ArtifactWriter, outcome: BaselineOutcome, test: Split, runs: str) -> None:
    """Measures a baseline's scores on the test rows, whose labels are looked at here for the first time.

    Writes ``results`` (the columns of a few-shot evaluation, and what else dev chose), ``predictions`` (class index of
    every test row), ``curves`` where there are steps, and the summary.
    """
    results, predictions = [], []
    for seed, scored in outcome.seeds.items():
        end = measure(scored.scores, test.labels, outcome.verbalizer)
        begin = None if scored.start is None else measure(scored.start, test.labels, outcome.verbalizer)
        results.append(
            {
                "data_seed": seed,
                "accuracy": end["accuracy"],
                "macro_f1": end["macro_f1"],
                "test_loss": end["loss"],
                "start_accuracy": None if begin is None else begin["accuracy"],
                "start_loss": None if begin is None else begin["loss"],
                "dev_accuracy": scored.dev_accuracy,
                "learning_rate": scored.chosen.get("learning_rate"),
                "step": scored.chosen.get("step"),
                **{key: value for key, value in scored.chosen.items() if key not in ("learning_rate", "step")},
            }
        )
        choice = scored.scores if outcome.verbalizer is None else outcome.verbalizer.for_choice(scored.scores)
        predictions += [
            {"data_seed": seed, "row": row, "predicted": predicted}
            for row, predicted in enumerate(choice.argmax(dim=1).tolist())
        ]
    table = pd.DataFrame(results)
    empty = {"start_accuracy": "float64", "start_loss": "float64", "learning_rate": "float64", "step": "Int64"}
    out.write_table("results", table.astype(empty))
    out.write_table("predictions", pd.DataFrame(predictions))
    if outcome.curves:
        out.write_table("curves", pd.DataFrame(outcome.curves))
    spent = outcome.spent
    out.write_summary(
        {
            "runs": runs,
            "row_passes": spent.row_passes,
            "forward_rows": spent.forward_rows,
            "trained_parameters": spent.trained_parameters,
            "test_rows": len(test.texts),
        }
    )
