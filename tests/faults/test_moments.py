"""The harness kills where it says: before, in the middle of and after each change of a file."""

from __future__ import annotations

import os
from pathlib import Path

import forked
import moments
import pytest

from metapt_explore.storage.files import read_json, write_json

pytestmark = pytest.mark.skipif(not forked.CAN_FORK, reason=forked.WHY_NOT)

OLD, NEW = {"answer": "old"}, {"answer": "new", "filler": "x" * 4000}


def write(folder: Path, die_at: int) -> None:
    """Replaces a file, and dies over it."""
    moments.install(moments.Moments((folder,), die_at))
    write_json(folder / "one.json", NEW)
    os._exit(0)


def test_a_file_is_whole_at_every_moment_of_its_writing(tmp_path: Path) -> None:
    found, temporary = [], []
    for die_at in range(1, 100):
        folder = tmp_path / str(die_at)
        write_json(folder / "one.json", OLD)
        process = forked.start(write, tmp_path / "log.txt", folder, die_at)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -9, (tmp_path / "log.txt").read_text(encoding="utf-8")
        found.append(read_json(folder / "one.json"))
        temporary.append([file.stat().st_size for file in folder.glob(".*.tmp")])
    assert found == sorted(found, key=lambda content: bool(content == NEW)), "the old one, then the new one"
    assert found[0] == OLD and found[-1] == NEW and all(content in (OLD, NEW) for content in found)
    whole = max(size for sizes in temporary for size in sizes)
    assert [whole // 2] in temporary, "half of the bytes"
    assert temporary[0] == temporary[-1] == []
