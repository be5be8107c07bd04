"""A file from the browser or from the server's own disk, by one field each; uploads are kept in the workspace once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.uploads import keep_upload

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile


def kept(workspace: Workspace, upload: UploadedFile, key: str) -> Path:
    """Where an upload lies; written and hashed once, not at every touch of the page.

    Args:
        workspace: Whose uploads it joins.
        upload: What the browser sent.
        key: Of its field.
    """
    told = (upload.file_id, str(workspace.folder))
    known: tuple[tuple[str, str], Path] | None = st.session_state.get(f"{key}_kept")
    if known is not None and known[0] == told and known[1].exists():
        return known[1]
    file = keep_upload(workspace, upload.name, upload.getbuffer())  # no second copy in memory
    st.session_state[f"{key}_kept"] = (told, file)
    return file


def whole_path(written: str) -> str:
    """A path that a user wrote, in full."""
    try:
        return str(Path(written).expanduser().resolve())
    except (OSError, ValueError, RuntimeError):  # no such user, a loop of links: the reader reports it
        return written


def stamp_of(file: str | None) -> float:
    """A value that changes with the file; 0 where there is none."""
    try:
        return Path(file).stat().st_mtime if file else 0.0
    except (OSError, ValueError):  # the reader reports the error
        return 0.0
