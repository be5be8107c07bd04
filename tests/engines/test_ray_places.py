"""Ray on this machine alone: no more tasks than it has room for, and none that would wait for ever."""

from __future__ import annotations

import pytest

from metapt_explore.config.machine import RayConfig
from metapt_explore.engines.ray import places
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
