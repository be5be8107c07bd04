"""From a name to a loaded, frozen model: starter, folder or hub; device, dtype and content hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore import hub
from metapt_explore.config import Family, ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.models.families import FAMILIES, family_of, placement_of
from metapt_explore.models.from_pretrained import check_model, load_model, load_settings, load_tokenizer, loading
from metapt_explore.models.model_checks import check_length, check_scale, check_tokenizer

if TYPE_CHECKING:
    import torch

    from metapt_explore.models.backbone import Backbone
    from metapt_explore.models.layout import Layout

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
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            if not (folder / "config.json").exists():
                raise UserError(f"The folder {folder} holds no model: config.json is missing.")
            return folder
        is_file = folder.exists()
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a name too long, no home of that user
        raise UserError(f"The {kind.title} folder {name!r} cannot be read: {error}.") from None
    if is_file:
        raise UserError(f"{folder} is no folder: give the folder in which the {kind.title}'s config.json lies.")
    if name.startswith((".", "/", "~")) or folder.is_absolute():
        raise UserError(f"There is no {kind.title} folder {folder}.")
    wanted = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
    return hub.snapshot(name, kind, wanted, lambda: _set_up(kind), revision)


def _set_up(kind: hub.Kind) -> list[str]:
    """Starter models that are on this machine; every encoder is also a model, but not the other way round."""
    names = STARTER_ENCODERS if kind is hub.ENCODER else STARTER_MODELS
    return [name for name in names if (starter_folder(name) / "config.json").exists()]


def content_hash(folder: Path) -> str:
    """Hash of a model's weights, configuration and tokenizer files.

    It is remembered for each file by size, inode and times, because reading gigabytes takes seconds.
    """
    memory = home() / "hashes.json"
    known = _remembered(memory)
    parts, changed = [], False
    try:
        for file in sorted(folder.iterdir()):
            if file.suffix not in (".json", ".safetensors", ".model", ".txt") or not file.is_file():
                continue
            stat = file.stat()
            # The time of the last change of any kind: a copy may keep the time of modification.
            key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"
            if key not in known:
                with file.open("rb") as stream:
                    known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
                changed = True
            parts.append(f"{file.name}={known[key]}")
    except OSError as error:
        raise UserError(f"The model folder {folder} cannot be read: {error}.") from None
    if changed:
        temporary = memory.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # a full or read-only disk costs the time of reading again, nothing else
            memory.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(known), encoding="utf-8")
            temporary.replace(memory)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _remembered(memory: Path) -> dict[str, str]:
    """Hashes of files by what their key says; none where the memory is missing or damaged."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    usable = isinstance(known, dict) and all(isinstance(value, str) for value in known.values())
    return known if usable else {}


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

    from metapt_explore.models.processor import has_fast_bfloat16

    if dtype != "auto":
        return torch.float32 if dtype == "float32" else torch.bfloat16
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    # What the processor can do says nothing of other devices.
    return torch.bfloat16 if device.startswith("cpu") and has_fast_bfloat16() else torch.float32


def _backbone_class(family: Family) -> type[Backbone]:
    from metapt_explore.models.causal import CausalBackbone
    from metapt_explore.models.encoder_decoder import EncoderDecoderBackbone
    from metapt_explore.models.masked import MaskedBackbone
    from metapt_explore.models.sentence import SentenceBackbone

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


@dataclass(frozen=True)
class CheckedFiles:
    """A language model whose files were checked; none of its weights was read.

    Attributes:
        folder: Its files.
        family: Its family.
        settings: Its configuration, as transformers reads it.
        tokenizer: Its tokenizer.
    """

    folder: Path
    family: Family
    settings: Any
    tokenizer: Any


def check_files(config: ModelConfig) -> CheckedFiles:
    """Checks a language model's configuration, weight files and tokenizer, and that they belong to each other.

    Args:
        config: Its name.

    Raises:
        UserError: Naming the folder and the file (see `docs/models.md` for the list of checks).
    """
    folder = model_folder(config.name, config.revision)
    settings = load_settings(folder, config.name)
    family = family_of(folder, config)
    tokenizer = load_tokenizer(folder, config.name)
    with _own_attention(config.name):
        auto_class = _auto_class(family, settings)
        model = check_model(auto_class, FAMILIES[family].title, folder, config.name, **_options(family))
    with loading(folder, config.name):
        check_tokenizer(tokenizer, model, folder, config.name)
    return CheckedFiles(folder, family, settings, tokenizer)


