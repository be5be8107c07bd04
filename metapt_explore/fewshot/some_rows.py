"""Some of a task's rows, chosen the same way every time; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from metapt_explore.errors import UserError


def balanced_part(labels: Sequence[int], size: int) -> list[int]:
    """The first rows of each class in turn, so many in all, in ascending order.

    Example:
        >>> balanced_part([0, 0, 0, 1, 1, 0], 4)
        [0, 1, 3, 4]
    """
    turns: dict[int, int] = {}
    ranked = []
    for row, label in enumerate(labels):
        turns[label] = turns.get(label, 0) + 1
        ranked.append((turns[label], label, row))
    return sorted(row for _, _, row in sorted(ranked)[:size])


def other_seeds_rows(rows: pd.DataFrame, data_seeds: Sequence[int], limit: int | None) -> pd.DataFrame:
    """Dev rows of the data seeds that are not in use, each once, without any row that is in use as well.

    Not their train rows: no text is dropped from pre-training because it equals one of those.

    Args:
        rows: ``rows`` of a `split` artifact.
        data_seeds: Those in use.
        limit: At most so many, label-balanced.

    Raises:
        UserError: Where there are none.
    """
    few_shot, columns = rows[rows["split"] != "test"], [c for c in ("text", "text_pair") if c in rows]
    used = few_shot["data_seed"].isin(data_seeds)
    own = set(few_shot.loc[used, columns].itertuples(index=False, name=None))
    others = few_shot[~used & (few_shot["split"] == "dev")].drop_duplicates(columns)
    others = others[[row not in own for row in others[columns].itertuples(index=False, name=None)]]
    if others.empty:
        raise UserError(
            "evaluation.scored_on: the other data seeds have no dev row that this one does not have as well; the task "
            "has too few rows for `other_seeds`."
        )
    codes, _ = pd.factorize(others["label"], sort=True)
    return others.iloc[balanced_part(codes.tolist(), limit or len(codes))]
