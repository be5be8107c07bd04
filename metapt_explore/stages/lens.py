"""The prompt lens as a stage: what the finished prompts of a study look like beside the vocabulary."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.results.tables import fewshot_entries
from metapt_explore.stages.texts import Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.storage.workspace import Workspace

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone

#: Prompts that are compared with one another at most.
MOST = 60
#: Nearest tokens that are named.
TOP = 6


@dataclass(frozen=True)
class Seen:
    """One prompt that is looked at.

    Attributes:
        name: What it is called.
        method: Its method.
        init_seed: Of its pre-training.
        task: The task that it was tuned on; None for the pre-trained prompt.
        data_seed: Of the tuning.
        artifact: Where it lies.
        pretrained: The pre-training that it came from.
    """

    name: str
    method: str
    init_seed: int
    task: str | None
    data_seed: int | None
    artifact: Artifact
    pretrained: Artifact


def prompts_to_see(workspace: Workspace, study: str) -> list[Seen]:
    """Finished prompts of a study: all that were pre-trained, and of each task one that was tuned from each.

    Raises:
        UserError: Where none is finished.
    """
    pretrained: dict[tuple[str, int], Artifact] = {}
    for entry in workspace.index(study):
        artifact = workspace.artifact(entry["id"])
        if entry["kind"] == "prompt" and entry.get("method") and artifact.finished:
            pretrained[entry["method"], entry["init_seed"]] = artifact
    found = [
        Seen(f"{method}, seed {seed}", method, seed, None, None, artifact, artifact)
        for (method, seed), artifact in pretrained.items()
    ]
    if not found:
        raise UserError(f"No prompt of '{study}' is finished yet: run the study.")
    first = min(seed for _, seed in pretrained)
    for entry in fewshot_entries(workspace, study):
        artifact = workspace.artifact(entry["id"])
        key = entry["method"], entry["init_seed"]
        if entry["init_seed"] != first or not artifact.finished or key not in pretrained:
            continue
        data_seed = int(artifact.stage["config"]["data_seeds"][0])
        name = f"{entry['method']} on {entry['task']}"
        found.append(Seen(name, entry["method"], first, entry["task"], data_seed, artifact, pretrained[key]))
    return found[:MOST]


def lens_recipe(seen: list[Seen], model: dict[str, Any], backbone: Callable[[], Backbone]) -> Recipe:
    """Nearest tokens, lengths, drift and similarities of prompts.

    Args:
        seen: The prompts.
        model: What the model's answers depend on.
        backbone: Loads it.
    """
    parents = {f"prompt {place}": prompt.artifact.id for place, prompt in enumerate(seen)}
    config = {"top": TOP, "data_seeds": [prompt.data_seed for prompt in seen], "names": [p.name for p in seen]}
    inputs: dict[str, Any] = {key: model[key] for key in ("model", "dtype") if key in model}
    stage = Question("lens", "prompts beside the vocabulary", 1, config, parents, inputs)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.prompts.lens import describe_vectors, similarities

        loaded = backbone()
        vocabulary = loaded.embedding.detach()

        def token(number: int) -> str:
            return str(loaded.tokenizer.decode([number]))

        rows, prompts, starts = [], {}, {}
        for prompt in seen:
            pretrained = prompt.pretrained.tensors("prompt")
            if prompt.task is None:
                tensor, start = pretrained["prompt"], pretrained.get("start")
            else:
                tensor, start = (
                    prompt.artifact.tensors("prompts")[f"data_seed_{prompt.data_seed}"],
                    pretrained["prompt"],
                )
            tensor = tensor.to(vocabulary.device)
            prompts[prompt.name] = tensor
            if start is not None:
                starts[prompt.name] = start.to(vocabulary.device)
            for row in describe_vectors(tensor, starts.get(prompt.name), vocabulary, token=token, top=TOP):
                about = {"prompt": prompt.name, "method": prompt.method, "init_seed": prompt.init_seed}
                rows.append({**about, "task": prompt.task, **row, "nearest": json.dumps(row["nearest"])})
        out.write_table("vectors", pd.DataFrame(rows))
        out.write_table("similarities", pd.DataFrame(similarities(prompts, starts)))
        out.write_summary({"prompts": len(seen), "vocabulary": len(vocabulary), "width": int(vocabulary.shape[1])})

    return stage, compute
