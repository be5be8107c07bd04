"""A prompt as PEFT's prompt or prefix tuning adapter, where PEFT has its layout; PEFT itself is not needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore.config import Family, Placement
from metapt_explore.export.facts import PromptFacts
from metapt_explore.prompts.load import ADAPTER_CONFIG, ADAPTER_TENSOR, ADAPTER_WEIGHTS
from metapt_explore.storage.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.models.deep import DeepShape

#: Family and placement to what PEFT calls the task; `suffix` and `decoder` are layouts that PEFT does not have.
TASK_TYPES: dict[tuple[Family, Placement], str] = {
    ("causal", "prefix"): "CAUSAL_LM",
    ("causal", "deep"): "CAUSAL_LM",
    ("encoder_decoder", "encoder"): "SEQ_2_SEQ_LM",
    ("masked", "prefix"): "FEATURE_EXTRACTION",
}
#: Starter models are converted from a package; this is where their weights come from.
STARTERS = {
    "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
}


def base_model(name: str) -> str:
    """The model's name on the hub, where it has one.

    Example:
        >>> base_model("smollm2-135m"), base_model("google/flan-t5-base")
        ('HuggingFaceTB/SmolLM2-135M-Instruct', 'google/flan-t5-base')
    """
    return STARTERS.get(name, name)


def on_hub(name: str) -> bool:
    """Whether a model's name is one that a hub could have; a folder of this machine is none.

    Example:
        >>> on_hub("google/flan-t5-base"), on_hub("/models/mine"), on_hub("models/of/mine")
        (True, False, False)
    """
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?", base_model(name)) is not None and not Path(name).is_dir()


def has_layout(family: Family, placement: Placement) -> bool:
    """Whether PEFT can put a prompt there.

    Example:
        >>> has_layout("causal", "prefix"), has_layout("causal", "suffix")
        (True, False)
    """
    return (family, placement) in TASK_TYPES


def adapter_settings(facts: PromptFacts, deep: DeepShape | None = None) -> dict[str, Any]:
    """What ``adapter_config.json`` says.

    Args:
        facts: Of the prompt.
        deep: Sizes of the model, for a deep prompt.

    Raises:
        KeyError: Where PEFT has no such layout.
    """
    shared = {
        "task_type": TASK_TYPES[facts.family, facts.placement],
        "base_model_name_or_path": base_model(str(facts.model["name"])),
        "revision": facts.model.get("revision"),
        "inference_mode": True,
        "num_virtual_tokens": facts.tokens,
        # One prompt, in front of the encoder; PEFT's default for encoder-decoders puts a second into the decoder.
        "num_transformer_submodules": 1,
        "auto_mapping": None,
    }
    if deep is not None:
        return {
            **shared,
            "peft_type": "PREFIX_TUNING",
            # Of keys and values: PEFT, too, counts the key heads here.
            "token_dim": deep.kv_heads * deep.head_dim,
            "num_attention_heads": deep.kv_heads,
            "num_layers": deep.layers,
            "encoder_hidden_size": deep.kv_heads * deep.head_dim,
            "prefix_projection": False,
        }
    return {
        **shared,
        "peft_type": "PROMPT_TUNING",
        "token_dim": facts.width,
        "num_attention_heads": None,
        "num_layers": None,
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": None,
        "tokenizer_name_or_path": None,
    }


def write_adapter(folder: Path, facts: PromptFacts, prompt: Tensor, deep: DeepShape | None = None) -> list[Path]:
    """Writes the adapter's two files.

    Args:
        folder: Where.
        facts: Of the prompt.
        prompt: fp32, `[tokens, width]`.
        deep: Sizes of the model, for a deep prompt.
    """
    from safetensors.torch import save_file

    write_json(folder / ADAPTER_CONFIG, adapter_settings(facts, deep))
    save_file({ADAPTER_TENSOR: prompt.contiguous()}, folder / ADAPTER_WEIGHTS)
    return [folder / ADAPTER_CONFIG, folder / ADAPTER_WEIGHTS]
