"""A prompt's start as part of a stage: what its numbers depend on, and where they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from metapt_explore.config import InitConfig, MethodConfig, Placement, StudyConfig
from metapt_explore.config.init import ArtifactInit, FileInit, HubInit, LabelsInit, PeftInit
from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.models.backbone import Backbone
    from metapt_explore.prompts.load import StoredPrompt


@dataclass(frozen=True)
class FoundInit:
    """An initial prompt with everything that its numbers depend on besides seeds, length and model.

    Attributes:
        init: What was asked for.
        config: What stands for it in the stage's configuration.
        inputs: Content hash of a file.
        parents: An artifact.
        words: Label words (labels).
        stored: The prompt's place (file, peft, hub, artifact).
    """

    init: InitConfig
    config: Any
    inputs: dict[str, str] = field(default_factory=dict)
    parents: dict[str, Artifact] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    stored: StoredPrompt | None = None

    def make(self, study: StudyConfig, init_seed: int, backbone: Backbone) -> Tensor:
        """The initial prompt, fp32 `[length, width]` on the model's device."""
        from metapt_explore.prompts.init import InitSources, initial_prompt

        stored = None
        if self.stored is not None:
            self.stored.check_fits(study.prompt.length, backbone.width)
            stored = self.stored.read(backbone.usual_vectors)
            if starts := self.stored.other_starts():
                backbone.on_notice(
                    f"{self.stored.where}: that prompt has {starts} starts; only what they have in common is taken."
                )
        return initial_prompt(
            self.init,
            study.prompt.length,
            InitSources(
                backbone.embedding,
                tokenizer=backbone.tokenizer,
                label_words=self.words,
                stored=stored,
                as_prompt=backbone.as_prompt,
                usual=backbone.usual_vectors if backbone.placement == "deep" else None,
            ),
            seed=study.seed,
            init_seed=init_seed,
            on_notice=backbone.on_notice,
        )


def find_init(study: StudyConfig, method: MethodConfig, workspace: Workspace, *, model: str) -> FoundInit:
    """Finds what a method's initial prompt is made of; nothing is computed.

    Args:
        study: The study.
        method: One of its methods.
        workspace: Where artifacts lie.
        model: Content hash of the study's model.

    Raises:
        UserError: Where a file, adapter or artifact cannot be found, or a prompt belongs to another model.
    """
    from metapt_explore.prompts.init import label_words
    from metapt_explore.prompts.load import find_adapter, find_tensor

    init = method.own_init or study.prompt.init
    where = f"init of method '{method.name}'" if method.own_init else "prompt.init"
    if isinstance(init, LabelsInit):
        words = label_words(study.auxiliary_tasks.first_reading)
        return FoundInit(init, {"labels": words}, words=tuple(words))
    if isinstance(init, FileInit):
        stored = find_tensor(init.file, init.tensor, where)
        # The name as it was found: the same tensor is the same question, whether or not it was named.
        return FoundInit(init, {"file": stored.tensor}, {"init": stored.content}, stored=stored)
    if isinstance(init, PeftInit):
        stored = find_adapter(init.peft, where)
        return FoundInit(init, "peft", {"init": stored.content}, stored=stored)
    if isinstance(init, HubInit):
        return _from_hub(init, where, model=model)
    if isinstance(init, ArtifactInit):
        return _from_artifact(init, init.artifact, where, workspace=workspace, model=model)
    return FoundInit(init, init.short)


def _from_hub(init: HubInit, where: str, *, model: str) -> FoundInit:
    from metapt_explore.models.model_files import read_json
    from metapt_explore.prompts.exported_files import FACTS_FILE, PROMPT_FILE, find_folder
    from metapt_explore.prompts.load import find_tensor

    try:
        folder = find_folder(init.hub, init.revision)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if not (folder / PROMPT_FILE).is_file():
        raise UserError(f"{where}: '{init.hub}' holds no prompt of metapt_explore: {PROMPT_FILE} is missing.")
    facts = read_json(folder / FACTS_FILE, where)
    if isinstance(facts, dict) and facts.get("model_hash") not in (None, model):
        made_for = facts.get("model")
        name = str(made_for.get("name"))[:80] if isinstance(made_for, dict) else "unknown"
        raise UserError(
            f"{where}: the prompt '{init.hub}' was made for the model '{name}', whose files are not those of the "
            "study's model; a prompt means something to its own model only."
        )
    stored = find_tensor(folder / PROMPT_FILE, "prompt", where)
    return FoundInit(init, "hub", {"init": stored.content}, stored=stored)


def _from_artifact(init: InitConfig, identifier: str, where: str, *, workspace: Workspace, model: str) -> FoundInit:
    from metapt_explore.prompts.load import find_tensor

    artifact = workspace.find("prompt", identifier, where)
    stored = find_tensor(artifact.file("prompt.safetensors"), "prompt", where)
    if artifact.stage.get("inputs", {}).get("model") != model:
        raise UserError(
            f"{where}: the prompt {artifact.id} was made for the model '{_model_of(stored)}', whose files are not "
            "those of the study's model; a prompt means something to its own model only."
        )
    return FoundInit(init, "artifact", parents={"init": artifact}, stored=stored)


def _model_of(stored: StoredPrompt) -> str:
    from safetensors import safe_open

    with safe_open(stored.file, framework="pt") as opened:
        return str((opened.metadata() or {}).get("model", "unknown"))


def distinct_inits(study: StudyConfig) -> Iterator[MethodConfig]:
    """One method for each initial prompt that the study really uses."""
    seen: list[InitConfig] = []
    for method in study.methods:
        init = method.own_init or study.prompt.init
        if init not in seen:
            seen.append(init)
            yield method


def prompt_width(settings: Any, placement: Placement) -> int | None:
    """Numbers in a vector of a prompt by the model's configuration; None where it does not say."""
    if placement == "deep":
        from metapt_explore.models.deep import DeepShape

        return DeepShape.of(settings).width
    # Some models embed tokens in fewer numbers than their layers work with (OPT; ALBERT, ELECTRA).
    names = ("word_embed_proj_dim", "embedding_size", "hidden_size")
    return next((width for name in names if (width := getattr(settings, name, None))), None)
