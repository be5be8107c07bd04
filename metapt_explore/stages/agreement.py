"""Gradient agreement as a stage: auxiliary and downstream tasks at one prompt; made on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from metapt_explore.config import LabelsConfig, Placement, StudyConfig, TaskConfig
from metapt_explore.models.backbone import Backbone
from metapt_explore.stages.template_ranking import training_rows
from metapt_explore.stages.texts import OnUnits, Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.texts.rows import TextInput, as_inputs
from metapt_explore.verbalizers.pattern import words_key


def agreement_recipe(
    study: StudyConfig,
    downstream: Mapping[str, TaskConfig],
    texts: Artifact,
    tasks: Artifact,
    names: Mapping[int, str],
    splits: Mapping[str, Artifact],
    prompt: Artifact,
    model: dict[str, Any],
    placement: Placement,
    backbone: Callable[[], Backbone],
    on_units: OnUnits,
) -> Recipe:
    """Cosines of the gradients of auxiliary tasks with one another and with downstream tasks.

    Of a downstream task the training rows of each data seed are looked at, never a dev or test row.

    Args:
        study: The study.
        downstream: Its downstream tasks by name.
        texts: The pre-training texts.
        tasks: Auxiliary tasks made of them.
        names: What auxiliary tasks are called, by number.
        splits: Few-shot splits of each downstream task.
        prompt: Where gradients are taken.
        model: What the language model's answers depend on.
        placement: Where the prompt stands.
        backbone: Loads the language model.
        on_units: Called with the number of finished draws.
    """
    settings, auxiliary = study.agreement, study.auxiliary_tasks
    whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
    config: dict[str, Any] = {
        "rows": settings.rows,
        "draws": settings.draws,
        "seed": study.seed,
        "placement": placement,
        "auxiliary": [auxiliary.template, words_key(auxiliary)],
        "downstream": {name: [task.template, words_key(task)] for name, task in downstream.items()},
        "data_seeds": study.evaluation.data_seeds,
    }
    if whole_vocabulary:
        config["decode"] = study.verbalizer.decode
    parents = {"texts": texts.id, "tasks": tasks.id, "prompt": prompt.id}
    parents |= {f"split of {name}": split.id for name, split in splits.items()}
    stage = Question("agreement", "agreement of gradients", 1, config, parents, model)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.diagnostics.agreement import agreement_pairs, task_record
        from metapt_explore.diagnostics.task_gradients import Draw, balanced_draws, gradients_of, halved
        from metapt_explore.models.gradients import PromptObjective
        from metapt_explore.pretraining.episodes import read_tasks
        from metapt_explore.seeds import stream

        loaded = backbone()
        vectors = prompt.tensors("prompt")["prompt"].to(loaded.device)
        done, passes = 0, 0.0

        def on_draw() -> None:
            nonlocal done
            done += 1
            on_units(done)

        def measure(
            labels: LabelsConfig,
            where: str,
            inputs: list[TextInput],
            draws: dict[str, list[Draw]],
            kind: Any,
            apart: list[str],
        ) -> list[Any]:
            nonlocal passes
            pattern = loaded.pattern(labels, where, whole_vocabulary=whole_vocabulary)
            objective = PromptObjective(loaded, loaded.bank(inputs, pattern), pattern)
            objective.on_pass = lambda: on_units(done)
            found = gradients_of(objective, vectors, tasks=draws, kind=kind, apart=apart, on_draw=on_draw)
            passes += objective.row_passes
            return found

        rows_of = read_tasks(tasks.table("tasks"), list(auxiliary.labels))
        drawn: dict[str, list[Draw]] = {}
        apart: dict[str, int] = {}
        numbers = {names.get(number, f"task {number}"): number for number in rows_of}
        for name, number in numbers.items():
            classes, rng = rows_of[number], stream(study.seed, "agreement", number)
            drawn[name], apart[name] = balanced_draws(classes, settings.rows, draws=settings.draws, rng=rng)
        kept = sorted({row for draws in drawn.values() for draw in draws for rows, _ in draw for row in rows})
        place = {row: index for index, row in enumerate(kept)}
        inputs = as_inputs(texts.table("texts"))
        in_bank = {
            name: [[([place[row] for row in rows], labels) for rows, labels in draw] for draw in draws]
            for name, draws in drawn.items()
        }
        alone = [name for name, draws in apart.items() if draws == settings.draws]
        found = measure(auxiliary, "auxiliary_tasks", [inputs[row] for row in kept], in_bank, "auxiliary", alone)
        counts = {}
        for name, task in downstream.items():
            rows = training_rows(splits[name], task, study.evaluation.data_seeds)
            seeds, examples, labels = [], list[TextInput](), rows.labels
            for seed in study.evaluation.data_seeds:
                seeds.append(halved(labels[seed], len(examples)))
                examples += rows.texts[seed]
            found += measure(task, f"task {name}", examples, {name: seeds}, "downstream", [])
            counts[name] = {"also_dev": rows.also_dev, "dropped_as_test": rows.also_test}
        pairs = pd.DataFrame(agreement_pairs(found))
        out.write_table("agreement", pairs)
        records = [task_record(task) for task in found]
        for record in records:
            if record["kind"] == "auxiliary":
                name = record["name"]
                sizes = {sum(len(rows) for rows, _ in draw) for draw in drawn[name]}
                record |= {"task": numbers[name], "rows": max(sizes), "draws_apart": apart[name]}
            else:
                record |= counts[record["name"]]
        out.write_summary({"tasks": records, "diagnostic_rows": round(passes)})

    return stage, compute
