"""The prompt lens: what the finished prompts of a study look like beside the vocabulary; on request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from metapt_explore.config import StudyConfig
from metapt_explore.config.support import other_shots
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage, called_at, each_shots, listed_at
from metapt_explore.stages.begins import own_starts
from metapt_explore.storage.artifact import Artifact, ArtifactWriter

#: Prompts that are compared with one another at most.
MOST = 60
#: Why there is no lens on a deep prompt.
NOT_FOR_DEEP = (
    "The prompt lens is not for deep prompts (prompt.placement: deep): they are keys and values of every layer, and no "
    "token of the vocabulary is a vector of that kind. Scores, curves and exports work as with other prompts."
)
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
        shots: Examples a class that it was pre-trained for, where that is not the study's own number.
    """

    name: str
    method: str
    init_seed: int
    task: str | None
    data_seed: int | None
    artifact: Artifact
    pretrained: Artifact
    shots: int | None = None


def prompts_to_see(pipeline: Pipeline) -> list[Seen]:
    """Finished prompts of a study: all that were pre-trained, and of each task one that was tuned from each.

    Those of the study's own number of examples come first, then those that were pre-trained for another
    (`pretraining.support_shots: match`).

    Raises:
        UserError: Where none is finished, or prompts are not vectors like the vocabulary's.
    """
    study = pipeline.config.name
    if pipeline.config.prompt.placement == "deep":
        raise UserError(NOT_FOR_DEEP)
    seen: list[Seen] = []
    for shots in each_shots(pipeline):
        seen += _seen_at(pipeline, shots)
    if not seen:
        raise UserError(f"No prompt of '{study}' is finished yet: run the study.")
    return seen[:MOST]


def _seen_at(pipeline: Pipeline, shots: int | None) -> list[Seen]:
    """Those of one number of examples."""
    workspace, study = pipeline.workspace, pipeline.config.name
    pretrained: dict[tuple[str, int], Artifact] = {}
    for entry in workspace.index(study):
        if entry["kind"] == listed_at("prompt", shots) and entry.get("method") and entry.get("shots") == shots:
            artifact = workspace.artifact(entry["id"])
            if artifact.finished:
                pretrained[entry["method"], entry["init_seed"]] = artifact
    # As the study lists them, not as they were finished: their order is part of the question.
    methods, seeds = [method.name for method in pipeline.config.methods], pipeline.config.evaluation.init_seeds
    asked = [(method, seed) for seed in seeds for method in methods]
    more = sorted(each for each in pretrained if each not in asked)  # of seeds that the study had before
    seen = [
        Seen(f"{called_at(method, shots)}, seed {seed}", method, seed, None, None, prompt, prompt, shots)
        for method, seed in (*asked, *more)
        if (prompt := pretrained.get((method, seed))) is not None
    ]
    if not seen:
        return []
    first = min(seed for _, seed in pretrained)
    tuned = {
        (entry["task"], entry["method"]): workspace.artifact(entry["id"])
        for entry in workspace.current_index(study)
        if entry["kind"] == listed_at("fewshot", shots) and entry["init_seed"] == first and entry.get("shots") == shots
    }
    for task in pipeline.tasks:
        for method in methods:
            artifact_of_task = tuned.get((task, method))
            if artifact_of_task is None or not artifact_of_task.finished or (method, first) not in pretrained:
                continue
            data_seed = int(artifact_of_task.stage["config"]["data_seeds"][0])
            before, name = pretrained[method, first], f"{called_at(method, shots)} on {task}"
            seen.append(Seen(name, method, first, task, data_seed, artifact_of_task, before, shots))
    return seen


def vectors_at(lens: Artifact, study: StudyConfig, shots: int | None) -> pd.DataFrame:
    """The vectors of prompts of one number of examples; of all where none is given.

    Args:
        lens: A finished lens.
        study: The study.
        shots: `evaluation.shots`, or one of `evaluation.more_shots`.

    Raises:
        UserError: Where the study has no such number, or no prompt of its own for it.
    """
    vectors = lens.table("vectors")
    if shots is None:
        return vectors
    other = other_shots(study, shots)
    if "shots" not in vectors and other is None:
        return vectors
    if "shots" not in vectors or not (vectors["shots"] == shots).any():
        raise UserError(
            f"'{study.name}' has no finished prompt that was pre-trained for {shots} examples a class: without "
            "`pretraining: {support_shots: match}` all numbers share one prompt."
        )
    return vectors[vectors["shots"] == shots]


@dataclass(frozen=True, eq=False)
class Lens(Stage):
    """Nearest tokens, lengths, drift and similarities of the finished prompts; pre-trains nothing."""

    kind = "lens"
    needs = "model"
    part = "request"
    key = "lens"
    title = "prompts beside the vocabulary"

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Lens]:
        """Of all finished prompts together."""
        yield cls(pipeline)

    @cached_property
    def seen(self) -> list[Seen]:
        """The prompts.

        Raises:
            UserError: Where none is finished.
        """
        return prompts_to_see(self.pipeline)

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The prompts."""
        return {f"prompt {place}": prompt.artifact for place, prompt in enumerate(self.seen)}

    def config(self) -> dict[str, Any]:
        """Which vectors of them, and how many tokens are named."""
        data_seeds = [prompt.data_seed for prompt in self.seen]
        return {"top": TOP, "data_seeds": data_seeds, "names": [prompt.name for prompt in self.seen]}

    def inputs(self) -> dict[str, Any]:
        """The model's embeddings; where it runs does not matter."""
        return {key: value for key, value in super().inputs().items() if key in ("model", "dtype")}

    def compute(self, out: ArtifactWriter) -> None:
        """Compares the prompts with the vocabulary and with one another."""
        from metapt_explore.prompts.lens import describe_vectors, similarities

        loaded, seen = self.backbone(), self.seen
        vocabulary = loaded.embedding.detach()

        def token(number: int) -> str:
            return str(loaded.tokenizer.decode([number]))

        # The column is there where prompts of several numbers of examples are.
        several = self.study.evaluation.shots if any(prompt.shots for prompt in seen) else None
        rows, prompts, starts = [], {}, {}
        for prompt in seen:
            pretrained = prompt.pretrained.tensors("prompt")
            if prompt.task is None:
                tensor, start = pretrained["prompt"], pretrained.get("init")
            else:
                name = f"data_seed_{prompt.data_seed}"
                tensor = prompt.artifact.tensors("prompts")[name]
                start = own_starts(prompt.artifact).get(name, pretrained["prompt"])
            tensor = tensor.to(vocabulary.device)
            prompts[prompt.name] = tensor
            if start is not None:
                starts[prompt.name] = start.to(vocabulary.device)
            for row in describe_vectors(tensor, starts.get(prompt.name), vocabulary, token=token, top=TOP):
                about = {"prompt": prompt.name, "method": prompt.method, "init_seed": prompt.init_seed}
                about |= {} if several is None else {"shots": prompt.shots or several}
                rows.append({**about, "task": prompt.task, **row, "nearest": json.dumps(row["nearest"])})
        out.write_table("vectors", pd.DataFrame(rows))
        out.write_table("similarities", pd.DataFrame(similarities(prompts, starts)))
        out.write_summary({"prompts": len(seen), "vocabulary": len(vocabulary), "width": int(vocabulary.shape[1])})
