"""Jobs hold each cell once, behind what it is made from, and last as long as they should."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from metapt_explore.engines.batches import plan_batches


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Cells, each made from earlier ones, and what some of them take."""
    number = draw(st.integers(1, 12))
    names = [f"c{i}" for i in range(number)]
    parents = {
        name: draw(st.lists(st.sampled_from(names[:i]), max_size=3, unique=True)) if i else []
        for i, name in enumerate(names)
    }
    known = draw(st.lists(st.sampled_from(names), unique=True))
    return parents, {name: draw(st.floats(0, 1000)) for name in known}


@hypothesis.given(graphs(), st.integers(1, 4), st.floats(0.1, 2000))
def test_round_by_round_every_cell_is_made_once(
    graph: tuple[dict[str, list[str]], dict[str, float]], slots: int, longest: float
) -> None:
    parents, seconds = graph
    waiting, done, order = dict(parents), set[str](), list[str]()
    while waiting:
        batches = plan_batches(waiting, done, seconds, free=slots, slots=slots, longest=longest)
        assert 1 <= len(batches) <= slots, "something can always be made"
        for batch in batches:
            assert batch
            for place, key in enumerate(batch):
                assert set(parents[key]) <= done | set(batch[:place]), "behind its parents"
                del waiting[key]
            if all(key in seconds for key in parents) and len(batch) > 1:
                assert sum(seconds[key] for key in batch) <= longest * 1.01
            order += batch
        done |= {key for batch in batches for key in batch}
    assert sorted(order) == sorted(parents)


def test_work_is_shared_out_among_the_workers() -> None:
    cells: dict[str, list[str]] = {f"prompt/{i}": [] for i in range(8)}
    batches = plan_batches(cells, (), dict.fromkeys(cells, 60.0), free=4, slots=4, longest=3600)
    assert [len(batch) for batch in batches] == [2, 2, 2, 2]


def test_a_job_lasts_minutes_not_hours() -> None:
    cells: dict[str, list[str]] = {f"prompt/{i}": [] for i in range(100)}
    batches = plan_batches(cells, (), dict.fromkeys(cells, 60.0), free=1, slots=1, longest=600)
    assert [len(batch) for batch in batches] == [10]


def test_one_cell_that_is_longer_than_a_job_is_a_job() -> None:
    assert plan_batches({"a": [], "b": []}, (), {"a": 1e6, "b": 1.0}, free=1, slots=1, longest=60) == [["a"]]


def test_what_follows_from_a_jobs_own_cells_comes_first() -> None:
    """The model is loaded and the prompt is at hand."""
    cells = {"p0": [], "p1": [], "s0": ["p0"], "s1": ["p1"]}
    assert plan_batches(cells, (), dict.fromkeys(cells, 1.0), free=1, slots=1, longest=2) == [["p0", "s0"]]


def test_what_waits_for_another_worker_waits() -> None:
    assert plan_batches({"score": ["prompt"]}, (), {}, free=2, slots=2, longest=60) == []


def test_two_prompts_go_to_two_workers_whatever_a_baseline_takes() -> None:
    """Nobody has timed the model yet, so its cells are predicted to take no time at all."""
    cells = {"prompt/a": [], "prompt/b": [], "baseline/0": [], "baseline/1": []}
    for name in ("a", "b"):
        cells |= {f"score/{name}/{task}": [f"prompt/{name}"] for task in range(2)}
    seconds = {key: 0.6 if key.startswith("baseline") else 0.01 for key in cells}
    first, second = plan_batches(cells, (), seconds, free=2, slots=2, longest=600)
    assert first[:3] == ["prompt/a", "score/a/0", "score/a/1"] and second[:3] == ["prompt/b", "score/b/0", "score/b/1"]


def test_the_job_with_most_work_behind_it_begins_first() -> None:
    cells = {"small": [], "large": [], "of large": ["large"], "of small": ["small"], "more of large": ["of large"]}
    seconds = {key: 10.0 for key in cells}
    (first,) = plan_batches(cells, (), seconds, free=1, slots=2, longest=600)
    assert first == ["large", "of large", "more of large"]


def test_a_remainder_begins_no_further_job() -> None:
    """Costs differ by a hair, as predictions do: once ten went out as four, five and one, that one in two jobs."""
    cells: dict[str, list[str]] = {}
    for seed in range(10):
        cells |= {f"prompt/{seed}": [], f"score/{seed}": [f"prompt/{seed}"]}
    usual = {"prompt": 1.0, "score": 26.0}
    seconds = {key: usual[key.split("/")[0]] * (1 + 0.004 * place) for place, key in enumerate(cells)}
    first, second = plan_batches(cells, (), seconds, free=2, slots=2, longest=600)
    assert len(first) == len(second) == 10


def test_the_one_cell_that_follows_is_not_left_to_a_further_job() -> None:
    cells = {"prompt": [], "score": ["prompt"]}
    seconds = {"prompt": 1.0, "score": 27.0}
    assert plan_batches(cells, (), seconds, free=2, slots=2, longest=600) == [["prompt", "score"]]
    assert plan_batches(cells, (), seconds, free=2, slots=2, longest=20) == [["prompt"]]


def test_a_cell_of_two_that_wait_hangs_on_neither() -> None:
    cells = {"a": [], "b": [], "both": ["a", "b"], "c": []}
    seconds = {"a": 10.0, "b": 10.0, "both": 500.0, "c": 11.0}
    assert plan_batches(cells, (), seconds, free=1, slots=60, longest=600) == [["c"]]
