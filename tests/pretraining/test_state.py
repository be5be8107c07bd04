"""A training state against Adam written out, and its checkpoints: whole, current and finite, or none."""

from __future__ import annotations

import pytest
import torch
from kept import KeptInMemory
from torch import Tensor

from metapt_explore.errors import Cancelled
from metapt_explore.pretraining.state import CLIP_NORM, TrainingCheckpoint, TrainingState

GRADIENTS = [
    {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([0.1])},
    {"a": torch.tensor([-0.2, 0.1])},
    {"a": torch.tensor([0.3, 0.3]), "b": torch.tensor([-2.0])},
]


def fresh(averaged_from: int | None = None) -> TrainingState:
    initial = {"a": torch.tensor([1.0, -1.0]), "b": torch.tensor([0.5])}
    return TrainingState(initial, {"a": 0.1, "b": 0.01}, averaged_from=averaged_from)


def step(state: TrainingState, gradients: dict[str, Tensor]) -> None:
    state.apply(gradients)
    state.finish_step(state.row_passes + 8)


def test_steps_by_hand() -> None:
    """Clipped Adam; a parameter without a gradient stays as it is, and has taken one step less."""
    state = fresh()
    values, moments = {"a": torch.tensor([1.0, -1.0]), "b": torch.tensor([0.5])}, {}
    for gradients in GRADIENTS:
        norms = state.apply(gradients)
        state.finish_step(0.0)
        for name, gradient in gradients.items():
            assert float(norms[name]) == pytest.approx(float(gradient.norm()))
            clipped = gradient * min(1.0, CLIP_NORM / float(gradient.norm()))
            first, second, taken = moments.get(name, (torch.zeros(1), torch.zeros(1), 0))
            first, second, taken = 0.9 * first + 0.1 * clipped, 0.999 * second + 0.001 * clipped**2, taken + 1
            moments[name] = first, second, taken
            root = (second / (1 - 0.999**taken)).sqrt() + 1e-8
            values[name] = values[name] - {"a": 0.1, "b": 0.01}[name] * first / (1 - 0.9**taken) / root
        torch.testing.assert_close(state.values(), values)


def test_the_average_is_over_the_last_steps() -> None:
    state, late = fresh(averaged_from=1), []
    for gradients in GRADIENTS:
        step(state, gradients)
        late.append(state.values()["a"].clone())
    torch.testing.assert_close(state.average()["a"], (late[1] + late[2]) / 2)
    assert torch.equal(fresh().average()["a"], torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize("stop", range(len(GRADIENTS) + 1))
def test_a_restored_state_continues_with_the_same_bits(stop: int) -> None:
    whole, store = fresh(averaged_from=1), KeptInMemory()
    for gradients in GRADIENTS:
        step(whole, gradients)
    stopped = fresh(averaged_from=1)
    checkpoint = TrainingCheckpoint(store, stopped)
    for gradients in GRADIENTS[:stop]:
        step(stopped, gradients)
    checkpoint.save()
    resumed = fresh(averaged_from=1)
    TrainingCheckpoint(store, resumed).restore()
    assert resumed.steps == stop and resumed.row_passes == 8 * stop
    for gradients in GRADIENTS[stop:]:
        step(resumed, gradients)
    for name, value in whole.average().items():
        assert torch.equal(value, resumed.average()[name])
        assert torch.equal(whole.values()[name], resumed.values()[name])


def test_a_checkpoint_is_whole_current_and_finite() -> None:
    state, store = fresh(), KeptInMemory()
    checkpoint = TrainingCheckpoint(store, state, every_steps=2)
    checkpoint.save()
    assert store.kept is None  # nothing is done yet
    with pytest.raises(Cancelled), checkpoint.saved_when_stopped():
        state.apply(GRADIENTS[0])
        raise Cancelled
    assert store.kept is None  # half a step
    state.finish_step(8)
    checkpoint.save_if_due()
    assert store.kept is None  # of every second step
    with pytest.raises(Cancelled), checkpoint.saved_when_stopped():
        raise Cancelled
    assert store.kept is not None and store.load_checkpoint()[1]["step"] == 1
    first = store.kept
    checkpoint.save()
    assert store.kept is first  # unchanged
    step(state, GRADIENTS[1])
    checkpoint.save_if_due()
    assert store.load_checkpoint()[1]["step"] == 2
    step(state, {"a": torch.tensor([float("nan"), 0.0])})
    checkpoint.save()
    assert store.load_checkpoint()[1]["step"] == 2  # a parameter is NaN
