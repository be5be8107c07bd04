"""Which family a model belongs to by its configuration file, and where it can put the prompt."""

from __future__ import annotations

from pathlib import Path

from metapt_explore.config import Family, ModelConfig, Placement
from metapt_explore.config.families import FAMILIES
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.models.model_files import read_settings


def family_of(folder: Path, config: ModelConfig) -> Family:
    """Finds a model's family.

    Args:
        folder: The model's files.
        config: Its `family` decides, if set.

    Raises:
        UserError: Where the configuration cannot be read, or no family fits.
    """
    settings = read_settings(folder, config.name)
    if config.family is not None:
        return config.family
    architectures = settings.get("architectures") or []
    if not isinstance(architectures, list) or not all(isinstance(each, str) for each in architectures):
        raise UserError(
            f"The model '{config.name}': {folder / 'config.json'} is damaged; `architectures` must be a list of names."
        )
    endings = [(ending, family) for family, facts in FAMILIES.items() for ending in facts.endings]
    for architecture in architectures:
        # BartModel, T5WithLMHeadModel: the name is like others', the configuration tells.
        if settings.get("is_encoder_decoder") and not architecture.endswith("EncoderModel"):
            return "encoder_decoder"
        for ending, family in sorted(endings, key=lambda pair: -len(pair[0])):
            if architecture.endswith(ending):
                # Several multimodal decoders are called "for conditional generation" as well.
                if family == "encoder_decoder" and not settings.get("is_encoder_decoder"):
                    return "causal"
                return family
    if not architectures and settings.get("is_encoder_decoder"):
        return "encoder_decoder"
    architecture = (
        f"its architecture is {', '.join(architectures)}" if architectures else "its configuration names none"
    )
    raise UserError(
        f"Cannot tell what kind of model '{config.name}' is ({architecture}). Set model.family to one of "
        f"{', '.join(FAMILIES)}."
    )


def placement_of(family: Family, asked: Placement | None, name: str) -> Placement:
    """The placement that was asked for, or the family's own.

    Raises:
        UserError: Where the family cannot do it, with those that it can.

    Example:
        >>> placement_of("encoder_decoder", None, "t5")
        'encoder'
    """
    facts = FAMILIES[family]
    if asked is None:
        return facts.placements[0]
    if asked not in facts.placements:
        can = " or ".join(f"`{placement}`" for placement in facts.placements)
        raise UserError(
            f"prompt.placement is `{asked}`, but '{name}' is a model of the family {facts.title}, which can do {can}. "
            f"{did_you_mean(asked, facts.placements)}"
        )
    return asked
