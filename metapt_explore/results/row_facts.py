"""Facts of a task's rows, and the slices that they are put into: class, length, group, nearest cluster, similarity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from metapt_explore.results.tables import ordered_index
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import TextInput, as_inputs, texts_of
from metapt_explore.texts.words import count_words

#: What columns of nearest clusters begin with; then the name of the clustering.
CLUSTER = "cluster:"
#: Cosine similarity with the nearest pre-training text.
SIMILARITY = "similarity"
#: Parts of like size that lengths and similarities are cut into.
PARTS = 4


def row_id(text: TextInput) -> str:
    """Sixteen hexadecimal digits of a hash of a row's text, or of its two texts.

    It tells nobody the text, but whoever has the text already can see that it is there.

    Example:
        >>> row_id("It rains."), row_id("It rains.") == row_id(("It rains.", ""))
        ('47c45b5a2c00cad9', False)
    """
    return hashlib.blake2b(json.dumps(text, ensure_ascii=True).encode(), digest_size=8).hexdigest()


def row_facts(workspace: Workspace, study: str, split: Artifact) -> pd.DataFrame:
    """Every few-shot row of a task, by its number.

    Args:
        workspace: Where artifacts lie.
        study: The study.
        split: The task's few-shot rows, finished.

    Returns:
        Columns ``id``, ``text`` (and ``text_pair``), ``label``, ``words``, ``group`` where the task names a column of
        groups, and, where they were asked for (`stages.slices`), ``similarity`` and ``cluster:NAME`` for each
        clustering.
    """
    rows = split.table("rows").drop(columns=["split", "data_seed"])
    facts = rows.assign(
        id=[row_id(text) for text in as_inputs(rows)], words=[count_words(text) for text in texts_of(rows)]
    )
    for entry in ordered_index(workspace, study):
        if entry["kind"] != "slices":
            continue
        artifact = workspace.artifact(entry["id"])
        if artifact.stage.get("parents", {}).get("split") == split.id and artifact.finished:
            beside = artifact.table("slices").set_index("row")
            facts = facts.join(beside[[name for name in beside if is_told(str(name))]])
    return facts


def is_told(column: str) -> bool:
    """Whether a column says something of a row that is no text and may be published."""
    return column in ("id", "label", "words", "group", SIMILARITY) or column.startswith(CLUSTER)


def slicings(rows: pd.DataFrame, classes: Sequence[str]) -> dict[str, pd.Series]:
    """The slice of each row, in every way that its facts allow.

    Args:
        rows: The scored rows, some columns of `row_facts`.
        classes: The task's classes.

    Returns:
        By what they are cut by, ordered categories by the number of the row; missing where a row has no such fact.

    Example:
        >>> rows = pd.DataFrame({"label": ["good", "bad"], "words": [3, 9]})
        >>> {by: slices.tolist() for by, slices in slicings(rows, ["bad", "good"]).items()}
        {'class': ['good', 'bad'], 'length': ['3 words', '9 words']}
    """
    found = {"class": pd.Series(pd.Categorical(rows["label"], list(classes), ordered=True), rows.index)}
    if "words" in rows:
        found["length"] = in_parts(rows["words"], "{} words", "{:.0f}")
    if "group" in rows:
        found["group"] = _by_size(rows["group"])
    for column in map(str, rows):
        if column.startswith(CLUSTER):
            found[f"nearest cluster of {column.removeprefix(CLUSTER)}"] = _by_size(rows[column])
    if SIMILARITY in rows:
        found["similarity with the nearest pre-training text"] = in_parts(rows[SIMILARITY], "cosine {}", "{:.2f}")
    return {by: slices for by, slices in found.items() if slices.nunique() > 1 or by == "class"}


def in_parts(values: pd.Series, named: str, written: str, parts: int = PARTS) -> pd.Series:
    """Cuts rows into parts of like size by a number, and names each by its ends.

    Args:
        values: A number for each row.
        named: What a part is called, round its ends.
        written: How a number is written; rows whose numbers look alike stand together.
        parts: How many, at most.

    Example:
        >>> in_parts(pd.Series([1, 2, 3, 4]), "{} words", "{:.0f}", parts=2).tolist()
        ['1 to 2 words', '1 to 2 words', '3 to 4 words', '3 to 4 words']
    """
    known = values.dropna().map(lambda value: float(written.format(value)))
    if known.empty:
        return pd.Series(pd.Categorical([None] * len(values)), values.index)
    numbers = known.to_numpy()
    # Edges lie between values, so that equal values are in one part.
    edges = np.unique(np.quantile(numbers, np.arange(1, parts) / parts, method="lower"))
    place = pd.Series(np.searchsorted(edges, numbers, side="left"), known.index)
    names = {}
    for part in np.unique(place.to_numpy()):
        low, high = (written.format(end) for end in (known[place == part].min(), known[place == part].max()))
        names[part] = named.format(low if low == high else f"{low} to {high}")
    slices = pd.Categorical(place.map(names), list(names.values()), ordered=True)
    return pd.Series(slices, known.index).reindex(values.index)


def _by_size(names: pd.Series) -> pd.Series:
    """Names as they are, the most frequent first."""
    text = names.dropna().astype(str)
    ordered = text.value_counts().sort_index().sort_values(ascending=False, kind="stable").index
    return pd.Series(pd.Categorical(text, list(ordered), ordered=True), text.index).reindex(names.index)
