"""From a study's `model` to a `Backbone`: the model's files, checked and loaded, its family's class, the self-check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore.config import Family, ModelConfig, Placement
from metapt_explore.config.families import FAMILIES
from metapt_explore.errors import UserError
from metapt_explore.models.device import keep_freed_memory, resolve_device, resolve_dtype
from metapt_explore.models.families import family_of, placement_of
from metapt_explore.models.folder import model_folder
from metapt_explore.models.hf_load import check_model, load_model, load_settings, load_tokenizer, loading
from metapt_explore.models.model_checks import check_length, check_scale, check_tokenizer
from metapt_explore.models.placing import check_placing, keep_gradients, placing_options

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone
    from metapt_explore.models.layout import Layout


def backbone_class(family: Family) -> type[Backbone]:
    """The class that runs a family's models."""
    module, _, name = FAMILIES[family].backbone.partition(":")
    backbone: type[Backbone] = getattr(import_module(f"metapt_explore.models.{module}"), name)
    return backbone


def layout_class(family: Family) -> type[Layout]:
    """The class that lays out rows for a family; it needs no model."""
    return backbone_class(family).layout_class


@dataclass(frozen=True)
class CheckedFiles:
    """A language model whose files were checked; its weights are not read.

    Attributes:
        folder: Its files.
        family: Its family.
        settings: Its transformers configuration.
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
    with _replacing_attention(config.name):
        auto_class = _auto_class(family, settings)
        model = check_model(auto_class, FAMILIES[family].title, folder, name=config.name, **_options(family))
    with loading(folder, config.name):
        check_tokenizer(tokenizer, model, folder, name=config.name)
    return CheckedFiles(folder, family, settings, tokenizer)


def _auto_class(family: Family, settings: Any) -> Any:
    import transformers

    if not FAMILIES[family].has_vocabulary:
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

    return {"attn_implementation": attention.register()} if FAMILIES[family].left_to_right else {}


@contextmanager
def _replacing_attention(name: str) -> Iterator[None]:
    """A sentence of ours where a model's attention cannot be replaced."""
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
    *,
    on_notice: Callable[[str], None] = lambda message: None,
    prompt_tokens: int = 16,
) -> Backbone:
    """Loads a frozen language model of any family and checks that its shortcuts are exact.

    Args:
        config: Name, dtype, device and sizes.
        placement: Where the prompt stands; the family's default when absent.
        on_notice: Called with what a user should know.
        prompt_tokens: Length of the prompts, which must fit the model beside the texts.

    Raises:
        UserError: Where the model cannot be found, loaded or used.
    """
    folder = model_folder(config.name, config.revision)
    with loading(folder, config.name):
        return _load_backbone(folder, config, placement=placement, on_notice=on_notice, prompt_tokens=prompt_tokens)


def _load_backbone(
    folder: Path,
    config: ModelConfig,
    *,
    placement: Placement | None,
    on_notice: Callable[[str], None],
    prompt_tokens: int,
) -> Backbone:
    from metapt_explore.models.pooling import read_pooling
    from metapt_explore.models.self_check import check_exact
    from metapt_explore.models.sentence import SentenceBackbone
    from metapt_explore.models.step_graphs import StepGraphs

    settings = load_settings(folder, config.name)
    family = family_of(folder, config)
    facts = FAMILIES[family]
    # Checks of sizes come first: the study can change them.
    placement = placement_of(family, placement, config.name)
    check_length(settings.get_text_config(), config, prompt_tokens=prompt_tokens, windows=facts.left_to_right)
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, device, float16=facts.large)
    check_placing(config, facts, dtype)
    if device == "cpu":
        keep_freed_memory()
    files = check_files(config)
    pooling = None if facts.has_vocabulary else read_pooling(folder, config.name)
    if pooling is not None and (longest := pooling.tokens(config.max_text_tokens)) < config.max_text_tokens:
        on_notice(f"Texts are cut to {longest} tokens: '{config.name}' was made for no more (max_seq_length).")
        config = config.model_copy(update={"max_text_tokens": longest})
    auto_class = _auto_class(family, settings)
    placing = placing_options(config, device, dtype)
    options = {"dtype": dtype, **_options(family)}
    model = load_model(auto_class, facts.title, folder, name=config.name, placing=placing, **options)
    check_scale(settings, model, config)
    if not placing:
        model = model.to(device)
    keep_gradients(model)
    try:
        backbone = backbone_class(family)(model, files.tokenizer, config, placement=placement)
    except AttributeError as error:  # no attention heads, no input embeddings …
        message = f"The model '{config.name}' cannot be used with the {placement} placement ({error})."
        raise UserError(message) from error
    except KeyError as error:  # the keys of a deep prompt are taken from the model's own
        message = f"The model '{config.name}' cannot be used: its attention cannot be replaced ({error} is not known)."
        raise UserError(message) from error
    if pooling is not None:
        assert isinstance(backbone, SentenceBackbone)
        backbone.pooling = pooling
    backbone.on_notice = on_notice
    check_exact(backbone)
    if config.cuda_graphs and device.startswith("cuda") and not placing:
        backbone.graphs = StepGraphs(backbone.dtype, lambda message: backbone.on_notice(message))
    if device.startswith("cpu") and str(dtype) == "torch.bfloat16":
        _warn_if_slow(backbone)
    return backbone


def _warn_if_slow(backbone: Backbone) -> None:
    """One notice where the processor is slow at bfloat16."""
    from metapt_explore.models.processor import SLOW_BFLOAT16, UNPACKED, is_bfloat16_slow

    if is_bfloat16_slow():
        backbone.on_notice(SLOW_BFLOAT16)
    elif getattr(getattr(backbone, "fast", None), "refused_packing", False):
        backbone.on_notice(UNPACKED)
