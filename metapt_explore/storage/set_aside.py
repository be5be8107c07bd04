"""Setting aside what is damaged: it is moved, never deleted."""

from __future__ import annotations

from pathlib import Path

from metapt_explore.storage.integrity import STAGE


def set_aside(folder: Path, to: Path) -> Path:
    """Moves the files of a damaged artifact out of its folder; the caller holds the artifact's lock.

    The folder itself stays: the lock is in it.

    Args:
        folder: The artifact's folder.
        to: The workspace's folder for what is damaged.

    Returns:
        Where the files are: a folder with the artifact's id and a number.
    """
    number = 1
    while (aside := to / f"{folder.name}-{number}").exists():
        number += 1
    aside.mkdir(parents=True)
    # Whoever is killed in between leaves an artifact without a `stage.json`, which nobody takes for a finished one.
    for file in sorted(folder.iterdir(), key=lambda file: (file.name != STAGE, file.name)):
        if file.name != ".lock":
            file.replace(aside / file.name)
    return aside
