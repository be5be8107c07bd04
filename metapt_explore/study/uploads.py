"""Uploaded files in the workspace: as they came, and mended copies beside them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from metapt_explore.storage.files import write_bytes
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.file_content import PACKED, kind_of_name

#: What stands in the name of a mended copy.
MENDED = "-mended"
#: What `keep_upload` and `keep_mended` put behind a name.
ADDED = re.compile(rf"(?:-[0-9a-f]{{8}}|{MENDED})+$")


def keep_upload(workspace: Workspace, name: str, content: bytes | memoryview) -> Path:
    """Keeps an uploaded file in the workspace, under a name that holds the hash of its content.

    Args:
        workspace: The workspace.
        name: The file's name where it came from.
        content: Its bytes.

    Example:
        >>> keep_upload(Workspace("workspace"), "my texts.csv", b"text")  # doctest: +SKIP
        PosixPath('workspace/uploads/my-texts-982d9e3e.csv')
    """
    given = Path(name)
    # What lies in a packed file is told by the suffix before the last.
    packed = given.suffix.lower() in PACKED and kind_of_name(given.name) is not None
    suffix = "".join(given.suffixes[-2:]) if packed else given.suffix
    stem = re.sub(r"[^\w.-]+", "-", given.name.removesuffix(suffix)).strip("-.") or "texts"
    digest = hashlib.sha256(content).hexdigest()[:8]
    file = workspace.folder / "uploads" / f"{stem}-{digest}{suffix.lower()}"
    if not file.exists():
        write_bytes(file, content)
    return file


def keep_mended(workspace: Workspace, original: Path, suffix: str, content: bytes) -> Path:
    """Keeps a mended copy of a file among the uploads; its name holds the hashes of both.

    Args:
        workspace: The workspace.
        original: The file, an upload or another; it stays as it is.
        suffix: Of the copy.
        content: Of the copy.

    Example:
        >>> keep_mended(Workspace("workspace"), Path("texts-982d9e3e.csv"), ".csv", b"text")  # doctest: +SKIP
        PosixPath('workspace/uploads/texts-982d9e3e-mended-5a7c0d11.csv')
    """
    stem = _bare(original)
    if original.absolute().parent != workspace.folder / "uploads":
        with original.open("rb") as opened:
            stem += f"-{hashlib.file_digest(opened, 'sha256').hexdigest()[:8]}"
    return keep_upload(workspace, f"{stem}{MENDED}{suffix}", content)


def title_of(file: Path, workspace: Workspace) -> str:
    """A file's name without suffix, and without what was added to it among the uploads.

    Example:
        >>> title_of(Path("w/uploads/texts-982d9e3e-mended-5a7c0d11.csv"), Workspace("w"))
        'texts'
    """
    return ADDED.sub("", _bare(file)) if file.absolute().parent == workspace.folder / "uploads" else _bare(file)


def by_given_names(said: str, workspace: Workspace) -> str:
    """A sentence in which uploads are called as their owner called them, not by where they are kept.

    Example:
        >>> by_given_names("/w/uploads/my-texts-982d9e3e.csv, line 3: no text.", Workspace("/w"))
        'my-texts.csv, line 3: no text.'
    """
    kept = re.escape(f"{workspace.folder / 'uploads'}{os.sep}")
    return re.sub(rf"{kept}([\w.-]+?)(?:-[0-9a-f]{{8}}|{MENDED})+((?:\.\w+){{1,2}})", r"\1\2", said)


def _bare(file: Path) -> str:
    """The name without its suffix, of a packed file without both."""
    name = file.with_suffix("").name if file.suffix.lower() in PACKED else file.name
    return name.removesuffix(Path(name).suffix) if kind_of_name(name) else name
