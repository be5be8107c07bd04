"""The second half of the pipeline as stages: the prompt, and its few-shot evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from metapt_explore.config import MethodConfig, Placement, StudyConfig, TaskConfig, VerbalizerConfig
from metapt_explore.fewshot.automatic import tune_with_automatic_words
from metapt_explore.fewshot.scoring import FewShotData
from metapt_explore.fewshot.tuning import tune
from metapt_explore.fewshot.tuning_steps import TuningPlan
from metapt_explore.models.backbone import Backbone
from metapt_explore.pretraining.budget import outer_steps, tuning_of
from metapt_explore.pretraining.episode_bank import PretrainingTexts
from metapt_explore.pretraining.episodes import read_tasks
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.loop import pretrain
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.pretraining.state import TrainingCallbacks
from metapt_explore.prompts.health import norm_ratio
from metapt_explore.stages.fewshot_rows import FewShotRows
from metapt_explore.stages.labels import row_classes
from metapt_explore.stages.prompt_init import FoundInit
from metapt_explore.stages.texts import OnUnits, Recipe
from metapt_explore.stages.topics import make_topics, topic_labels, topic_parents, topic_settings
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.texts.rows import as_inputs
from metapt_explore.verbalizers.pattern import words_key

#: Settings of a method's recipe that change its prompt.
RECIPE_KEYS = ("average_last", "pooled_weight", "task_weights")

LoadBackbone = Callable[[], Backbone]


def prompt_recipe(
    study: StudyConfig,
    method: MethodConfig,
    init_seed: int,
    texts: Artifact | None,
    tasks: Artifact | None,
    labels: Artifact | None,
    found: FoundInit,
    model: dict[str, Any],
    placement: Placement,
    backbone: LoadBackbone,
    on_units: OnUnits,
    topics: Sequence[Artifact] = (),
) -> Recipe:
    """The prompt of a method and initialisation seed: its start for PT, a complete pre-training otherwise."""
    config: dict[str, Any] = {
        "kind": method.kind,
        "init_seed": init_seed,
        "seed": study.seed,
        "length": study.prompt.length,
        "placement": placement,
        "start": found.config,
    }
    parents = dict(found.parents)
    whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
    if texts is not None and tasks is not None:
        settings = study.pretraining.model_dump(mode="json", exclude={"checkpoint_every"})
        words = words_key(study.auxiliary_tasks)
        config |= {**settings, "template": study.auxiliary_tasks.template, "words": words}
        if whole_vocabulary:
            config["decode"] = study.verbalizer.decode
        # Pooled pre-training has no inner step: its answer does not depend on the inner rate.
        config.pop("inner_lr")
        if method.kind == "metapt":
            config |= {
                "learner": method.learner,
                "order": method.order,
                "inner_steps": method.inner_steps,
                "inner_lr": method.inner_lr or study.pretraining.inner_lr,
                "outer_steps": outer_steps(method, study.pretraining),
            }
        # Settings that came later: prompts that were made before them keep their ids.
        if method.outer_lr is not None:
            config["outer_lr"] = method.outer_lr
        config |= {key: getattr(method, key) for key in RECIPE_KEYS if method.is_set(key)}
        if method.kind == "ppt" and study.auxiliary_tasks.classes == "clusters":
            config["pool"] = "word of the first task"
        config |= topic_settings(method)
        parents |= {"texts": texts.id, "tasks": tasks.id, **topic_parents(topics)}
    title = f"prompt of {method.name}, initialisation seed {init_seed}"
    stage = Question("prompt", title, 2, config, parents, {**model, **found.inputs})

    def compute(out: ArtifactWriter) -> None:
        before, loaded = out.seconds, backbone()
        start = found.make(study, init_seed, loaded)
        summary: dict[str, Any] = {"start": found.init.kind}
        learned = {"prompt": start}
        if texts is not None and tasks is not None:
            began = time.monotonic()
            table = tasks.table("tasks")
            task_rows = read_tasks(table, list(study.auxiliary_tasks.labels))
            frame = texts.table("texts")
            rows = as_inputs(frame)
            # With clusters as classes a row's label is what a task makes of it.
            labelled = sorted(set(map(int, table["row"])))
            if study.auxiliary_tasks.classes == "labels":
                labelled = [row for row, name in enumerate(row_classes(study, texts, labels)) if name]
            pattern = loaded.pattern(study.auxiliary_tasks, "auxiliary_tasks", whole_vocabulary=whole_vocabulary)
            of_topics, topic_patterns = None, []
            if method.topics is not None:
                template = method.topics.template
                of_topics = make_topics(topics, config["topics"], task_rows)
                words = topic_labels(topics, of_topics, template, loaded.layout.word_encoder(template))
                topic_patterns = [loaded.pattern(each, "topics", whole_vocabulary=whole_vocabulary) for each in words]
                summary["topic_words"] = [[label.word for label in each.labels.values()] for each in words]
            pretraining_task = PretrainingTask(
                task_rows, study.pretraining, method, study.seed, init_seed, labelled, of_topics
            )
            learner = make_learner(pretraining_task)
            pretrained = pretrain(
                learner,
                pretraining_task,
                start,
                backbone=loaded,
                source=PretrainingTexts(rows, pattern, topic_patterns),
                callbacks=TrainingCallbacks(out.metric, on_units, on_units, out),
            )
            learned, telemetry = pretrained.learned, pretrained.telemetry
            summary |= {
                "row_passes": round(telemetry.row_passes),
                "diagnostic_rows": telemetry.diagnostic_rows,
                "outer_steps": pretraining_task.steps,
            }
            out.write_table(
                "telemetry", pd.DataFrame([{**asdict(telemetry), "seconds": before + time.monotonic() - began}])
            )
        meta: dict[str, str] = {"placement": placement, "model": study.model.name, "method": method.name}
        prompt = learned["prompt"]
        out.write_tensors("prompt", {**learned, "start": start}, meta)
        moved, ratio = float((prompt - start).norm()), norm_ratio(prompt, loaded.embedding)
        out.write_summary({**summary, "norm": float(prompt.norm()), "moved": moved, "norm_ratio": ratio})

    return stage, compute


def fewshot_recipe(
    study: StudyConfig,
    task: TaskConfig,
    method: MethodConfig,
    init_seed: int,
    split: Artifact,
    prompt: Artifact,
    model: dict[str, Any],
    verbalizer: VerbalizerConfig,
    backbone: LoadBackbone,
    on_units: OnUnits,
) -> Recipe:
    """Few-shot tuning of one prompt on one task, over all data seeds and learning rates."""
    evaluation = tuning_of(method, study, len(task.labels))
    config: dict[str, Any] = {
        "template": task.template,
        "words": words_key(task),
        "learning_rates": evaluation.learning_rates,
        "steps": evaluation.steps,
        "scored_steps": evaluation.scored_steps,
        "batch_size": evaluation.batch_size,
        "select_by": evaluation.select_by,
        "data_seeds": evaluation.data_seeds_of(init_seed),
        "init_seed": init_seed,
        "seed": study.seed,
    }
    # Settings that came later: scores that were made before them keep their ids.
    config |= {key: value for key in ("proximal", "halving_steps", "curve_rows") if (value := getattr(evaluation, key))}
    if evaluation.soup > 1:
        config["soup"] = evaluation.soup
    order = method.tuning.order_seed if method.tuning is not None else None
    if order is not None:
        config["order_seed"] = order
    if evaluation.scored_on != "test":
        config |= {"scored_on": evaluation.scored_on, "scored_rows": evaluation.test_rows}
    if verbalizer != VerbalizerConfig():  # finished evaluations that were read the plain way stay valid
        config["verbalizer"] = verbalizer.model_dump(mode="json", exclude_defaults=True)
    title = f"few-shot {task.name}, {method.name}, initialisation seed {init_seed}"
    stage = Question("fewshot", title, 2, config, {"split": split.id, "prompt": prompt.id}, model)

    def compute(out: ArtifactWriter) -> None:
        loaded = backbone()
        start = prompt.tensors("prompt")["prompt"].to(loaded.device)
        rows = FewShotRows(split, task, evaluation, init_seed)
        # No initialisation seed is negative: an order that is asked for is none of theirs.
        where, seeds = f"task {task.name}", (study.seed, *([init_seed] if order is None else [-1, order]))
        data = FewShotData(rows.train, rows.dev, rows.scored)
        plan = TuningPlan(evaluation, seeds, verbalizer)
        callbacks = TrainingCallbacks(out.metric, on_units, on_units, out)
        if verbalizer.read == "automatic":
            outcome = tune_with_automatic_words(
                start, data, plan, backbone=loaded, labels=task, where=where, callbacks=callbacks
            )
        else:
            pattern = loaded.pattern(task, where, whole_vocabulary=verbalizer.decode == "whole_vocabulary")
            outcome = tune(start, data, plan, backbone=loaded, pattern=pattern, callbacks=callbacks)
        out.write_table("results", pd.DataFrame(outcome.results))
        out.write_table("curves", pd.DataFrame(outcome.curves))
        out.write_tensors("prompts", {f"data_seed_{seed}": value for seed, value in outcome.prompts.items()})
        counts = {"row_passes": outcome.passes, "forward_rows": outcome.forward}
        out.write_summary({**counts, "test_rows": len(rows.scored.texts)})

    return stage, compute
