"""Checkpoints and single files: damage is noticed, a full disk or a killed process leaves nothing behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from tampering import dead_process

from metapt_explore.storage import files
from metapt_explore.storage.artifact import Question
from metapt_explore.storage.checkpoint import read_checkpoint
from metapt_explore.storage.files import sweep
from metapt_explore.storage.making import making
from metapt_explore.storage.stage_file import read_stage

STAGE = Question("prompt", "a prompt", 1, {"steps": 2})


def test_any_damage_to_a_checkpoint_makes_the_stage_begin_again(tmp_path: Path) -> None:
    """A bit of any byte, half of it, nothing of it: the checkpoint is the one that was written, or there is none."""
    tensors = {"prompt": torch.arange(6.0).reshape(2, 3), "half": torch.ones(3, dtype=torch.bfloat16)}
    with making(tmp_path, STAGE, {}) as out:
        out.metric({"step": 0, "loss": 1.5})
        out.save_checkpoint(tensors, {"step": 1})
        file = tmp_path / "checkpoint" / "state.safetensors"
        content = file.read_bytes()
        found = read_checkpoint(tmp_path)
        assert found is not None and found[1]["step"] == 1
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1 << (place % 8)
            file.write_bytes(bytes(damaged))
            found = read_checkpoint(tmp_path)
            if found is not None:  # the name of a field that a checkpoint need not have
                assert all(torch.equal(found[0][name], value) for name, value in tensors.items())
                assert found[1]["step"] == 1
        for part in (content[: len(content) // 2], b""):
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(part)
            assert out.load_checkpoint() is None
            assert not (tmp_path / "metrics.jsonl").exists() and not file.exists()


def test_a_stage_without_metrics_that_was_stopped_has_no_file_of_them(tmp_path: Path) -> None:
    with making(tmp_path, STAGE, {}) as out:
        out.save_checkpoint({"rows": torch.ones(2)}, {"step": 1})
        assert out.load_checkpoint() is not None
    assert not (tmp_path / "metrics.jsonl").exists()


def test_metrics_that_are_damaged_behind_a_checkpoint_make_the_stage_begin_again(tmp_path: Path) -> None:
    with making(tmp_path, STAGE, {}) as out:
        out.metric({"step": 0, "loss": 1.5})
        out.save_checkpoint({"prompt": torch.ones(2)}, {"step": 1})
        out.metric({"step": 1, "loss": 1.25})
        found = out.load_checkpoint()
        assert found is not None and out.metrics["loss"].tolist() == [1.5]
        lines = tmp_path / "metrics.jsonl"
        lines.write_text(lines.read_text(encoding="utf-8").replace("1.5", "9.5"), encoding="utf-8")
        assert out.load_checkpoint() is None
        assert out.metrics.empty


def test_a_clock_that_is_set_back_makes_no_negative_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with making(tmp_path, STAGE, {}):
        before = time.time()
        monkeypatch.setattr(time, "time", lambda: before - 7200)
    assert read_stage(tmp_path)["seconds"] >= 0


# ------------------------------------------------------------------------------------- leftovers


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_bytes(tmp_path / "kept.json", b"1")
    monkeypatch.setattr(os, "fsync", no_space)
    for write in (
        lambda: files.write_bytes(tmp_path / "kept.json", b"2"),
        lambda: files.write_json(tmp_path / "new.json", {}),
        lambda: files.write_table(tmp_path / "new.parquet", pd.DataFrame({"a": [1]})),
    ):
        with pytest.raises(OSError, match="No space left"):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]
    assert (tmp_path / "kept.json").read_bytes() == b"1"


def test_only_files_of_dead_processes_are_swept(tmp_path: Path) -> None:
    names = [f".a.json.{dead_process()}.1.tmp", f".b.json.{os.getpid()}.1.tmp", "notes.tmp", ".c.tmp"]
    for name in names:
        (tmp_path / name).write_text("half", encoding="utf-8")
    assert sweep(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
