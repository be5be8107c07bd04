"""Ray: no more tasks than this machine has room for, none that would wait for ever, and a sentence where it fails."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from metapt_explore.config.machine import RayConfig
from metapt_explore.engines.ray import RayEngine, places
from metapt_explore.errors import UserError


@pytest.mark.parametrize(
    ("settings", "resources", "tasks"),
    [
        ({}, {"CPU": 2.0}, 2),
        ({"at_once": 2}, {"CPU": 16.0}, 2),
        ({"cpus": 4}, {"CPU": 4.0}, 1),
        ({"gpus": 0.5}, {"CPU": 16.0, "GPU": 2.0}, 4),
        ({"address": "auto", "gpus": 1}, {"CPU": 2.0}, 8),
    ],
)
def test_no_more_tasks_than_there_is_room_for(
    settings: dict[str, object], resources: dict[str, float], *, tasks: int
) -> None:
    assert places(RayConfig.model_validate(settings), resources) == tasks


def test_a_task_that_would_wait_for_ever_is_refused() -> None:
    with pytest.raises(UserError, match=r"ray\.gpus: 1.*Ray finds 0"):
        places(RayConfig(gpus=1), {"CPU": 2.0})


@pytest.mark.parametrize(
    ("address", "error", "starts", "sentence"),
    [
        ("local", Exception("The current node timed out during startup."), 3, "did not start.*timed out.*busy"),
        ("local", OSError("no place for its socket"), 1, "did not start.*socket"),
        ("auto", ConnectionError("no cluster is running"), 1, "'auto' cannot be reached.*`ray.address`"),
    ],
)
def test_where_it_does_not_start_one_sentence_says_so(
    address: str, error: Exception, starts: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine Ray gives up after 30 seconds, and is started again."""
    asked = []

    def init(**options: object) -> None:
        asked.append(options)
        raise error

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    with pytest.raises(UserError, match=sentence):
        RayEngine(RayConfig(address=address))
    assert len(asked) == starts
