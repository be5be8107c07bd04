"""Checks of a loaded model, its configuration and its tokenizer; each error says what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore.config import ModelConfig
from metapt_explore.config.families import FAMILIES
from metapt_explore.errors import UserError
from metapt_explore.verbalizers.template import Slot

if TYPE_CHECKING:
    from metapt_explore.models.layout import Layout
    from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Tokens left for the template when a model's length is checked and no template is known.
ROOM_FOR_TEMPLATE = 16
#: Models whose positions begin behind the padding token's id.
SHIFTED_POSITIONS = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text")
#: Share of a model's matrices that may hold zeros only.
MAX_ZERO_SHARE = 0.1
#: Tokens that a tokenizer must have, as a share of the model's vectors: vocabularies are hardly padded.
MIN_VOCABULARY_SHARE = 0.75
#: Constants in older files, which are computed now.
_BUFFERS = re.compile(
    r"(position_ids|token_type_ids|inv_freq|masked_bias|num_batches_tracked|(^|\.)(attn|attention)\.bias)$"
)


def positions_of(settings: Any) -> int | None:
    """Tokens that a model can hold by its configuration; None without a limit."""
    positions = getattr(settings, "max_position_embeddings", None)
    if positions is not None and settings.model_type in SHIFTED_POSITIONS:
        positions -= (settings.pad_token_id or 0) + 1
    return positions


def check_length(settings: Any, config: ModelConfig, *, prompt_tokens: int, windows: bool) -> None:
    """Checks that texts fit the model and its attention windows.

    Args:
        settings: The model's configuration.
        config: `max_text_tokens`.
        prompt_tokens: Length of the prompts.
        windows: Whether our attention ignores the model's windows.
    """
    room = ROOM_FOR_TEMPLATE + prompt_tokens
    positions = positions_of(settings)
    if positions is not None and positions <= room:
        raise UserError(
            f"'{config.name}' holds {positions} tokens in all, of which {prompt_tokens} are for the prompt and "
            f"{ROOM_FOR_TEMPLATE} for the template: no text fits. Use another model or a shorter prompt."
        )
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


def check_rows_fit(
    pattern: PatternVerbalizer, layout: Layout, settings: Any, *, prompt_tokens: int, where: str
) -> None:
    """Checks that template, longest text and prompt fit the model together.

    Args:
        pattern: The tokenised template.
        layout: Of the model.
        settings: The model's configuration.
        prompt_tokens: Length of the prompts.
        where: What to call the template in messages.
    """
    positions = positions_of(settings)
    if positions is None:
        return
    template = sum(len(piece) for piece in pattern.template.pieces if not isinstance(piece, Slot))
    others = len(layout.special_before) + len(layout.special_after) + 1 + pattern.verbalizer.longest_insertion
    most = positions - template - others - prompt_tokens
    if layout.config.max_text_tokens > most:
        raise UserError(
            f"{where}: the template's {template} tokens, the prompt's {prompt_tokens} and texts of "
            f"{layout.config.max_text_tokens} do not fit '{layout.config.name}', which holds {positions} tokens; set "
            f"model.max_text_tokens (of one task, its `max_tokens`) to at most {most}."
        )


def check_complete(missing: Iterable[str], folder: Path, name: str, *, title: str) -> None:
    """Checks that the files hold all weights; transformers would make up the others.

    Args:
        missing: Names of weights that the files lack.
        folder: The model's files.
        name: What to call it.
        title: What it was loaded as; a sentence encoder's pooler is not used, and may be missing.
    """
    encoder = title == FAMILIES["sentence"].title
    lacking = sorted(weight for weight in missing if not (encoder and "pooler" in weight))
    if lacking:
        others = ", ".join(family for family, facts in FAMILIES.items() if facts.title != title)
        hint = "" if encoder else f", or set model.family to what this one is ({others})"
        raise UserError(
            f"The files of '{name}' lack weights that a {title} model has ({_some(lacking)}): they would be "
            f"random. Use another model{hint}; or copy {folder} again from where it comes from."
        )


def check_shapes(mismatched: Iterable[Any], folder: Path, name: str) -> None:
    """Refuses weights of other shapes than the configuration says.

    Args:
        mismatched: Name, shape in the files and shape by the configuration of each.
        folder: The model's files.
        name: What to call it.
    """
    different = sorted((str(weight), list(held), list(expected)) for weight, held, expected in mismatched)
    if different:
        weight, held, expected = different[0]
        more = f", and {len(different) - 1} more" if len(different) > 1 else ""
        raise UserError(
            f"The files of '{name}' do not fit each other: '{weight}' has the shape {held} in the weights and "
            f"{expected} by {folder / 'config.json'}{more}. Copy both from the same model."
        )


def check_nothing_left(unexpected: Iterable[str], model: Any, folder: Path, *, name: str) -> None:
    """Checks that no weight inside the model's layers is left over.

    An unused head may be left over, and buffers of older files. A further layer, bias or norm shows that the
    configuration is of another model, whose answers would be wrong.

    Args:
        unexpected: Names of weights that were left over.
        model: The loaded model.
        folder: The model's files.
        name: What to call it.
    """
    modules = dict(model.named_modules())
    start = f"{model.base_model_prefix}."

    def belongs_inside(spelt: str) -> bool:
        parent = modules.get(spelt.rpartition(".")[0])
        numbered = [spelt[: number.start()] for number in re.finditer(r"\.\d+(\.|$)", spelt)]
        # Beside weights of the same part, or in a list of layers.
        if parent is not None and any(value is not None for value in parent._parameters.values()):
            return True
        return any(type(modules.get(prefix)).__name__ == "ModuleList" for prefix in numbered)

    left = [
        weight
        for weight in unexpected
        if not _BUFFERS.search(weight)
        and any(belongs_inside(spelt) for spelt in (weight, weight.removeprefix(start), start + weight))
    ]
    if left:
        raise UserError(
            f"The files of '{name}' do not fit each other: the weights hold {_some(sorted(left))}, for which "
            f"{folder / 'config.json'} has no place. It is the configuration of another model; copy both from the same."
        )


def check_numbers(model: Any, folder: Path, name: str) -> None:
    """Checks that weights are finite and not lost (zeros in their place).

    Args:
        model: The loaded model.
        folder: Its files.
        name: What to call it.
    """
    zeros, matrices = [], 0
    for weight, values in model.named_parameters():
        # Quantised weights are no numbers yet; those on the disk were checked by nobody, and are read when they run.
        if not values.is_floating_point() or not values.numel() or values.is_meta:
            continue
        low, high = (float(bound) for bound in values.detach().aminmax())
        if not (math.isfinite(low) and math.isfinite(high)):
            if str(values.dtype) == "torch.float16":
                raise UserError(
                    f"'{name}' in {folder}: '{weight}' holds numbers that float16 has not. Use `model.dtype: float32`."
                )
            raise UserError(
                f"The weights of '{name}' in {folder} are damaged: '{weight}' holds numbers that are not finite."
            )
        if values.dim() > 1:
            matrices += 1
            zeros += [weight] if low == high == 0 else []
    # Some models have one matrix of zeros (XLM-R: token types); an unfinished copy has many.
    if len(zeros) > max(1, MAX_ZERO_SHARE * matrices):
        raise UserError(
            f"The weights of '{name}' in {folder} are damaged: {len(zeros)} of {matrices} matrices hold zeros only "
            f"({_some(zeros)}). Copy or download them again."
        )


def check_tokenizer(tokenizer: Any, model: Any, folder: Path, *, name: str) -> None:
    """Checks that the tokenizer is the model's: the model has a vector for each token.

    Args:
        tokenizer: The tokenizer.
        model: The model; its weights are not read.
        folder: The files of both.
        name: What to call the model.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    # Added tokens may have no vector (Gemma 3's for images), those of the vocabulary must.
    base, whole = int(tokenizer.vocab_size), len(tokenizer)
    framed = [int(token) for token in tokenizer("a")["input_ids"]]
    if base > rows or max(framed, default=0) >= rows or whole < MIN_VOCABULARY_SHARE * rows:
        raise UserError(
            f"The tokenizer in {folder} has {whole:,} tokens, but '{name}' has vectors for {rows:,}: it is the "
            "tokenizer of another model. Copy both from the same."
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def check_scale(settings: Any, model: Any, config: ModelConfig) -> None:
    """Raises for models that scale embedded tokens outside of the embedding (Pegasus, Marian).

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
