"""Few-shot tuning that is stopped anywhere and resumed ends with the same bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kept import KeptInMemory, StopAt
from tuned import LABELS, data_of, run, same

from metapt_explore.config import EvaluationConfig, VerbalizerConfig
from metapt_explore.errors import Cancelled
from metapt_explore.fewshot import tuning_steps
from metapt_explore.fewshot.automatic import tune_with_automatic_words
from metapt_explore.fewshot.state import TuningState
from metapt_explore.fewshot.tuning import TuningOutcome
from metapt_explore.fewshot.tuning_steps import TuningPlan
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.pretraining.state import TrainingCallbacks, TrainingCheckpoint


@pytest.mark.parametrize(
    "settings",
    [{"curve_steps": list(range(6))}, {"halving_steps": [1, 3], "proximal": 2.0, "soup": 2, "curve_rows": 6}],
)
def test_what_was_stopped_at_any_pass_goes_on_to_the_same_outcome(
    settings: dict[str, Any], backbone: CausalBackbone
) -> None:
    size: dict[str, Any] = {"seeds": [3, 8], "rates": [0.01, 0.05, 0.1, 0.2], "steps": 5, **settings}
    counted = StopAt(None)
    whole = run(backbone, **size, on_pass=counted)
    assert counted.calls >= 10
    for n in range(1, counted.calls + 1):
        kept, taken = KeptInMemory(), StopAt(None)
        with pytest.raises(Cancelled):
            run(backbone, **size, on_step=taken, on_pass=StopAt(n), store=kept)
        assert same(whole, run(backbone, **size, on_step=taken, store=kept))
        assert taken.calls == 5  # no step is taken twice


def test_stops_after_each_other_step_add_up(backbone: CausalBackbone) -> None:
    """Stopped between steps, again and again: the optimiser goes on where it was, each time."""
    size: dict[str, Any] = {"seeds": [3], "rates": [0.05, 0.1], "halving_steps": [2]}
    kept, attempts = KeptInMemory(), 0
    while True:
        try:
            found = run(backbone, **size, on_step=StopAt(2), store=kept)
            break
        except Cancelled:
            attempts += 1
    assert attempts == 2 and same(run(backbone, **size), found)


def test_a_killed_process_loses_half_a_minute(backbone: CausalBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    size: dict[str, Any] = {"seeds": [3], "rates": [0.1]}

    def kept_without_being_asked(seconds: float) -> KeptInMemory:
        monkeypatch.setattr(tuning_steps, "CHECKPOINT_SECONDS", seconds)
        kept = KeptInMemory()
        run(backbone, **size, store=kept)
        return kept

    assert kept_without_being_asked(1e6).kept is None
    kept = kept_without_being_asked(0.0)
    assert kept.kept is not None
    # All steps are kept: nothing is tuned any more.
    taken = StopAt(None)
    assert same(run(backbone, **size), run(backbone, **size, on_step=taken, store=kept)) and taken.calls == 0


def test_what_was_scored_on_test_is_kept(backbone: CausalBackbone) -> None:
    """Eleven prompts are scored on test, eight of them together: stopped in the rest, these are not scored again."""
    size: dict[str, Any] = {"seeds": [3, 8], "rates": [0.1], "curve_steps": list(range(6))}
    counted, kept = StopAt(None), KeptInMemory()
    whole = run(backbone, **size, on_pass=counted)
    with pytest.raises(Cancelled):
        run(backbone, **size, on_pass=StopAt(counted.calls), store=kept)
    assert kept.kept is not None
    assert sum(name.startswith("tested.24 rows.") for name in kept.kept[0]) == 8
    rest = StopAt(None)
    assert same(whole, run(backbone, **size, on_pass=rest, store=kept))
    # Five steps and the first eight are there; dev is asked again.
    assert rest.calls < counted.calls - 5


def test_a_broken_prompt_is_not_kept(backbone: CausalBackbone) -> None:
    kept = KeptInMemory()
    broken = TuningState(torch.tensor([[float("nan")]]), [0.1])
    checkpoint = TrainingCheckpoint(kept, broken)
    broken.finish_step(row_passes=12.0)
    checkpoint.save()
    assert kept.kept is None


def test_own_words_of_each_seed_are_chosen_once(backbone: CausalBackbone) -> None:
    """Where each data seed has label words of its own, finished seeds are kept."""
    config = EvaluationConfig(tasks=["x"], data_seeds=[3, 8, 9], learning_rates=[0.1], steps=2, batch_size=4)
    plan, start = TuningPlan(config, (0, 0), VerbalizerConfig(read="automatic")), backbone.embedding[20:23].clone()

    def tuned(on_step: StopAt, store: KeptInMemory | None) -> TuningOutcome:
        callbacks = TrainingCallbacks(on_step=on_step, checkpoints=store)
        return tune_with_automatic_words(
            start, data_of([3, 8, 9]), plan, backbone=backbone, labels=LABELS, where="task x", callbacks=callbacks
        )

    counted = StopAt(None)
    whole, kept = tuned(counted, None), KeptInMemory()
    assert counted.calls == 6
    with pytest.raises(Cancelled):
        tuned(StopAt(4), kept)
    rest = StopAt(None)
    assert same(whole, tuned(rest, kept)) and rest.calls == 4  # the second seed anew, and the third
