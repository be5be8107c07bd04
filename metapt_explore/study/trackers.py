"""Curves of a run told to TensorBoard, MLflow, W&B or trackio, through the trackers of accelerate.

Each finished prompt and score becomes a run of its own, with its own steps, so that curves lie over one another. The
workspace stays the truth: a tool that fails is named once and left out, and the study goes on.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.storage.artifact import Artifact

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

#: Tools to tell, separated by commas; a worker of the queue reads it, too.
VARIABLE = "METAPT_TRACKERS"
#: The tools: what a run of theirs is called by, and what `pip install` needs.
TOOLS = {
    "tensorboard": ("", "tensorboardX"),
    "mlflow": ("run_name", "mlflow"),
    "wandb": ("name", "wandb"),
    "trackio": ("name", "trackio"),
}

#: Makes the tracker of one stage, given the study's name and the stage's key.
MakeTracker = Callable[[str, str], "GeneralTracker"]


class Trackers:
    """Tells tools of finished stages.

    Args:
        study: The study's name.
        makers: By the tools' names.
        notice: Told where a tool fails.
    """

    def __init__(self, study: str, makers: Mapping[str, MakeTracker], notice: Callable[[str], None]) -> None:
        self._study, self._makers, self._notice = study, dict(makers), notice

    def tell(self, key: str, artifact: Artifact, subject: Mapping[str, Any]) -> None:
        """Tells the losses and curves of a stage that was just computed; nothing where it has none.

        Args:
            key: The stage's key, such as ``prompt/MetaPT/0``.
            artifact: Its artifact.
            subject: What it is about: method, task, seed.
        """
        if not self._makers:
            return
        for name, make in list(self._makers.items()):
            try:
                points = list(curve_points(artifact))
                if not points:
                    return
                tracker = make(self._study, key)
                tracker.start()
                tracker.store_init_configuration({"study": self._study, "artifact": artifact.id, **subject})
                for step, values in points:
                    tracker.log(values, step=step)
                tracker.finish()
            except Exception as error:
                del self._makers[name]
                self._notice(f"{name} is told nothing more of this run: {type(error).__name__}: {error}")


def trackers_of(study: str, folder: Path, notice: Callable[[str], None]) -> Trackers:
    """The tools that `METAPT_TRACKERS` names; none where it is not set.

    Args:
        study: The study's name.
        folder: Where tools that write files may do so.
        notice: Told where a tool fails.

    Raises:
        UserError: Where a tool is not known or not installed.
    """
    names = tool_names(os.environ.get(VARIABLE, "").split(","))
    if names:
        from accelerate import PartialState

        PartialState(cpu=True)  # its trackers ask which process they are in
    return Trackers(study, {name: _maker(name, folder) for name in names}, notice)


def tool_names(given: Sequence[str]) -> list[str]:
    """Checks names of tools, and that their packages are there.

    Raises:
        UserError: Where one is not known or not installed.

    Example:
        >>> tool_names(["", " "])
        []
    """
    from importlib.util import find_spec

    names = list(dict.fromkeys(name.strip() for name in given if name.strip()))
    for name in names:
        if name not in TOOLS:
            raise UserError(f"There is no tracker '{name}'. {did_you_mean(name, list(TOOLS))}")
        package = TOOLS[name][1]
        if find_spec(package) is None and find_spec(name) is None:
            raise UserError(f"The tracker '{name}' needs a package that is not installed: pip install {package}")
    return names


def _maker(name: str, folder: Path) -> MakeTracker:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    tracker: Any = LOGGER_TYPE_TO_CLASS[name]
    run_name = TOOLS[name][0]
    if name == "tensorboard":
        # A folder for each run: with one for all, curves of different stages would be one.
        return lambda study, key: tracker(run_folder(study, key), logging_dir=folder / name)
    return lambda study, key: tracker(study, **{run_name: key})


def run_folder(study: str, key: str) -> str:
    """A folder of its own for each stage of a study; a method's name may hold anything, and leads nowhere else.

    Example:
        >>> run_folder("tour", "prompt/../MetaPT/0")
        'tour/prompt/_/MetaPT/0'
    """
    parts = (re.sub(r"[^\w +.=-]", "_", part).strip(". ") or "_" for part in key.split("/"))
    return "/".join([study, *parts])


def curve_points(artifact: Artifact) -> Iterator[tuple[int, dict[str, float]]]:
    """Steps of a finished stage with their values: of pre-training means over tasks, of tuning means over data seeds.

    Dev scores of tuning are means over learning rates too; test scores exist for the rate that dev chose.
    """
    metrics = artifact.metrics
    curves = artifact.table("curves") if (artifact.folder / "curves.parquet").exists() else pd.DataFrame()
    by_step: dict[int, dict[str, float]] = {}
    for table in (metrics, curves):
        if "step" not in table:
            continue
        numbers = table.drop(columns=["data_seed", "learning_rate", "order"], errors="ignore")
        means = numbers.select_dtypes("number").groupby("step").mean()
        for step, values in means.to_dict(orient="index").items():
            known = {str(key): float(value) for key, value in values.items() if math.isfinite(value)}
            by_step.setdefault(int(str(step)), {}).update(known)
    yield from sorted(((step, values) for step, values in by_step.items() if values), key=lambda point: point[0])
