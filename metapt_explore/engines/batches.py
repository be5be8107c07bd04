"""Which cells go together into a job: enough that it lasts minutes, not so many that a worker has nothing to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

#: A cell takes no less, whatever is predicted: files are read and written. Without it cells whose model nobody has
#: timed yet count as nothing beside a baseline, and all of them go to one worker.
LEAST_SECONDS = 1.0


def plan_batches(
    waiting: Mapping[str, Sequence[str]],
    done: Collection[str],
    seconds: Mapping[str, float],
    *,
    free: int,
    slots: int,
    longest: float,
) -> list[list[str]]:
    """Puts cells together into jobs for the workers that are free.

    A cell may follow one that it is made from in the same job; such cells are taken first, since the model is loaded
    and the texts are read by then. A job begins with the cell that most work hangs on, and takes another one in only
    where there is room for half of what hangs on that, too: so two prompts with their scores are two jobs, and five
    cells are shared out as three and two, not as two, two and one, for which a process would begin and load the model
    once more. A cell that alone follows from the job's own is taken whatever the share: no other worker could begin it
    sooner. A job is about as long as each worker's share of what is left, and at most `longest`.

    Args:
        waiting: What each cell that nobody makes yet is made from, in the order of the study.
        done: Cells that are there.
        seconds: What cells take; those of which nothing is known count as the mean of the others.
        free: Workers that have nothing to do.
        slots: All workers.
        longest: Seconds of a job.

    Returns:
        At most `free` jobs, each a list of cells in the order in which they are to be made.

    Example:
        >>> cells = {"prompt/a": [], "prompt/b": [], "score/a": ["prompt/a"], "score/b": ["prompt/b"]}
        >>> plan_batches(cells, set(), dict.fromkeys(cells, 60.0), free=2, slots=2, longest=600)
        [['prompt/a', 'score/a'], ['prompt/b', 'score/b']]
    """
    left = dict(waiting)
    known = [seconds[key] for key in left if key in seconds]
    usual = sum(known) / len(known) if known else 1.0
    cost = {key: max(LEAST_SECONDS, seconds.get(key, usual)) for key in left}
    hanging = _hanging(left, cost)
    share = min(longest, sum(cost.values()) / max(1, slots))
    there = set(done)
    batches: list[list[str]] = []
    while left and len(batches) < free:
        batch: list[str] = []
        spent = 0.0
        while (key := _next(left, there, batch, hanging, room=share - spent)) is not None:
            joins = _fits(cost[key], share - spent) or _alone(key, left, batch)
            if batch and (spent + cost[key] > longest or not joins):
                break
            batch.append(key)
            spent += cost[key]
            del left[key]
        if not batch:
            break
        batches.append(batch)
    return batches


def _next(
    left: Mapping[str, Sequence[str]],
    there: Collection[str],
    batch: Sequence[str],
    hanging: Mapping[str, float],
    *,
    room: float,
) -> str | None:
    """The next cell of a job: one that follows from the job's own, else the one that most hangs on and that fits."""
    best: str | None = None
    own = set(batch)
    for key, parents in left.items():
        if all(parent in there or parent in own for parent in parents):
            if own.intersection(parents):
                return key
            if batch and not _fits(hanging[key], room):
                continue
            if best is None or hanging[key] > hanging[best]:
                best = key
    return best


def _fits(seconds: float, room: float) -> bool:
    """Whether at least half of the work has its place in what is left of a share."""
    # A little more: sums of floats that ought to be equal differ in their last digits.
    return seconds / 2 <= room * 1.001


def _alone(key: str, left: Mapping[str, Sequence[str]], batch: Sequence[str]) -> bool:
    """Whether the cell, and no other of those that are left, follows from the job's own."""
    own = set(batch)
    return [other for other, parents in left.items() if not own.isdisjoint(parents)] == [key]


def _hanging(left: Mapping[str, Sequence[str]], cost: Mapping[str, float]) -> dict[str, float]:
    """What each cell takes with those that are made from it alone, directly or not; parents stand before children."""
    hanging = dict(cost)
    for key in reversed(list(left)):
        waited_for = [parent for parent in left[key] if parent in left]
        if len(waited_for) == 1:
            hanging[waited_for[0]] += hanging[key]
    return hanging
