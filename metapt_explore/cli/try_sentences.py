"""`metapt try`: sentences under every prompt that was tuned on a task."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metapt_explore.cli.lens import study_of
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo
from metapt_explore.results.tables import fewshot_entries
from metapt_explore.stages.fewshot_probe import kept_probe, kept_weights
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.fewshot.linear_probe import LinearProbe
    from metapt_explore.fewshot.probe_ensemble import EnsembleWeights
    from metapt_explore.models.backbone import Backbone


def answer_sentences(
    lines: Iterable[str], study: str, task: str, init_seed: int, data_seed: int, workspace: Path | None
) -> None:
    """Answers each line with a JSON object: method to class to probability.

    The first line that is printed says which methods there are, and which cannot answer and why; the model is loaded
    once.

    Args:
        lines: JSON strings.
        study: The study.
        task: The task whose template and words are read.
        init_seed: Initialisation seed of the prompts.
        data_seed: Data seed that they were tuned with.
        workspace: Where the study is.

    Raises:
        UserError: Where no prompt was tuned so, or none can answer.
    """
    import torch

    from metapt_explore.models.scoring import score_all

    own = study_of(Workspace(workspace), study)
    prompts, left_out = _tuned(own, task, init_seed, data_seed)
    if not prompts and left_out:
        raise UserError(next(iter(left_out.values())))
    if not prompts:
        raise UserError(
            f"No prompt that is read by label words, alone or beside a probe, was tuned on '{task}' with "
            f"initialisation seed {init_seed} and data seed {data_seed}."
        )
    if "{text_pair}" in own.tasks[task].template:
        raise UserError(f"'{task}' reads pairs of texts; one sentence cannot be tried under its prompts.")
    backbone = own.backbone
    pattern = backbone.pattern(own.tasks[task], task)
    stacked = torch.stack([prompt.tensor for prompt in prompts]).to(backbone.device)
    methods = [prompt.method for prompt in prompts]
    echo(json.dumps({"methods": methods, "classes": list(pattern.classes), "left_out": left_out}))
    for line in lines:
        text = json.loads(line)
        if not str(text).strip():
            echo(json.dumps({}))
            continue
        scores = score_all(backbone, stacked, backbone.bank([text], pattern), pattern=pattern)[:, 0]
        words = pattern.verbalizer.for_loss(scores)[:, : len(pattern.classes)]
        shares = _beside_probes(words, prompts, text, backbone).softmax(-1).tolist()
        answer = {
            prompt.method: dict(zip(pattern.classes, row, strict=True))
            for prompt, row in zip(prompts, shares, strict=True)
        }
        echo(json.dumps(answer))
        backbone.forget([text], pattern)


@dataclass(frozen=True)
class _Tuned:
    """A method's prompt, and what is read beside it."""

    method: str
    tensor: Tensor
    beside: tuple[EnsembleWeights, LinearProbe] | None


def _tuned(study: Study, task: str, init_seed: int, data_seed: int) -> tuple[list[_Tuned], dict[str, str]]:
    """Prompts that were tuned so, of methods that need no few-shot rows to be read; and why others cannot be read."""
    from metapt_explore.fewshot.probe_ensemble import EnsembleWeights

    found, left_out = [], {}
    for entry in fewshot_entries(study.workspace, study.config.name):
        artifact = study.workspace.artifact(entry["id"])
        reading = study.config.reading_of(study.config.method(entry["method"]))
        if (entry["task"], entry["init_seed"]) != (task, init_seed) or not artifact.finished:
            continue
        if reading.read != "words" and not reading.has_probe:
            continue
        tensor = artifact.tensors("prompts").get(f"data_seed_{data_seed}")
        if tensor is None:
            continue
        kept, beside = kept_weights(artifact, data_seed), None
        try:
            if kept is not None:
                beside = EnsembleWeights(**kept), kept_probe(artifact, data_seed, list(study.tasks[task].labels), task)
        except UserError as error:
            left_out[entry["method"]] = str(error)
            continue
        found.append(_Tuned(entry["method"], tensor.float(), beside))
    return found, left_out


def _beside_probes(words: Tensor, prompts: list[_Tuned], text: str, backbone: Backbone) -> Tensor:
    """What label words say of a text under each prompt, `[prompts, classes]`, and the probe where there is one."""
    import torch

    from metapt_explore.fewshot.probe_ensemble import pooled
    from metapt_explore.models.hidden_states import text_hidden_states

    if all(prompt.beside is None for prompt in prompts):
        return words
    views = text_hidden_states(backbone, [text])
    read = []
    for own, prompt in zip(words.cpu().split(1), prompts, strict=True):
        if prompt.beside is not None:
            weights, probe = prompt.beside
            own = pooled(own, probe.scores(views), weights)
        read.append(own)
    return torch.cat(read)
