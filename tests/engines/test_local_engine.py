"""Processes of this machine: real ones, each with its cards and its share of the cores."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import wait

from metapt_explore.config.machine import LocalConfig, MachineConfig
from metapt_explore.config.model import ModelConfig
from metapt_explore.engines import local
from metapt_explore.engines.base import Job, SubmitFailed
from metapt_explore.engines.choose import make_engine
from metapt_explore.engines.local import THREADS, LocalEngine, check_cards
from metapt_explore.errors import UserError

SAY = """
import json, os, sys, time
print(json.dumps([os.environ.get(name, "") for name in sys.argv[1:]]), flush=True)
time.sleep(600)
"""


@dataclass(frozen=True)
class Saying(Job):
    """A job that prints what it is given, and ends when it is killed."""

    def command(self, python: str | None = None) -> list[str]:
        return [sys.executable, "-c", SAY, "CUDA_VISIBLE_DEVICES", *THREADS]


def job(folder: Path, number: int) -> Saying:
    return Saying("one", folder, f"{number:05d}", folder / f"{number}.log")


@pytest.mark.parametrize(
    ("cards", "number", "gpus", "seen"),
    [
        ([None], 2, 1, ["", ""]),
        (["0", "1"], None, 1, ["0", "1"]),
        (["3", "5"], 3, 1, ["3", "5", "3"]),
        (["0", "1", "2", "3", "4"], None, 2, ["0,1", "2,3"]),
    ],
)
def test_real_processes_have_cards_and_cores_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cards: list[str | None], number: int | None, gpus: int, seen: Any
) -> None:
    monkeypatch.setattr(local, "worker_devices", lambda: cards)
    monkeypatch.setenv(THREADS[0], "8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    engine = LocalEngine(number, LocalConfig(gpus=gpus))
    assert engine.slots == len(seen)
    jobs = [job(tmp_path, index) for index in range(engine.slots)]
    handles = engine.submit(jobs)
    try:
        wait(lambda: all(each.log.read_text(encoding="utf-8").endswith("\n") for each in jobs), engine.states)
        said = [json.loads(each.log.read_text(encoding="utf-8")) for each in jobs]
        assert [each[0] for each in said] == seen
        assert [set(each[1:]) for each in said] == [{str(8 // len(seen))}] * len(seen)
        assert set(engine.states(handles).values()) == {"running"}
        assert len({json.loads(handle)["process"]["pid"] for handle in handles}) == len(seen)
        other = LocalEngine(number, LocalConfig(gpus=gpus))
        assert set(other.states(handles).values()) == {"running"}, "another run sees them, too"
    finally:
        engine.cancel(handles, now=True)
    wait(lambda: set(engine.states(handles).values()) == {"gone"})
    assert engine.end_of(handles[0]) == ("killed by SIGKILL" if os.name == "posix" else "exit code 15")


def test_a_place_is_taken_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "worker_devices", lambda: ["0", "1"])
    engine = LocalEngine()
    first = engine.submit([job(tmp_path, 0), job(tmp_path, 1)])
    try:
        engine.cancel(first[:1], now=True)
        wait(lambda: engine.states(first)[first[0]] == "gone")
        first += engine.submit([job(tmp_path, 2)])
        assert [json.loads(handle)["slot"] for handle in first] == [0, 1, 0]
    finally:
        engine.cancel(first, now=True)


def test_a_machine_without_room_for_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was started is kept; what was not is tried again later."""
    engine, room = LocalEngine(2), [True, False, False]

    def start(self: LocalEngine, job: Job) -> str:
        if not room.pop(0):
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return job.batch

    monkeypatch.setattr(LocalEngine, "_start", start)
    jobs = [job(tmp_path, 0), job(tmp_path, 1)]
    assert engine.submit(jobs) == ["00000"]
    with pytest.raises(SubmitFailed) as caught:
        engine.submit(jobs[1:])
    assert caught.value.passing


def test_more_cards_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = MachineConfig.model_validate({"local": {"gpus": 2}})
    for cards, said in (([None], "0 cards"), (["0"], "1 card that")):
        monkeypatch.setattr(local, "worker_devices", lambda cards=cards: cards)
        with pytest.raises(UserError, match=rf"local\.gpus: 2.*{said}"):
            make_engine("local:4", machine)


@pytest.mark.parametrize(
    ("model", "gpus", "key"),
    [
        ({"device": "cuda:1"}, 1, "device"),
        ({"device": "cuda:1"}, 2, None),
        ({"device": "cuda"}, 1, None),
        ({"device": "cuda:0"}, 1, None),
        ({"device_map": {"model.layers": 0, "lm_head": 1}}, 1, "device_map"),
        ({"device_map": {"model.layers": 0, "lm_head": "cuda:1"}}, 1, "device_map"),
        ({"device_map": {"model.layers": 0, "lm_head": "cpu"}}, 1, None),
        ({"device_map": "auto"}, 1, None),
    ],
)
def test_a_card_that_no_process_sees_is_refused(model: dict[str, Any], gpus: int, key: str | None) -> None:
    config = ModelConfig.model_validate({"name": "tiny", **model})
    if key is None:
        check_cards(config, gpus)
        return
    with pytest.raises(UserError, match=rf"model\.{key} names card 1.*local: {{gpus: 2}}"):
        check_cards(config, gpus)
