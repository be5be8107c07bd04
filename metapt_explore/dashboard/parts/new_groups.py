"""How a new study groups its texts."""

from __future__ import annotations

from typing import Any

import streamlit as st

from metapt_explore.config import ClusteringConfig, SourceConfig


def choose_groups(source: SourceConfig) -> dict[str, Any]:
    """Asks how texts become groups: settings of `study.new.Choices`.

    Args:
        source: The source, with its columns.
    """
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    kinds = ClusteringConfig.kinds
    offered = [algorithm for algorithm, facts in kinds.items() if facts.offered(grouped=bool(source.columns.group))]
    algorithms = left.multiselect(
        "Texts are grouped by",
        offered,
        default=["kmeans"],
        format_func=lambda algorithm: kinds[algorithm].title,
        key=f"new_algorithms_{source.columns.group}",
        help="MetaPT learns on the groups of each, so each costs one more pre-training a seed.",
    )
    n_clusters = right.number_input("Clusters", 2, 200, 8, key="new_clusters")
    control = st.checkbox(
        "Also on random groups of the same sizes",
        value=True,
        key="new_control",
        help="The control: does the meaning of the groups matter, or would any groups do?",
    )
    return {"algorithms": algorithms, "n_clusters": int(n_clusters), "control": control}