def _auto_class(family: Family, settings: Any) -> Any:
    import transformers

    if family == "sentence":
        return encoder_class(settings)
    return getattr(transformers, FAMILIES[family].auto_class)


def encoder_class(settings: Any) -> Any:
    """The class of transformers that loads a sentence encoder; of T5's kind only the encoder."""
    import transformers

    encoders = transformers.MODEL_FOR_TEXT_ENCODING_MAPPING
    # Files of the encoder alone no longer say that they are of an encoder-decoder.
    if type(settings) in encoders and str(getattr(encoders[type(settings)], "__name__", "")).endswith("EncoderModel"):
        return transformers.AutoModelForTextEncoding
    return transformers.AutoModel


def _options(family: Family) -> dict[str, Any]:
    from metapt_explore.models.decoders import attention

    return {"attn_implementation": attention.register()} if family == "causal" else {}


@contextmanager
def _own_attention(name: str) -> Iterator[None]:
    """Says it in our words where a model's attention cannot be replaced."""
    from metapt_explore.models.decoders import attention

    try:
        yield
    except UserError as error:
        if attention.NAME not in str(error):
            raise
        raise UserError(
            f"The model '{name}' cannot be used: its attention cannot be replaced (it does not use the attention "
            "interface of transformers)."
        ) from None


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
    folder = model_folder(config.name, config.revision)
    with loading(folder, config.name):
        return _load_backbone(folder, config, placement, on_notice, prompt_tokens)


def _load_backbone(
    folder: Path,
    config: ModelConfig,
    placement: Placement | None,
    on_notice: Callable[[str], None],
    prompt_tokens: int,
) -> Backbone:
    from metapt_explore.models.host_memory import keep_freed_memory
    from metapt_explore.models.pooling import read_pooling
    from metapt_explore.models.self_check import check_exact
    from metapt_explore.models.sentence import SentenceBackbone

    settings = load_settings(folder, config.name)
    family = family_of(folder, config)
    # What depends on sizes alone comes first, because it can be repaired in the study.
    placement = placement_of(family, placement, config.name)
    check_length(settings.get_text_config(), config, prompt_tokens, windows=family == "causal")
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device)
    if device == "cpu":
        keep_freed_memory()
    files = check_files(config)
    pooling = read_pooling(folder, config.name) if family == "sentence" else None
    if pooling is not None and (longest := pooling.tokens(config.max_text_tokens)) < config.max_text_tokens:
        on_notice(f"Texts are cut to {longest} tokens: '{config.name}' was made for no more (max_seq_length).")
        config = config.model_copy(update={"max_text_tokens": longest})
    auto_class = _auto_class(family, settings)
    model = load_model(auto_class, FAMILIES[family].title, folder, config.name, dtype=dtype, **_options(family))
    check_scale(settings, model, config)
    model = model.to(device)
    try:
        backbone = _backbone_class(family)(model, files.tokenizer, config, placement)
    except AttributeError as error:  # no attention heads, no input embeddings …
        message = f"The model '{config.name}' cannot be used with the {placement} placement ({error})."
        raise UserError(message) from error
    if pooling is not None:
        assert isinstance(backbone, SentenceBackbone)
        backbone.pooling = pooling
    backbone.on_notice = on_notice
    check_exact(backbone)
    if device.startswith("cpu") and str(dtype) == "torch.bfloat16":
        _warn_if_slow(backbone)
    return backbone


def _warn_if_slow(backbone: Backbone) -> None:
    """One notice where the processor was not made for bfloat16."""
    from metapt_explore.models.processor import SLOW_BFLOAT16, UNPACKED, is_bfloat16_slow

    if is_bfloat16_slow():
        backbone.on_notice(SLOW_BFLOAT16)
    elif getattr(getattr(backbone, "fast", None), "refused_packing", False):
        backbone.on_notice(UNPACKED)
