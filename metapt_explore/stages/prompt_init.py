"""A prompt's start as part of a stage: what its numbers depend on, and where they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metapt_explore.config import MethodConfig, StartConfig, StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.prompts.init import label_words, start_prompt
from metapt_explore.prompts.load import StoredPrompt, find_adapter, find_tensor
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.models.backbone import Backbone


@dataclass(frozen=True)
class FoundStart:
    """A start with everything that its numbers depend on besides seeds, length and model.

    Attributes:
        start: What was asked for.
        config: What stands for it in the stage's configuration.
        inputs: Content hash of a file.
        parents: An artifact.
        words: Label words (labels).
        stored: The prompt's place (file, peft, artifact).
    """

    start: StartConfig
    config: Any
    inputs: dict[str, str] = field(default_factory=dict)
    parents: dict[str, Artifact] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    stored: StoredPrompt | None = None

    def make(self, study: StudyConfig, init_seed: int, backbone: Backbone) -> Tensor:
        """The prompt to start from, fp32 `[length, width]` on the model's device."""
        given = None
        if self.stored is not None:
            self.stored.check_fits(study.prompt.length, backbone.width)
            given = self.stored.read(backbone.embedding)
        return start_prompt(
            self.start,
            study.prompt.length,
            backbone.embedding,
            study.seed,
            init_seed,
            tokenizer=backbone.tokenizer,
            label_words=self.words,
            given=given,
            on_notice=backbone.on_notice,
        )


def find_start(study: StudyConfig, method: MethodConfig, workspace: Workspace, model: str) -> FoundStart:
    """Finds what a method's start is made of; nothing is computed.

    Args:
        study: The study.
        method: One of its methods.
        workspace: Where artifacts lie.
        model: Content hash of the study's model.

    Raises:
        UserError: Where a file, adapter or artifact cannot be found, or an artifact belongs to another model.
    """
    start = method.start or study.prompt.start
    where = f"start of method '{method.name}'" if method.start else "prompt.start"
    if start.kind == "labels":
        words = label_words(study.auxiliary_tasks)
        return FoundStart(start, {"labels": words}, words=tuple(words))
    if start.file is not None:
        stored = find_tensor(start.file, start.tensor, where)
        # The name as it was found: the same tensor is the same question, whether or not it was named.
        return FoundStart(start, {"file": stored.tensor}, {"start": stored.content}, stored=stored)
    if start.peft is not None:
        stored = find_adapter(start.peft, where)
        return FoundStart(start, "peft", {"start": stored.content}, stored=stored)
    if start.artifact is not None:
        return _from_artifact(start, start.artifact, where, workspace, model)
    return FoundStart(start, start.short)


def _from_artifact(start: StartConfig, identifier: str, where: str, workspace: Workspace, model: str) -> FoundStart:
    artifact = workspace.find("prompt", identifier, where)
    stored = find_tensor(artifact.file("prompt.safetensors"), "prompt", where)
    if artifact.stage.get("inputs", {}).get("model") != model:
        raise UserError(
            f"{where}: the prompt {artifact.id} was made for the model '{_model_of(stored)}', whose files are not "
            "those of the study's model; a prompt means something to its own model only."
        )
    return FoundStart(start, "artifact", parents={"start": artifact}, stored=stored)


def _model_of(stored: StoredPrompt) -> str:
    from safetensors import safe_open

    with safe_open(stored.file, framework="pt") as opened:
        return str((opened.metadata() or {}).get("model", "unknown"))


def distinct_starts(study: StudyConfig) -> Iterator[MethodConfig]:
    """One method for each start that the study really uses."""
    seen: list[StartConfig] = []
    for method in study.methods:
        start = method.start or study.prompt.start
        if start not in seen:
            seen.append(start)
            yield method


def embedding_width(settings: Any) -> int | None:
    """Width of a model's input embeddings by its configuration; None where it does not say."""
    # Some models embed tokens in fewer numbers than their layers work with (OPT; ALBERT, ELECTRA).
    names = ("word_embed_proj_dim", "embedding_size", "hidden_size")
    return next((width for name in names if (width := getattr(settings, name, None))), None)
