"""Facts needed to use a prompt: model, placement, and how classes are read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from metapt_explore.config import Family, LabelsConfig, ModelConfig, Placement, parse
from metapt_explore.errors import UserError
from metapt_explore.models.model_files import MAX_SIZE, read_json
from metapt_explore.prompts.exported_files import FACTS_FILE
from metapt_explore.storage.files import write_json

FORMAT = 1
DECODES, CALIBRATIONS = ("label_words", "whole_vocabulary"), ("none", "batch_mean", "content_free")


@dataclass(frozen=True)
class PromptFacts:
    """Content of ``prompt.json``, stored beside a prompt.

    Attributes:
        model: Name, revision, family and sentinel of the frozen model; ``max_text_tokens``.
        model_hash: Content hash of the model's files.
        family: Its family.
        placement: Where the prompt stands.
        tokens: Vectors of the prompt.
        width: Numbers in a vector.
        template: How a text is read.
        labels: Class name to its ``words`` (or its ``description``, for sentence encoders).
        decode: What label words compete with.
        token_ids: The template and words as tokens of the model, where classes are read from one token each: ``first``
            (what the tokenizer puts in front of a text), ``before`` and ``tail`` of the template, ``words`` by class.
        made_by: Study, method, seeds, artifact and scores.
        base_model: What the model is called on the hub, as far as it has a name there.
        calibration: How the study calibrated its scores (`VerbalizerConfig.calibration`).
        probe: How much label words (``words``) and the probe beside them (``probe``) count, where there is one.
        scored_rows: What the scores are on: ``test``, or other rows where the study said so.
        manifest: Versions and hardware.
        format: Of the file.
    """

    model: dict[str, Any]
    model_hash: str
    family: Family
    placement: Placement
    tokens: int
    width: int
    template: str
    labels: dict[str, dict[str, Any]]
    decode: str
    token_ids: dict[str, Any] | None
    made_by: dict[str, Any]
    base_model: str = ""
    calibration: str = "none"
    scored_rows: str = "test"
    probe: dict[str, Any] | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def labels_config(self) -> LabelsConfig:
        """Template and classes."""
        return parse(LabelsConfig, {"template": self.template, "labels": self.labels}, FACTS_FILE)

    def model_config(self, **changes: Any) -> ModelConfig:
        """How the model is loaded; `changes` are other settings of `ModelConfig`."""
        return parse(ModelConfig, {**self.model, **changes}, FACTS_FILE)

    def save(self, folder: Path) -> Path:
        """Writes ``prompt.json``."""
        write_json(folder / FACTS_FILE, asdict(self))
        return folder / FACTS_FILE

    @classmethod
    def load(cls, folder: Path) -> PromptFacts:
        """Reads ``prompt.json``.

        Raises:
            UserError: Where there is none, or it is not of this format.
        """
        file = folder / FACTS_FILE
        recorded = read_json(file, f"{folder} holds no prompt")
        if not isinstance(recorded, dict):
            raise UserError(
                f"{folder} holds no prompt: {FACTS_FILE} is missing or damaged. `metapt export` writes one."
            )
        if recorded.get("format") != FORMAT:
            other = recorded.get("format")
            version = f"of format {other}" if isinstance(other, int) and abs(other) < 1000 else "of no known format"
            raise UserError(f"{file} is {version}; this version reads format {FORMAT}.")
        try:
            cls(**recorded)
            facts = TypeAdapter(cls).validate_python(recorded)
        except TypeError as error:
            raise UserError(f"{file} is damaged: {error}. `metapt export` writes it again.") from None
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise UserError(
                f"{file} is damaged: the value of `{where}` is of another kind. `metapt export` writes it again."
            ) from None
        if not (0 < facts.tokens <= MAX_SIZE and 0 < facts.width <= MAX_SIZE):
            raise UserError(f"{file} is damaged: a prompt has no {facts.tokens} × {facts.width} numbers.")
        if facts.decode not in DECODES or facts.calibration not in CALIBRATIONS:
            raise UserError(
                f"{file} is damaged: it has the decode `{facts.decode[:40]}` and the calibration "
                f"`{facts.calibration[:40]}`; known are {', '.join(DECODES)} and {', '.join(CALIBRATIONS)}."
            )
        return facts
