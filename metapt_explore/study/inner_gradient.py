"""How long a plain inner step is: the length of one support gradient at the common start, measured in about a second.

A step of Adam is as long as its rate, so settings tell it. A plain gradient step is its rate times the gradient, which
takes the model: `metapt plan` and every run that predicts its cost have it loaded anyway. What a run measured is kept
beside the study's other files, so that pages, which load no model, can show it and follow a changed rate.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.results.cut_texts import format_samples
from metapt_explore.stages.common_start import CommonStart
from metapt_explore.stages.labels import row_classes
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import TextInput, as_inputs

if TYPE_CHECKING:
    from metapt_explore.study.pipeline import StudyPipeline

#: Rows that are read for it, of one support set or several: enough for the size of a gradient, in about a second.
MEASURED_ROWS = 16


def inner_gradient(study: StudyPipeline, texts: Artifact | None) -> float | None:
    """Root mean square, over the numbers of the prompt, of the gradient of a support loss at the common start.

    Of a study that lists formats the first one stands for all. Rows whose class no stage has made yet (formats,
    clusters as classes) get classes in turn: at a start that knows neither, a gradient is about as long.

    Args:
        study: The study; its model is loaded, where it is not.
        texts: The pre-training texts.

    Returns:
        None where no texts are read, or their rows cannot be made.
    """
    if texts is None:
        return None
    from metapt_explore.diagnostics.adapted_losses import moved
    from metapt_explore.models.gradients import Batch, PromptObjective

    config, reading = study.config, study.config.auxiliary_tasks.first_reading
    size = min(config.pretraining.support_size, MEASURED_ROWS)
    try:
        rows, labels = _support_rows(study, texts, size * (MEASURED_ROWS // size))
        loaded = study.backbone
        pattern = loaded.pattern(
            reading, "auxiliary_tasks", whole_vocabulary=config.verbalizer.decode == "whole_vocabulary"
        )
        start = CommonStart.of(study, study.seed(None)).init.make(config, study.seed(None), loaded)
    except UserError:  # a run or a check says what is wrong
        return None
    if not rows:
        return None
    groups = max(1, len(rows) // size)
    batch = Batch(range(len(rows)), [min(row // size, groups - 1) for row in range(len(rows))], labels)
    objective = PromptObjective(loaded, loaded.bank(rows, pattern), pattern)
    _, gradients = objective.losses_and_gradients(start.to(loaded.device).expand(groups, -1, -1).contiguous(), batch)
    loaded.forget(rows, pattern)
    return float(moved(gradients).mean())


def _support_rows(study: StudyPipeline, texts: Artifact, most: int) -> tuple[list[TextInput], list[int]]:
    """Rows of the first kind of auxiliary task, of all classes in turn, and the number of each one's class."""
    auxiliary = study.config.auxiliary_tasks
    inputs: Sequence[TextInput] = as_inputs(texts.table("texts"))
    names = list(auxiliary.first_reading.labels)
    if auxiliary.labels and auxiliary.classes == "labels" and study.config.labelling is None:
        classes = row_classes(study.config, texts, None)
        of_class = [[text for text, name in zip(inputs, classes, strict=True) if name == wanted] for wanted in names]
        turns = min(map(len, of_class))
        if turns:
            mixed = [(of_class[label][turn], label) for turn in range(turns) for label in range(len(names))][:most]
            return [text for text, _ in mixed], [label for _, label in mixed]
    elif not auxiliary.labels:
        samples = format_samples(study, inputs)
        if (first := auxiliary.formats[0].called) in samples:
            inputs = samples[first].rows
    if auxiliary.first_reading.pairs:
        inputs = [text for text in inputs if not isinstance(text, str)]
    every = max(1, len(inputs) // most)
    rows = list(inputs[::every][:most])
    return rows, [row % len(names) for row in range(len(rows))]


def keep_inner_gradient(study: StudyPipeline, texts: Artifact | None) -> None:
    """Measures it for a study with plain inner steps and keeps it, unless it is kept already."""
    from metapt_explore.diagnostics.displacement import takes_plain_steps

    if not takes_plain_steps(study.config) or kept_inner_gradient(study.workspace, study.config) is not None:
        return
    if (length := inner_gradient(study, texts)) is not None:
        write_json(_file(study.workspace, study.config.name), {"of": _settings(study.config), "length": length})


def kept_inner_gradient(workspace: Workspace, config: StudyConfig) -> float | None:
    """What a run has measured with the same model, texts, tasks and start; None where none has."""
    stored = read_json(_file(workspace, config.name))
    if not isinstance(stored, dict) or stored.get("of") != _settings(config):
        return None
    length = stored.get("length")
    return float(length) if isinstance(length, int | float) else None


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.study_folder(name) / "inner_gradient.json"


def _settings(config: StudyConfig) -> str:
    """A short name of all settings that it depends on; rates and numbers of steps are none of them."""
    parts = {"model", "texts", "auxiliary_tasks", "labelling", "prompt", "verbalizer", "seed"}
    told = [
        config.model_dump(mode="json", include=parts),
        config.pretraining.support_size,
        config.evaluation.init_seeds,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
