"""The sets of rows that pre-training draws from: the texts, and what each format of auxiliary tasks makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metapt_explore.config import AuxiliaryTasksConfig, LabelsConfig
from metapt_explore.config.task_formats import ClusterClassesFormat, SentencesFormat

#: Name of the set of the texts themselves.
TEXTS = "texts"


@dataclass(frozen=True)
class MadeRows:
    """How many rows a format makes, and how long they are.

    Attributes:
        rows: Its rows.
        tokens: Mean tokens of a row, as far as the model reads it.
    """

    rows: int
    tokens: float


@dataclass(frozen=True)
class RowSet:
    """Rows of one format, or the texts.

    Attributes:
        name: The format's; `TEXTS` for the texts themselves.
        share: Share of the drawn rows that are of this set, 0 to 1.
        rows: How many there are.
        tokens: Mean tokens of a row.
        reading: Template and words; short words stand for those that tasks draw.
    """

    name: str
    share: float
    rows: int
    tokens: float
    reading: LabelsConfig


def row_sets(
    auxiliary: AuxiliaryTasksConfig, texts: MadeRows, made: Mapping[str, MadeRows] | None = None
) -> list[RowSet]:
    """What pre-training draws from, one entry for each format; several may draw from the texts.

    Args:
        auxiliary: The auxiliary tasks.
        texts: The pre-training texts.
        made: What formats make, by their names; guessed from the texts for those that are missing.

    Example:
        >>> pairs = {"format": "sentence_pair", "weight": 3}
        >>> auxiliary = AuxiliaryTasksConfig.model_validate([{"format": "cluster_classes"}, pairs])
        >>> sets = row_sets(auxiliary, MadeRows(500, 64.0), {"sentence_pair": MadeRows(1200, 41.0)})
        >>> [(each.name, each.share, each.rows, each.tokens) for each in sets]
        [('texts', 0.25, 500, 64.0), ('sentence_pair', 0.75, 1200, 41.0)]
    """
    weights = [*([auxiliary.weight] if auxiliary.labels else []), *(each.weight for each in auxiliary.formats)]
    if not auxiliary.formats:
        return [RowSet(TEXTS, 1.0, texts.rows, texts.tokens, auxiliary.first_reading)]
    shares = iter([weight / sum(weights) for weight in weights])
    sets = [RowSet(TEXTS, next(shares), texts.rows, texts.tokens, auxiliary)] if auxiliary.labels else []
    for each, share in zip(auxiliary.formats, shares, strict=True):
        if isinstance(each, ClusterClassesFormat):
            sets.append(RowSet(TEXTS, share, texts.rows, texts.tokens, each.stand_in))
            continue
        reading = each.reading
        assert reading is not None
        guess = texts.rows * each.per_document if isinstance(each, SentencesFormat) else texts.rows
        of_format = (made or {}).get(each.called, MadeRows(guess, texts.tokens))
        sets.append(RowSet(each.called, share, of_format.rows, of_format.tokens, reading))
    return sets
