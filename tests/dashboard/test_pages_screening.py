"""Pre-training: is there anything to meta-learn? Displacement from settings, and what screening found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from looking import said
from streamlit.testing.v1 import AppTest

from metapt_explore.diagnostics.displacement import expected
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.inner_gradient import keep_inner_gradient, kept_inner_gradient
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]


def tables(at: AppTest) -> dict[str, list[dict[str, str]]]:
    """Tables of strings by their second column."""
    return {
        frame.value.columns[1]: frame.value.to_dict("records") for frame in at.dataframe if len(frame.value.columns)
    }


def test_before_and_after_screening(show: Open, world: Path, copied: Workspace) -> None:
    study = Study(world / "tiny.yaml", copied)
    at = show(study.workspace.folder, "pretraining", "tiny")
    assert not at.exception and "Is there anything to meta-learn?" in [box.value for box in at.header]
    (row,) = tables(at)["inner steps"]
    assert row == {
        "method": "MetaPT",
        "inner steps": "not measured yet",
        "outer step": "0.0500",
        "tuning step": "0.0500",
    }
    assert "is not measured yet" in said(at, "info")
    keep_inner_gradient(study, study.texts())  # as a run does that predicts its cost
    at = show(study.workspace.folder, "pretraining", "tiny")
    assert "is not measured yet" not in said(at, "info")
    length = kept_inner_gradient(copied, study.config)
    assert length is not None
    measured = f"{expected(study.config.method('MetaPT'), study.config, length).inner:.4f}"  # type: ignore[arg-type]
    assert tables(at)["inner steps"][0]["inner steps"] == measured
    short = study.config.method("MetaPT").model_copy(update={"inner_lr": 1e-6})  # the gradient stays what it is
    copied.save_study(study.config.model_copy(update={"methods": [*study.config.methods[:2], short]}))
    assert "times less than one tuning step" in said(show(copied.folder, "pretraining", "tiny"), "warning")
    copied.save_study(study.config)
    assert not at.button(key="ask_screen").disabled
    assert "Not screened yet" not in said(at, "caption"), "all scores are there: nothing is offered"
    extended = study.config.model_copy(update={"evaluation": study.config.evaluation.model_copy(update={"steps": 5})})
    copied.save_study(extended)
    assert "Not screened yet. **Worth trying?**" in said(show(copied.folder, "pretraining", "tiny"), "caption")
    copied.save_study(study.config)
    found = study.screen("MetaPT")
    at = show(study.workspace.folder, "pretraining", "tiny")
    assert not at.exception and not at.error
    assert f"MetaPT: {found.sentence}" in said(at)
    (row,) = tables(at)["tasks"]
    assert row["moves: inner"] == f"{found.displacement.inner:.4f}" and row["outer"] == "0.0500"
    assert len(tables(at)["support before"]) == found.tasks + 1  # and their mean


def test_settings_alone_warn_of_steps_that_go_nowhere(show: Open, world: Path, copied: Workspace) -> None:
    study = Study(world / "tiny.yaml", copied)
    short = study.config.method("MetaPT").model_copy(update={"inner_optimiser": "adam", "inner_lr": 0.001})
    pooled = study.config.methods[:2]
    study.workspace.save_study(study.config.model_copy(update={"methods": [*pooled, short]}))
    at = show(study.workspace.folder, "pretraining", "tiny")
    assert not at.exception and "50 times less than one tuning step" in said(at, "warning")
    study.workspace.save_study(study.config.model_copy(update={"methods": pooled}))
    at = show(study.workspace.folder, "pretraining", "tiny")
    assert at.button(key="ask_screen").disabled
    assert "Is there anything to meta-learn?" not in [box.value for box in at.header]
