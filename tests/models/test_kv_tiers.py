"""The tiers of the cache: budgets, order of use, and files that do not outlive their process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.models.kv_cache.tiers import DiskTier, HostTier, KVCache, KVTensors, size_of
from metapt_explore.storage.hosts import this_host

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("states-*/*.safetensors"))


@pytest.mark.parametrize("end", ["finished", "killed"])
def test_files_do_not_outlive_their_process(end: str, tmp_path: Path) -> None:
    """Gone when a process ends; what a killed one could not remove, the next one removes."""
    code = f"""
import os, signal, sys
from pathlib import Path
import torch
from metapt_explore.models.kv_cache.tiers import DiskTier
folder = Path(sys.argv[1])
tier = DiskTier(1e9, folder)
tier.put("key", {{"keys": torch.zeros(3)}})
assert "key" in tier and len(list(folder.glob("states-*/*"))) == 1
if {end == "killed"}:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert process.returncode == (-9 if end == "killed" else 0)
    assert len(files_in(tmp_path)) == (1 if end == "killed" else 0)
    running = tmp_path / f"states-{this_host().key}-{os.getppid()}-of_another"
    elsewhere = tmp_path / "states-another_host-7-x"  # its number means nothing here
    running.mkdir()
    elsewhere.mkdir()
    tier = DiskTier(1e9, tmp_path)
    tier.put("key", {"keys": torch.ones(3)})
    assert len(files_in(tmp_path)) == 1 and running.exists() and elsewhere.exists()
    states = tier.get("key")
    assert states is not None and torch.equal(states["keys"], torch.ones(3))


def test_a_tier_stays_within_its_budget(tmp_path: Path) -> None:
    """What does not fit is not kept, and a kept state is not written twice."""
    one = {"keys": torch.zeros(100)}
    tiers = (DiskTier(2 * size_of(one), tmp_path), HostTier(2 * size_of(one), torch.device("cpu")))
    for tier in tiers:
        for key in ("a", "a", "b", "c"):
            tier.put(key, one)
        assert [key in tier for key in "abc"] == [True, True, False]
    assert len(files_in(tmp_path)) == 2


@given(
    asked=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=40),
    budget=st.integers(1, 12),
    behind=st.none() | st.integers(0, 12),
    forgotten=st.integers(0, 40),
)
def test_a_cache_never_mixes_states_up(
    asked: list[tuple[int, int]], budget: int, behind: int | None, forgotten: int
) -> None:
    """Whatever is asked in whatever order: a key's own states or nothing, and memory within its budget."""
    unit = size_of({"keys": torch.zeros(1)})
    tier = None if behind is None else HostTier(behind * unit, torch.device("cpu"))
    cache = KVCache(budget * unit, tier)

    def states_of(key: tuple[int, int]) -> KVTensors:
        return {"keys": torch.full((1 + key[1],), float(10 * key[0] + key[1]))}

    for step, key in enumerate(asked):
        if step == forgotten:
            cache.forget(key[0])
            assert not any(owner == key[0] for owner, _ in cache._kept)
        cached = cache.get(key)
        if cached is None:
            cache.put(key, states_of(key))
        else:
            assert torch.equal(cached[0]["keys"], states_of(key)["keys"])
        used = sum(size_of(states) for states in cache._kept.values())
        assert used == cache._used and (used <= budget * unit or len(cache._kept) == 1)
        again = cache.get(key)
        assert again is not None and again[1], "what was used last is in memory"
