"""What a cluster's texts are labelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: How texts without a label are counted.
UNLABELLED = "unlabelled"


def count_labels(clusters: np.ndarray, classes: Sequence[str | None]) -> dict[int, dict[str, int]]:
    """Counts the labels of each cluster's texts.

    Args:
        clusters: ``[rows]`` cluster ids, negative for outliers, which are left out.
        classes: Class name of each row; anything but a name counts as unlabelled.

    Returns:
        For each cluster id its labels with their number of texts, the commonest first.

    Example:
        >>> count_labels(np.array([0, 0, 0, 1, -1]), ["good", None, "good", "bad", "bad"])
        {0: {'good': 2, 'unlabelled': 1}, 1: {'bad': 1}}
    """
    if len(clusters) != len(classes):
        raise ValueError(f"{len(classes)} classes for {len(clusters)} rows")
    names = pd.Series([name if isinstance(name, str) and name else UNLABELLED for name in classes])
    return {
        int(cluster): {str(k): int(v) for k, v in names[np.asarray(clusters) == cluster].value_counts().items()}
        for cluster in sorted(set(np.asarray(clusters).tolist()) - {-1})
    }
