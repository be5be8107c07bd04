"""What a model's files and configuration must be like before it is run; each refusal says what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metapt_explore.config import Family, ModelConfig
from metapt_explore.errors import UserError
from metapt_explore.prompts.families import FAMILIES
from metapt_explore.prompts.layout import Layout
from metapt_explore.prompts.reader import Reader
from metapt_explore.prompts.template import Slot

#: Tokens left for the template when a model's length is checked and no template is known.
ROOM_FOR_TEMPLATE = 16
#: Families of models that count positions from behind the padding token's id.
SHIFTED = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text")


def positions_of(settings: Any) -> int | None:
    """Tokens that a model can hold by its configuration; None where there is no limit."""
    positions = getattr(settings, "max_position_embeddings", None)
    if positions is not None and settings.model_type in SHIFTED:
        positions -= (settings.pad_token_id or 0) + 1
    return positions


def check_length(settings: Any, config: ModelConfig, prompt_tokens: int, windows: bool) -> None:
    """Refuses texts that the model cannot hold, and attention windows that a text would not fit.

    Args:
        settings: The model's configuration.
        config: `max_text_tokens`.
        prompt_tokens: Length of the prompts.
        windows: Whether attention runs past the model's own windows.
    """
    room = ROOM_FOR_TEMPLATE + prompt_tokens
    positions = positions_of(settings)
    if positions is not None and config.max_text_tokens + room > positions:
        raise UserError(
            f"model.max_text_tokens is {config.max_text_tokens}, but '{config.name}' holds {positions} tokens in all; "
            f"use at most {positions - room} ({prompt_tokens} for the prompt and {ROOM_FOR_TEMPLATE} for the template "
            "are kept free)."
        )
    window = getattr(settings, "sliding_window", None) if windows else None
    if window and getattr(settings, "use_sliding_window", True) and config.max_text_tokens + room > window:
        raise UserError(
            f"'{config.name}' attends within windows of {window} tokens; model.max_text_tokens must be at most "
            f"{window - room}."
        )


def check_rows_fit(reader: Reader, layout: Layout, settings: Any, prompt_tokens: int, where: str) -> None:
    """Refuses a template that is too long for the model beside the longest text and the prompt.

    Args:
        reader: The tokenised template.
        layout: Of the model.
        settings: The model's configuration.
        prompt_tokens: Length of the prompts.
        where: What to call the template in messages.
    """
    positions = positions_of(settings)
    if positions is None:
        return
    template = sum(len(piece) for piece in reader.template.pieces if not isinstance(piece, Slot))
    others = len(layout.first) + len(layout.last) + 1 + reader.verbalizer.longest_insertion
    most = positions - template - others - prompt_tokens
    if layout.config.max_text_tokens > most:
        raise UserError(
            f"{where}: the template's {template} tokens, the prompt's {prompt_tokens} and texts of "
            f"{layout.config.max_text_tokens} do not fit '{layout.config.name}', which holds {positions} tokens; set "
            f"model.max_text_tokens to at most {most}."
        )


def check_complete(missing: Iterable[str], config: ModelConfig, family: Family) -> None:
    """Refuses a model of which transformers has made up weights that the files do not hold.

    Args:
        missing: Names of such weights.
        config: The model's name.
        family: What it was loaded as.
    """
    # A sentence encoder's pooler is not used.
    lacking = sorted(name for name in missing if family != "sentence" or "pooler" not in name)
    if lacking:
        some = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
        others = ", ".join(name for name in FAMILIES if name != family)
        raise UserError(
            f"The files of '{config.name}' lack weights that a {FAMILIES[family].title} model has ({some}): they would "
            f"be random. Use another model, or set model.family to what this one is ({others})."
        )


def check_scale(settings: Any, model: Any, config: ModelConfig) -> None:
    """Refuses models that scale embedded tokens outside of the embedding (Pegasus, Marian).

    Args:
        settings: The model's configuration.
        model: The loaded model.
        config: Its name.
    """
    holder = model.get_encoder() if settings.is_encoder_decoder else model
    if getattr(settings, "scale_embedding", False) and not hasattr(holder.get_input_embeddings(), "embed_scale"):
        raise UserError(
            f"The model '{config.name}' cannot be used: it scales its embeddings where a prompt cannot be put beside "
            "them. Use T5, BART or mBART instead."
        )
