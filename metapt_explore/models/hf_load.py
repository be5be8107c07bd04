"""Models, tokenizers and configurations, loaded from a folder with transformers; any failure is one sentence.

All models come through `load_model`: language models, sentence encoders and what baselines train. Files are
checked before (`model_files.py`), and the loaded model after (`model_checks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from metapt_explore.errors import UserError, library_errors
from metapt_explore.models.model_files import check_weight_files, damaged_json, read_settings


@contextmanager
def loading(folder: Path, name: str, what: str = "model") -> Iterator[None]:
    """Turns any failure to load a model into one sentence that names the model and its folder."""
    called = f"The {what} '{name}'" if name == str(folder) else f"The {what} '{name}' in {folder}"

    def message(reason: str) -> str:
        if "trust_remote_code" in reason or "custom code" in reason:
            return (
                f"{called} cannot be loaded: it needs code of its own (`auto_map` in its "
                "config.json), which is never run. Use a model that transformers knows."
            )
        return damaged_json(folder, name) or f"{called} cannot be loaded: {reason}."

    with library_errors(message):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and its report of missing weights, which our checks give."""
    import transformers

    logging: Any = transformers.utils.logging
    # accelerate says of each spread model that some of its weights are elsewhere.
    getLogger("accelerate.big_modeling").setLevel(ERROR)
    logging.disable_progress_bar()
    before = logging.get_verbosity()
    logging.set_verbosity(max(before, logging.CRITICAL))
    try:
        yield
    finally:
        logging.set_verbosity(before)


def load_pretrained(auto_class: Any, folder: Path, name: str, **options: Any) -> Any:
    """Loads a configuration or a part of a model from a folder.

    Raises:
        UserError: With the library's reason.
    """
    with loading(folder, name):
        return _from_pretrained(auto_class, folder, **options)


def _from_pretrained(auto_class: Any, folder: Path, **options: Any) -> Any:
    with _quiet():
        return auto_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)


def load_settings(folder: Path, name: str) -> Any:
    """Loads a model's configuration, whose file is checked first."""
    from transformers import AutoConfig

    read_settings(folder, name)
    return load_pretrained(AutoConfig, folder, name)


def load_tokenizer(folder: Path, name: str) -> Any:
    """Loads a model's tokenizer.

    Raises:
        UserError: Where the folder holds none; for some models transformers would make an empty one.
    """
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").is_file() and not _vocabulary(folder):
        kind = (read_settings(folder, name).get("model_type"), _tokenizer_class(folder, name))
        if not any("byt5" in str(each).lower() or "canine" in str(each).lower() for each in kind):
            raise UserError(
                f"The model '{name}': {folder} holds no tokenizer (tokenizer.json, vocab.txt, a *.model file …); copy "
                "it from where the model comes from."
            )
    with loading(folder, name, "tokenizer of the model"):
        return _from_pretrained(AutoTokenizer, folder)


def _vocabulary(folder: Path) -> bool:
    """Whether a folder holds the files of a tokenizer in one of the older formats."""
    if (folder / "vocab.json").is_file():
        return (folder / "merges.txt").is_file() or any(folder.glob("*.spm"))  # both are needed
    names = ("vocab.txt", "vocab", "tekken.json", "*.model", "*.tiktoken", "*.spm", "prophetnet.tokenizer")
    return any(file.is_file() for pattern in names for file in folder.glob(pattern))


def _tokenizer_class(folder: Path, name: str) -> Any:
    from metapt_explore.models.model_files import read_json

    settings = read_json(folder / "tokenizer_config.json", f"The model '{name}'")
    return settings.get("tokenizer_class") if isinstance(settings, dict) else None


def check_model(auto_class: Any, title: str, folder: Path, *, name: str, **options: Any) -> Any:
    """Checks that a model's configuration and weights fit; takes milliseconds, because no weight is read.

    Args:
        auto_class: The class of transformers that loads it.
        title: What it is loaded as, for messages (``masked``).
        folder: Its files.
        name: What to call it in messages.
        **options: For `from_pretrained`.

    Returns:
        The model without its weights (on the ``meta`` device).

    Raises:
        UserError: Where files are missing or damaged, or transformers would make weights up or ignore some.
    """
    from metapt_explore.models.model_checks import check_complete, check_nothing_left, check_shapes

    read_settings(folder, name)
    check_weight_files(folder, name)
    # Otherwise transformers raises an error that does not name the weight.
    lenient = {"ignore_mismatched_sizes": True, "output_loading_info": True, "device_map": "meta"}
    model, report = load_pretrained(auto_class, folder, name, use_safetensors=True, **lenient, **options)
    with loading(folder, name):
        check_shapes(report["mismatched_keys"], folder, name)
        check_complete(report["missing_keys"], folder, name, title=title)
        check_nothing_left(report["unexpected_keys"], model, folder, name=name)
    return model


def load_model(
    auto_class: Any, title: str, folder: Path, *, name: str, placing: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """Loads a model; arguments and checks as of `check_model`, and its weights must be finite.

    Args:
        auto_class: As of `check_model`, with the next ones.
        title: …
        folder: …
        name: …
        placing: Options that put weights on devices or quantise them (`placing.placing_options`).
        **options: For `from_pretrained`.

    Returns:
        The model in evaluation mode; on the CPU, unless it is placed.

    Raises:
        UserError: Where it cannot be loaded completely.
    """
    from metapt_explore.models.model_checks import check_numbers

    check_model(auto_class, title, folder, name=name, **options)
    options |= placing or {}
    model = load_pretrained(auto_class, folder, name, use_safetensors=True, **options)  # never a pickle
    with loading(folder, name):
        check_numbers(model, folder, name)
    return model.eval()
