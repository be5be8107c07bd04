"""A GGUF file, as llama.cpp keeps models, becomes a plain folder once: loading GGUF takes half a minute each time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metapt_explore.errors import UserError, library_errors
from metapt_explore.models.origin import note_origin

#: How a GGUF file begins.
MAGIC = b"GGUF"


def convert_gguf(file: Path, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
    """Converts a decoder-only language model from a GGUF file into a folder that studies load.

    Weights become float32 as they are in the file: what was rounded to 4 bits stays rounded, and `origin.yaml` in the
    folder says so, as reports do. Tokenizer and configuration come out of the file, too.

    Args:
        file: The GGUF file; its name may end in its type, such as ``Q4_K_M.gguf``.
        folder: A new folder, which becomes `model.name` of studies. Half a folder is never left.
        say: Called with what is about to be done, in words, once the file has been looked at.

    Raises:
        UserError: Where the file is no GGUF file, the folder is there already, or the model is of a kind that
            transformers cannot read out of GGUF.
    """
    try:
        with file.open("rb") as stream:
            begin = stream.read(len(MAGIC))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}.") from None
    if begin != MAGIC:
        raise UserError(f"{file} is no GGUF file (such a file begins with the letters GGUF).")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already: name a new folder.")
    say(f"Converting {file}: about a minute …")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            built = Path(temporary) / folder.name
            built.mkdir()
            with library_errors(lambda reason: f"{file} could not be converted: {reason}."):
                write_plain(file, built)
            note_origin(built, file)
            if folder.exists():  # empty: what has been put there meanwhile stays, and this fails
                folder.rmdir()
            built.replace(folder)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}.") from None


def write_plain(file: Path, folder: Path) -> None:
    """Writes weights, configuration and tokenizer of a GGUF file as transformers saves them, in float32."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    # transformers refuses to save a model whose configuration names a quantisation.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    auto_class: Any = AutoModelForCausalLM
    plain = auto_class.from_config(config)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
