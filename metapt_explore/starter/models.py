"""The starter models: what `metapt setup` puts on this machine, and where."""

from __future__ import annotations

from pathlib import Path

from metapt_explore.paths import cache_folder

#: Starter models: the name that studies use, and what each is.
STARTER_MODELS = {
    "smollm2-135m": "SmolLM2-135M-Instruct, rounded to 4 bits",  # like Llama, 134.5 M parameters
    "minilm": "all-MiniLM-L6-v2",  # a sentence encoder, 22.7 M parameters
}

#: Those of them that embed sentences.
STARTER_ENCODERS = ("minilm",)


def starter_folder(name: str) -> Path:
    """Where a starter model lies once `metapt setup` has run."""
    return cache_folder() / "models" / name


def has_starter(name: str) -> bool:
    """Whether a starter model's files are on this machine."""
    return (starter_folder(name) / "config.json").exists()
