"""Ensembles on pages: what they took on Few-shot, their decisions on Errors; what goes where a reader is removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tiny
from looking import said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.study.study import Study

Open = Callable[..., AppTest]


def test_pages_show_what_was_taken(show: Open, world: Path, tmp_path: Path) -> None:
    ensembles = [
        {"name": "best", "kind": "choose", "of": ["tfidf", "majority"]},
        {"name": "mean", "kind": "average", "of": ["tfidf", "majority"]},
    ]
    tree = tiny.study_tree(world, methods=[], clusterings=[], baselines=["tfidf", "majority", *ensembles])
    tree["evaluation"] |= {"tasks": [str(world / "mood.yaml")]}
    study = Study(tree, tmp_path / "workspace")
    study.run()
    taken = study.baseline("best", "mood").table("results")["readers"].str.contains('"tfidf": 1.0').mean()
    at = show(tmp_path / "workspace", "fewshot", "tiny")
    assert not at.exception and not at.error, said(at)
    shown = tab(at, "scores", "Readers together")
    assert shown.dataframe[0].value["tfidf"].tolist() == [f"{100 * taken:.0f} %"] * 2
    assert any("mean is the mean of what tfidf, majority say, which count alike" in c.value for c in shown.caption)
    at = show(tmp_path / "workspace", "errors", "tiny")
    at.selectbox(key="errors_method").set_value("best").run()
    assert not at.exception and not at.error, said(at)
