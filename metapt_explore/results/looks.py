"""What was looked into on request, as a record keeps it: agreement of gradients, and screenings."""

from __future__ import annotations

from typing import Any

import pandas as pd

from metapt_explore.diagnostics.headroom import headroom_losses
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace


def agreement_of(workspace: Workspace, done: list[IndexEntry]) -> pd.DataFrame:
    """Cosines of gradients, with the clustering whose tasks they are of and where they were taken.

    Args:
        workspace: Where artifacts lie.
        done: The finished entries of a study's list.
    """
    frames = []
    for entry in done:
        if entry["kind"] == "agreement":
            clustering = entry["clustering"]
            called = clustering if isinstance(clustering, str) else " + ".join(clustering)
            about = {
                "clustering": called,
                "at": entry.get("method", "the common start"),
                "init_seed": entry["init_seed"],
            }
            frames.append(workspace.artifact(entry["id"]).table("agreement").drop(columns="draws").assign(**about))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def screenings_of(workspace: Workspace, done: list[IndexEntry]) -> list[dict[str, Any]]:
    """What screenings found: method, seed, figures, losses and headroom task by task.

    Args:
        workspace: Where artifacts lie.
        done: As for `agreement_of`.
    """
    found = []
    for entry in done:
        if entry["kind"] == "screen":
            artifact = workspace.artifact(entry["id"])
            headroom = workspace.artifact(artifact.stage["parents"]["headroom"])
            about: dict[str, Any] = {"method": entry["method"], "init_seed": entry["init_seed"]}
            about |= {**artifact.summary, "headroom": headroom.summary.get("tasks", []) if headroom.finished else []}
            if headroom.finished:
                about["losses"] = headroom_losses(headroom.table("headroom"))
            found.append(about)
    return found
