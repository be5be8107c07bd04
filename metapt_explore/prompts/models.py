"""From a name to a loaded, frozen model: starter, folder or hub; device, dtype and content hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore import hub
from metapt_explore.config import Family, ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.prompts.families import FAMILIES, family_of, placement_of

if TYPE_CHECKING:
    import torch

    from metapt_explore.prompts.backbone import Backbone
    from metapt_explore.prompts.layout import Layout

#: Starter models: name -> (folder of the home it lives in once `metapt setup` has run, what it is).
STARTER_MODELS = {
    "smollm2-135m": "SmolLM2-135M-Instruct, a Llama-like language model (134.5 M parameters)",
    "minilm": "all-MiniLM-L6-v2, a sentence encoder (22.7 M parameters)",
}

#: Those of them that embed sentences.
STARTER_ENCODERS = ("minilm",)


def home() -> Path:
    """Folder of converted starter models and remembered hashes: `$METAPT_HOME`, else the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "metapt_explore"
    return Path(os.environ.get("METAPT_HOME", default)).expanduser()


def starter_folder(name: str) -> Path:
    """Where a starter model lies once `metapt setup` has run."""
    return home() / "models" / name


def model_folder(name: str, revision: str | None = None, kind: hub.Kind = hub.MODEL) -> Path:
    """Finds the folder with a model's files, downloading from the hub where the name is a hub name.

    Args:
        name: A starter model, a folder, or a hub name such as ``google/t5-v1_1-base``.
        revision: Commit or tag of a hub model.
        kind: What to call it in messages: `hub.MODEL` or `hub.ENCODER`.

    Raises:
        UserError: Where the starter is not set up, the folder holds no model, or the hub has no such model or cannot
            be reached (see `hub.snapshot`).
    """
    if name in STARTER_MODELS:
        folder = starter_folder(name)
        if not (folder / "config.json").exists():
            raise UserError(f"The starter model '{name}' is not on this machine yet: run `metapt setup` once.")
        return folder
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise UserError(f"The folder {folder} holds no model: config.json is missing.")
        return folder
    if name.startswith((".", "/", "~")) or folder.is_absolute():
        raise UserError(f"There is no model folder {folder}.")
    wanted = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
    return hub.snapshot(name, kind, wanted, lambda: _set_up(kind), revision)


def _set_up(kind: hub.Kind) -> list[str]:
    """Starter models that are on this machine; every encoder is also a model, but not the other way round."""
    names = STARTER_ENCODERS if kind is hub.ENCODER else STARTER_MODELS
    return [name for name in names if (starter_folder(name) / "config.json").exists()]


