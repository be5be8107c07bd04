"""How fast this machine runs a model: measurements kept in the workspace, and a rough one for the first minute.

A measurement is found again while machine, libraries, model and settings are the same, so a run that goes on does not
measure once more::

    workspace/speeds/<machine and model>-<settings>.json

`metapt plan` writes nothing into a workspace: what it measures lies in the package's own folder (`paths.cache_folder`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import torch

from metapt_explore import hub
from metapt_explore.config import BaselineConfig, EncoderConfig
from metapt_explore.cost.count import Speed
from metapt_explore.errors import UserError
from metapt_explore.models.folder import model_folder
from metapt_explore.models.model_files import safetensors_header
from metapt_explore.paths import cache_folder
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.manifest import manifest

#: Share of a plain product's speed that a language model reaches here, roughly.
EFFICIENCY = 0.5
#: Sizes of that product, and how often it is timed.
PRODUCT, REPEATS = (256, 768, 3072), 4


class KeptSpeeds:
    """Measurements of one model on this machine, or by the workers to which it hands out.

    Args:
        folder: Of the workspace.
        model: What identifies the model: the hash of its files, its number format, its device.
        workers: The engine of the workers that measured; this process when None.
    """

    def __init__(self, folder: Path, model: Mapping[str, Any], *, workers: str | None = None) -> None:
        machine = manifest()
        of_torch = {name: machine["versions"][name] for name in ("torch", "transformers")}
        hardware = {key: machine[key] for key in ("cpu", "cores", "threads", "gpu")}
        self._folder, self._own = folder / "speeds", cache_folder() / "speeds"
        self._model = _hash([of_torch, hardware, dict(model), *([workers] if workers else [])])

    def find(self, settings: Mapping[str, Any]) -> Speed | None:
        """The workspace's measurement with these settings; None without one."""
        return _read(self._file(settings))

    def keep(self, settings: Mapping[str, Any], speed: Speed) -> None:
        """Keeps a measurement."""
        write_json(self._file(settings), asdict(speed))

    def keep_outside(self, settings: Mapping[str, Any], speed: Speed) -> None:
        """Keeps a measurement where no workspace is touched."""
        with suppress(OSError):  # it is found out again
            write_json(self._own / self._file(settings).name, asdict(speed))

    def latest(self) -> Speed | None:
        """The last measurement of the model, whatever its settings; None without one."""
        files = [file for folder in (self._folder, self._own) for file in folder.glob(f"{self._model}-*.json")]
        speeds = [speed for file in files if (speed := _read(file)) is not None]
        return max(speeds, key=lambda speed: speed.measured_at or 0.0, default=None)

    def _file(self, settings: Mapping[str, Any]) -> Path:
        return self._folder / f"{self._model}-{_hash(dict(settings))}.json"


def _hash(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:12]


def _read(file: Path) -> Speed | None:
    stored = read_json(file)
    try:
        speed = Speed(**stored) if isinstance(stored, dict) else None
    except TypeError:  # of another version
        return None
    return speed if speed is not None and all(isinstance(v, int | float) for v in asdict(speed).values()) else None


def rough_seconds_a_token(folder: Path, device: str, dtype: str) -> float | None:
    """What a token through a model takes that never ran here, from its size and one timed product.

    Rough: for a time left until something was measured.

    Args:
        folder: The model's files.
        device: Where it runs.
        dtype: The number format of its weights there.

    Returns:
        Seconds; None where its files do not say how large it is.
    """
    with suppress(UserError, OSError):
        weights = multiplied_weights(folder)
        return 2 * weights / (EFFICIENCY * _operations_a_second(device, dtype)) if weights else None
    return None


def multiplied_weights(folder: Path) -> int:
    """How many weights of a model every token is multiplied by: vectors of the vocabulary are looked up.

    Raises:
        UserError: Where a weight file cannot be read.
    """
    headers = [_header(file) for file in folder.glob("*.safetensors")]
    return sum(prod(shape) for tensors in headers for name, (_, shape) in tensors.items() if "embed" not in name)


def encoder_factor(baseline: BaselineConfig, encoder: EncoderConfig) -> float:
    """How much more work a token is for a baseline's own encoder than for the study's, by the sizes of both.

    Args:
        baseline: The baseline.
        encoder: The study's encoder.

    Returns:
        1 where the baseline has none of its own, or files do not say how large an encoder is.
    """
    own = baseline.encoder_in(encoder)
    if own == encoder:
        return 1.0
    with suppress(UserError, OSError):
        ours, its = (multiplied_weights(model_folder(each.name, each.revision, hub.ENCODER)) for each in (encoder, own))
        return its / ours if ours and its else 1.0
    return 1.0


def _header(file: Path) -> Any:
    return safetensors_header(file, "the language model")


def _operations_a_second(device: str, dtype: str) -> float:
    rows, width, wide = PRODUCT
    sizes = ((rows, width), (width, wide))
    left, right = (torch.ones(size, device=device, dtype=getattr(torch, dtype)) for size in sizes)
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        (left @ right).sum().item()
        seconds.append(time.perf_counter() - began)
    return 2 * rows * width * wide / min(seconds)
