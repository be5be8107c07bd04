"""The families of models: what each can do. A new family is an entry here and a file in `models/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Placement = Literal["suffix", "prefix", "encoder", "decoder", "deep"]

#: Where each puts the prompt, as forms say it.
PLACEMENT_TITLES: dict[Placement, str] = {
    "suffix": "behind the text, before the template's end",
    "prefix": "in front of the text",
    "deep": "in front of the text, as keys and values of every layer",
    "encoder": "in front of the encoder's tokens",
    "decoder": "in front of the decoder's tokens",
}


@dataclass(frozen=True)
class FamilyFacts:
    """What is known of a family without loading a model.

    Attributes:
        title: What users call it.
        placements: Where it can put the prompt; the first is its default.
        auto_class: The class of transformers that loads its models.
        backbone: File of `models/` and name of its class, loaded on demand (`models.load.backbone_class`).
        endings: How names of its architectures end; the longest ending that fits decides.
        has_vocabulary: Whether classes are read from words.
        left_to_right: Whether tokens see those before them only.
        reads_at_mask: Whether a template marks the place of the answer.
        large: Whether its models run in float16, quantised, or spread over devices (`models.placing`).
    """

    title: str
    placements: tuple[Placement, ...]
    auto_class: str
    backbone: str
    endings: tuple[str, ...]
    has_vocabulary: bool = True
    left_to_right: bool = False
    reads_at_mask: bool = False
    large: bool = False


FAMILIES: dict[str, FamilyFacts] = {
    "causal": FamilyFacts(
        "decoder-only",
        ("suffix", "prefix", "deep"),
        "AutoModelForCausalLM",
        "causal:CausalBackbone",
        ("ForCausalLM", "LMHeadModel"),
        left_to_right=True,
        large=True,
    ),
    "encoder_decoder": FamilyFacts(
        "encoder-decoder",
        ("encoder", "decoder"),
        "AutoModelForSeq2SeqLM",
        "encoder_decoder:EncoderDecoderBackbone",
        ("ForConditionalGeneration",),
    ),
    "masked": FamilyFacts(
        "masked",
        ("prefix",),
        "AutoModelForMaskedLM",
        "masked:MaskedBackbone",
        ("ForMaskedLM", "ForPreTraining"),
        reads_at_mask=True,
    ),
    "sentence": FamilyFacts(
        "sentence encoder",
        ("prefix",),
        "AutoModel",
        "sentence:SentenceBackbone",
        ("EncoderModel", "Model"),
        has_vocabulary=False,
    ),
}


def placement_title(placement: Placement) -> str:
    """Where a placement puts the prompt, and which families can do it.

    Example:
        >>> placement_title("deep")
        'deep: in front of the text, as keys and values of every layer (decoder-only)'
    """
    able = ", ".join(facts.title for facts in FAMILIES.values() if placement in facts.placements)
    return f"{placement}: {PLACEMENT_TITLES[placement]} ({able})"


if TYPE_CHECKING:
    Family = str
else:
    Family = Literal[tuple(FAMILIES)]