def content_hash(folder: Path) -> str:
    """Hash of a model's weights, configuration and tokenizer files.

    It is remembered for each file by size and modification time, because reading gigabytes takes seconds.
    """
    memory = home() / "hashes.json"
    known: dict[str, str] = {}
    if memory.exists():
        try:
            known = dict(json.loads(memory.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):
            known = {}
    parts, changed = [], False
    for file in sorted(folder.iterdir()):
        if file.suffix not in (".json", ".safetensors", ".model", ".txt"):
            continue
        stat = file.stat()
        key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if key not in known:
            with file.open("rb") as stream:
                known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            changed = True
        parts.append(f"{file.name}={known[key]}")
    if changed:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary = memory.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(known), encoding="utf-8")
        temporary.replace(memory)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def resolve_device(device: str) -> str:
    """`auto` is the first CUDA GPU where there is one, else the CPU."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"model.device '{device}' cannot be used: {str(error).splitlines()[0]}") from None
    return device


def resolve_dtype(dtype: str, device: str) -> torch.dtype:
    """`auto` is bfloat16 where the machine multiplies it faster than float32, else float32."""
    import torch

    from metapt_explore.prompts.processor import has_fast_bfloat16

    if dtype != "auto":
        return torch.float32 if dtype == "float32" else torch.bfloat16
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    # What the processor can do says nothing of other devices.
    return torch.bfloat16 if device.startswith("cpu") and has_fast_bfloat16() else torch.float32


def load_pretrained(auto_class: Any, folder: Path, name: str, **options: Any) -> Any:
    """Loads a model from a folder, or says why it cannot be loaded."""
    import transformers
    from safetensors import SafetensorError

    transformers.utils.logging.disable_progress_bar()
    try:
        return auto_class.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"The model '{name}' in {folder} cannot be loaded: {reason}") from error


def _backbone_class(family: Family) -> type[Backbone]:
    from metapt_explore.prompts.causal import CausalBackbone
    from metapt_explore.prompts.encoder_decoder import EncoderDecoderBackbone
    from metapt_explore.prompts.masked import MaskedBackbone
    from metapt_explore.prompts.sentence import SentenceBackbone

    classes: dict[Family, type[Backbone]] = {
        "causal": CausalBackbone,
        "encoder_decoder": EncoderDecoderBackbone,
        "masked": MaskedBackbone,
        "sentence": SentenceBackbone,
    }
    return classes[family]


def layout_class(family: Family) -> type[Layout]:
    """What lays out rows for a family; it needs no model."""
    return _backbone_class(family).layout_class


def load_backbone(
    config: ModelConfig,
    placement: Placement | None = None,
    on_notice: Callable[[str], None] = lambda message: None,
    prompt_tokens: int = 16,
) -> Backbone:
    """Loads a frozen language model of any family and checks that the way it is run is exact for it.

    Args:
        config: Name, dtype, device and sizes.
        placement: Where the prompt stands; the family's first when absent.
        on_notice: Called with what a user should know, from here on.
        prompt_tokens: Length of the prompts, which must fit the model beside the texts.

    Raises:
        UserError: Where the model cannot be found, loaded or used.
    """
    import torch
    import transformers

    from metapt_explore.prompts import attention
    from metapt_explore.prompts.host_memory import keep_freed_memory
    from metapt_explore.prompts.model_checks import check_complete, check_length, check_scale
    from metapt_explore.prompts.pooling import read_pooling
    from metapt_explore.prompts.self_check import check_exact
    from metapt_explore.prompts.sentence import SentenceBackbone

    folder = model_folder(config.name, config.revision)
    settings = load_pretrained(transformers.AutoConfig, folder, config.name)
    family = family_of(folder, config)
    placement = placement_of(family, placement, config.name)
    check_length(settings.get_text_config(), config, prompt_tokens, windows=family == "causal")
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    if device == "cpu":
        keep_freed_memory()
    tokenizer = load_pretrained(transformers.AutoTokenizer, folder, config.name)
    pooling = read_pooling(folder, config.name) if family == "sentence" else None
    if pooling is not None and (longest := pooling.tokens(config.max_text_tokens)) < config.max_text_tokens:
        on_notice(f"Texts are cut to {longest} tokens: '{config.name}' was made for no more (max_seq_length).")
        config = config.model_copy(update={"max_text_tokens": longest})
    options: dict[str, Any] = {"attn_implementation": attention.register()} if family == "causal" else {}
    auto_class = getattr(transformers, FAMILIES[family].auto_class)
    # Never a pickle.
    try:
        model, found = load_pretrained(
            auto_class, folder, config.name, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
    except UserError as error:
        if attention.NAME not in str(error):
            raise
        raise UserError(
            f"The model '{config.name}' cannot be used: its attention cannot be replaced (it does not use the "
            "attention interface of transformers)."
        ) from None
    check_complete(found["missing_keys"], config, family)
    check_scale(settings, model, config)
    model = model.to(device)
    try:
        backbone = _backbone_class(family)(model, tokenizer, config, placement)
    except AttributeError as error:  # no attention heads, no input embeddings …
        message = f"The model '{config.name}' cannot be used with the {placement} placement ({error})."
        raise UserError(message) from error
    if pooling is not None:
        assert isinstance(backbone, SentenceBackbone)
        backbone.pooling = pooling
    backbone.on_notice = on_notice
    check_exact(backbone)
    if device.startswith("cpu") and dtype == torch.bfloat16:
        _say_if_slow(backbone)
    return backbone


def _say_if_slow(backbone: Backbone) -> None:
    """One notice where the processor was not made for bfloat16."""
    from metapt_explore.prompts.processor import SLOW_BFLOAT16, UNPACKED, is_bfloat16_slow

    if is_bfloat16_slow():
        backbone.on_notice(SLOW_BFLOAT16)
    elif getattr(getattr(backbone, "fast", None), "refused_packing", False):
        backbone.on_notice(UNPACKED)
