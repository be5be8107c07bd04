"""A field for a model's name: some that suit, any other by name or folder, and where its files come from."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from metapt_explore import hub
from metapt_explore.dashboard.parts import messages
from metapt_explore.models.folder import is_here
from metapt_explore.starter.models import STARTER_MODELS

#: Sentence encoders that are offered by name: the packaged one, a stronger, a small and strong, one of many languages.
ENCODERS = (
    "minilm",
    "sentence-transformers/all-mpnet-base-v2",
    "BAAI/bge-small-en-v1.5",
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
)
STATIC_MODELS = ("minishlab/potion-base-8M", "minishlab/potion-base-32M", "minishlab/potion-multilingual-128M")
HELP = "Choose one, or write a name on the hub or a folder on the machine where this server runs."


def choose(
    label: str, offered: Sequence[str], *, key: str, kind: hub.RepoKind, nothing: str = "", help: str = HELP
) -> str | None:
    """Asks for a model.

    Args:
        label: What it is for.
        offered: Names to choose from; any other may be written.
        key: Of the field.
        kind: What is looked for, such as `hub.ENCODER`.
        nothing: What the first choice is called that names no model; no such choice when empty.
        help: Of the field.

    Returns:
        The name; None for the choice that names none.
    """
    chosen = st.selectbox(
        label,
        [*([None] if nothing else []), *offered],
        format_func=lambda name: nothing if name is None else called(name),
        key=key,
        accept_new_options=True,
        help=help,
    )
    name = (chosen or "").strip()
    if not name:
        return None if nothing else offered[0]
    if not is_here(name):
        folder = name.startswith((".", "/", "~"))
        said = f"There is no folder {name}." if folder else f"'{name}' is not on this machine: the study downloads it."
        st.caption(messages.sentence(said))
    return name


def called(name: str) -> str:
    """A model's name, with what a starter is.

    Example:
        >>> called("minilm"), called("BAAI/bge-m3")
        ('minilm (all-MiniLM-L6-v2, packaged)', 'BAAI/bge-m3')
    """
    return f"{name} ({STARTER_MODELS[name]}, packaged)" if name in STARTER_MODELS else name
