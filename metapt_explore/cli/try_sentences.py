"""`metapt try` (hidden, used by the dashboard): sentences under every prompt that was tuned on a task."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metapt_explore.cli.options import ShotsOption, WorkspaceOption, open_study
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.fewshot.linear_probe import LinearProbe
    from metapt_explore.fewshot.probe_ensemble import EnsembleWeights
    from metapt_explore.models.backbone import Backbone
    from metapt_explore.study.study import Study


def try_sentences(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    *,
    task: Annotated[str, typer.Option(help="One of its tasks.")],
    init_seed: Annotated[int, typer.Option(help="Initialisation seed.")],
    data_seed: Annotated[int, typer.Option(help="Data seed.")],
    shots: ShotsOption = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Read sentences as JSON strings from standard input; answer each with every method's class probabilities."""
    answer_sentences(sys.stdin, study, task, seeds=(init_seed, data_seed), shots=shots, workspace=workspace)


def answer_sentences(
    lines: Iterable[str],
    study: str,
    task: str,
    *,
    seeds: tuple[int, int],
    shots: int | None = None,
    workspace: Path | None,
) -> None:
    """Answers each line with a JSON object: method to class to probability.

    The first line that is printed lists the methods, and why others cannot answer; the model is loaded once.

    Args:
        lines: JSON strings.
        study: The study.
        task: The task whose template and words are read.
        seeds: Initialisation seed of the prompts, and the data seed that they were tuned with.
        shots: Examples a class that they were tuned on; the study's own number when absent.
        workspace: Where the study is.

    Raises:
        UserError: Where no prompt was tuned so, or none can answer.
    """
    import torch

    from metapt_explore.models.scoring import score_all

    opened = open_study(study, workspace)
    prompts, unusable = _tuned_prompts(opened, task, init_seed=seeds[0], data_seed=seeds[1], shots=shots)
    if not prompts and unusable:
        raise UserError(next(iter(unusable.values())))
    if not prompts:
        raise UserError(
            f"No prompt that is read by label words, alone or beside a probe, was tuned on '{task}' with "
            f"initialisation seed {seeds[0]} and data seed {seeds[1]}."
        )
    if "{text_pair}" in opened.tasks[task].template:
        raise UserError(f"'{task}' reads pairs of texts; one sentence cannot be tried under its prompts.")
    backbone = opened.model.reading(opened.tasks[task].max_tokens)
    pattern = backbone.pattern(opened.tasks[task], task)
    tensors = [prompt.tensor.to(backbone.device) for prompt in prompts]
    alike = len({tensor.shape for tensor in tensors}) == 1
    stacks = [torch.stack(tensors)] if alike else [tensor[None] for tensor in tensors]
    methods = [prompt.method for prompt in prompts]
    echo(json.dumps({"methods": methods, "classes": list(pattern.classes), "left_out": unusable}))
    for line in lines:
        text = json.loads(line)
        if not str(text).strip():
            echo(json.dumps({}))
            continue
        bank = backbone.bank([text], pattern)
        scores = torch.cat([score_all(backbone, stack, bank, pattern=pattern) for stack in stacks])[:, 0]
        word_scores = pattern.verbalizer.for_loss(scores)[:, : len(pattern.classes)]
        probabilities = _with_probes(word_scores, prompts, text, backbone=backbone).softmax(-1).tolist()
        answer = {
            prompt.method: dict(zip(pattern.classes, row, strict=True))
            for prompt, row in zip(prompts, probabilities, strict=True)
        }
        echo(json.dumps(answer))
        backbone.forget([text], pattern)


@dataclass(frozen=True)
class _TunedPrompt:
    """A method's prompt, and the probe that is read beside it."""

    method: str
    tensor: Tensor
    probe: tuple[EnsembleWeights, LinearProbe] | None


def _tuned_prompts(
    study: Study, task: str, *, init_seed: int, data_seed: int, shots: int | None
) -> tuple[list[_TunedPrompt], dict[str, str]]:
    """Prompts tuned on a task that can be read without few-shot rows; and, by method, why others cannot."""
    from metapt_explore.config.support import other_shots
    from metapt_explore.fewshot.probe_ensemble import EnsembleWeights
    from metapt_explore.results.tables import fewshot_entries
    from metapt_explore.stages.fewshot_probe import kept_probe, kept_weights

    prompts, unusable = [], {}
    for entry in fewshot_entries(study.workspace, study.config.name, other_shots(study.config, shots)):
        artifact = study.workspace.artifact(entry["id"])
        reading = study.config.reading_of(study.config.method(entry["method"]))
        if (entry["task"], entry["init_seed"]) != (task, init_seed) or not artifact.finished:
            continue
        if reading.read != "words" and not reading.has_probe:
            continue
        tensor = artifact.tensors("prompts").get(f"data_seed_{data_seed}")
        if tensor is None:
            continue
        weights, probe = kept_weights(artifact, data_seed), None
        try:
            if weights is not None:
                classes = list(study.tasks[task].labels)
                probe = EnsembleWeights(**weights), kept_probe(artifact, data_seed, classes, task)
        except UserError as error:
            unusable[entry["method"]] = str(error)
            continue
        prompts.append(_TunedPrompt(entry["method"], tensor.float(), probe))
    return prompts, unusable


def _with_probes(word_scores: Tensor, prompts: list[_TunedPrompt], text: str, *, backbone: Backbone) -> Tensor:
    """Scores of a text's classes under each prompt, `[prompts, classes]`: of label words, and a probe's if any."""
    import torch

    from metapt_explore.fewshot.probe_ensemble import pooled
    from metapt_explore.models.hidden_states import text_hidden_states

    if all(prompt.probe is None for prompt in prompts):
        return word_scores
    states = text_hidden_states(backbone, [text])
    rows = []
    for row, prompt in zip(word_scores.cpu()[:, None], prompts, strict=True):
        if prompt.probe is None:
            rows.append(row)
        else:
            weights, probe = prompt.probe
            rows.append(pooled(row, probe.scores(states), weights))
    return torch.cat(rows)
