"""Where text states are kept: memory, and behind it another tier that is cheaper than computing again.

On a CPU the tiers are memory, then disk: reading a state back takes a tenth of the time of encoding
its text. On a GPU they are the device's memory, then the host's; a disk would be slower than encoding.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import torch
from torch import Tensor

from metapt_explore.paths import cache_folder
from metapt_explore.storage.hosts import this_host

KVTensors = dict[str, Tensor]


@dataclass
class CacheCounts:
    """Rows that were asked for, by where they were found.

    Attributes:
        memory: Found in the first tier.
        second: Found in the second tier (host or disk).
        missed: Waited for an encoding.
        encoded: Rows that were encoded; more than `missed`, as rows are encoded in chunks.
    """

    memory: int = 0
    second: int = 0
    missed: int = 0
    encoded: int = 0

    @property
    def hit_rate(self) -> float | None:
        """Share of asked rows that were found; None where nothing was asked."""
        asked = self.memory + self.second + self.missed
        return (self.memory + self.second) / asked if asked else None


class Tier(Protocol):
    """A place behind memory."""

    budget_bytes: float

    def __contains__(self, key: Hashable) -> bool: ...

    def put(self, key: Hashable, states: KVTensors) -> None:
        """Keeps states, or forgets them where the budget is spent."""

    def get(self, key: Hashable) -> KVTensors | None:
        """Returns states that are kept here, or None where they were lost."""

    def keys(self) -> list[Hashable]:
        """What is kept here."""

    def drop(self, key: Hashable) -> None:
        """Forgets one entry; its room is free again."""


@dataclass
class HostTier:
    """Host memory behind a GPU's."""

    budget_bytes: float
    device: torch.device
    _kept: dict[Hashable, KVTensors] = field(default_factory=dict)
    _used: int = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def put(self, key: Hashable, states: KVTensors) -> None:
        """See `Tier.put`."""
        if key not in self._kept and self._used + size_of(states) <= self.budget_bytes:
            self._kept[key] = {name: value.cpu() for name, value in states.items()}
            self._used += size_of(states)

    def get(self, key: Hashable) -> KVTensors:
        """See `Tier.get`."""
        return {name: value.to(self.device) for name, value in self._kept[key].items()}

    def keys(self) -> list[Hashable]:
        """See `Tier.keys`."""
        return list(self._kept)

    def drop(self, key: Hashable) -> None:
        """See `Tier.drop`."""
        self._used -= size_of(self._kept.pop(key))


class DiskTier:
    """Files in a folder that is removed with the process; what a killed process left is removed at the next start."""

    def __init__(self, budget_bytes: float, folder: Path) -> None:
        self.budget_bytes = budget_bytes
        self._parent, self._folder = folder, None if budget_bytes <= 0 else folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._files: dict[Hashable, Path] = {}
        self._sizes: dict[Hashable, int] = {}
        self._written = 0
        self._used = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._files

    def put(self, key: Hashable, states: KVTensors) -> None:
        """See `Tier.put`. A full disk only ends the keeping."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        size = size_of(states)
        if key in self._files or self._used + size > self.budget_bytes:
            return
        try:
            file = self._open() / f"{self._written}.safetensors"
            if shutil.disk_usage(file.parent).free < 2 * size:
                self.budget_bytes = self._used
                return
            save_file({name: value.contiguous() for name, value in states.items()}, file)
        except (OSError, SafetensorError):
            self.budget_bytes = self._used
            return
        self._files[key], self._sizes[key] = file, size
        self._written += 1
        self._used += size

    def get(self, key: Hashable) -> KVTensors | None:
        """See `Tier.get`. A file may be gone: somebody cleans up, or a disk is full."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(self._files[key])
        except (OSError, SafetensorError):
            self.drop(key)
            return None

    def keys(self) -> list[Hashable]:
        """See `Tier.keys`."""
        return list(self._files)

    def drop(self, key: Hashable) -> None:
        """See `Tier.drop`."""
        with contextlib.suppress(OSError):
            self._files.pop(key).unlink()
        self._used -= self._sizes.pop(key)

    def _open(self) -> Path:
        if self._temporary is None:
            self._parent.mkdir(parents=True, exist_ok=True)
            # A home may be shared by hosts, whose process numbers mean nothing here.
            ours = f"states-{this_host().key}-"
            for left in self._parent.glob(f"{ours}*-*"):
                if not psutil.pid_exists(int(left.name.removeprefix(ours).split("-")[0])):
                    shutil.rmtree(left, ignore_errors=True)
            self._temporary = tempfile.TemporaryDirectory(prefix=f"{ours}{os.getpid()}-", dir=self._parent)
        return Path(self._temporary.name)


def size_of(states: KVTensors) -> int:
    """Bytes of states."""
    return sum(value.numel() * value.element_size() for value in states.values())


class KVCache:
    """Least recently used states in memory, with a second tier behind it.

    Args:
        budget_bytes: Memory for states.
        behind: The second tier, or None.
    """

    def __init__(self, budget_bytes: float, behind: Tier | None = None) -> None:
        self.budget_bytes = budget_bytes
        self.behind = behind
        #: Batches as they were gathered last, with room for new tokens; few, as they may be large.
        self.recent: OrderedDict[Hashable, Any] = OrderedDict()
        self._kept: OrderedDict[Hashable, KVTensors] = OrderedDict()
        self._used = 0

    @property
    def room_bytes(self) -> float:
        """Bytes that all tiers hold together."""
        return self.budget_bytes + (self.behind.budget_bytes if self.behind is not None else 0)

    def get(self, key: Hashable) -> tuple[KVTensors, bool] | None:
        """Returns states and whether memory had them, or None where they are not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key], True
        if self.behind is not None and key in self.behind:
            states = self.behind.get(key)
            if states is not None:
                self._keep(key, states)
                return states, False
        return None

    def put(self, key: Hashable, states: KVTensors) -> None:
        """Keeps new states; the least recently used ones move to the second tier when memory is full."""
        self._keep(key, states)

    def _keep(self, key: Hashable, states: KVTensors) -> None:
        self._kept[key] = states
        self._used += size_of(states)
        while self._used > self.budget_bytes and len(self._kept) > 1:
            oldest, dropped = self._kept.popitem(last=False)
            self._used -= size_of(dropped)
            if self.behind is not None:
                self.behind.put(oldest, dropped)

    def forget(self, owner: Hashable) -> None:
        """Drops what belongs to one owner (keys are `(owner, part)`)."""

        def theirs(key: Hashable) -> bool:
            return isinstance(key, tuple) and key[0] == owner

        for key in [key for key in self._kept if theirs(key)]:
            self._used -= size_of(self._kept.pop(key))
        for key in [key for key in self.recent if theirs(key)]:
            del self.recent[key]
        if self.behind is not None:
            for key in [key for key in self.behind.keys() if theirs(key)]:  # noqa: SIM118
                self.behind.drop(key)


def make_cache(memory_gib: float, second_gib: float, device: torch.device) -> KVCache:
    """The tiers for a device.

    Args:
        memory_gib: Memory of the device for states.
        second_gib: Host memory where the device is a GPU, else disk.
        device: Where the model runs.
    """
    budget = second_gib * 2**30
    behind: Tier = HostTier(budget, device) if device.type != "cpu" else DiskTier(budget, cache_folder() / "states")
    return KVCache(memory_gib * 2**30, behind if budget > 0 else None)
