"""Settings against score, where a study has a sweep."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import drawing
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.plots.settings import importance_bars, parallel_settings
from metapt_explore.reporting.settings import swept_settings
from metapt_explore.statistics.importance import TREES, Importance, setting_importance
from metapt_explore.statistics.matrix import MEAN
from metapt_explore.statistics.units import UNIT

#: Axes that find room beside one another.
MOST_AXES = 6


def settings_of(scores: StudyScores) -> pd.DataFrame:
    """What the study's meta-learned methods differ in; empty where there is no sweep."""
    return swept_settings(scores.record.study, list(dict.fromkeys(scores.results["method"])))


def show_settings(scores: StudyScores) -> None:
    """Parallel coordinates, and the share of each setting with how far it can be trusted."""
    settings = settings_of(scores)
    found = _importance(scores.stamp, _scores=scores, _settings=settings)
    # The axes that matter most, in the order of the study.
    drawn = set(list(found.shares)[:MOST_AXES]) if found else set(list(settings)[:MOST_AXES])
    means = scores.matrix[(scores.matrix["task"] == MEAN) & scores.matrix["mean"].notna()]
    drawing.draw(
        parallel_settings(
            settings[[name for name in settings if name in drawn]],
            dict(zip(means["method"], means["mean"], strict=True)),
        ),
        "settings",
        "A line is a method, from its settings to its mean accuracy on the right; the bluer, the better. *default* "
        "stands where the study names no value. Methods may have other seeds: the table of methods and tasks says of "
        "how many."
        + (f" Of {settings.shape[1]} settings those that matter most." if len(drawn) < settings.shape[1] else ""),
    )
    if found is None:
        st.caption("Too few methods, or scores without any difference, to say which setting matters.")
        return
    st.markdown("**Which setting matters**")
    if found.fit <= 0:
        st.info(
            f"Not known. A random forest of {TREES} trees that learned {found.points} scores (means over tasks of "
            f"pairs of seeds) from the settings of {found.methods} methods does not predict scores that a tree did not "
            "see: which setting matters cannot be told apart from luck with so few."
        )
        return
    drawing.draw(
        importance_bars(found.shares, found.rest),
        "importance",
        f"How it is computed: a random forest of {TREES} trees learns the mean over tasks of {found.points} pairs of "
        f"seeds from the settings of {found.methods} methods; its answers for every combination of the values tried "
        "vary, and a bar is the share of that variance that a setting brings by itself (functional ANOVA, as Optuna's "
        f"importance). Of scores that a tree did not see (mostly other seeds of the same methods) it tells "
        f"{100 * max(found.fit, 0):.0f} % of the variance. With "
        f"{found.methods} combinations this says where to look next, and proves nothing.",
    )


@st.cache_resource(max_entries=16, show_spinner="Growing trees …")
def _importance(stamp: str, *, _scores: StudyScores, _settings: pd.DataFrame) -> Importance | None:
    results = _scores.results
    tasks = results["task"].nunique()
    units = results.groupby(["method", *UNIT], dropna=False)["accuracy"].agg(["mean", "size"]).reset_index()
    whole = units[units["size"] == tasks]
    return setting_importance(_settings, whole.set_index("method")["mean"])
