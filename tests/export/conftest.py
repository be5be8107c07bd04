"""Finished studies, one for each layout, and their exported prompts."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from layouts import LAYOUTS, SMALL

from metapt_explore.config import StudyConfig, parse
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.study.study import Study


@pytest.fixture(scope="session")
def studies(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Study, Path]]:
    """A finished evaluation of MetaPT on one task for each layout, and its exported prompt."""
    found = {}
    base = tmp_path_factory.mktemp("handover")
    for kind, placement in LAYOUTS:
        model = base / kind
        if not model.exists():
            tiny.make_language_model(model, kind)
        tree = tiny.study_tree(
            world,
            model={"name": str(model)},
            prompt={"placement": placement},
            pretraining={"steps": 2},
            evaluation=SMALL,
        )
        study = Study(parse(StudyConfig, tree, "test"), base / f"{kind}-{placement}")
        study.fewshot("MetaPT", "mood")
        folder = base / f"{kind}-{placement}-exported"
        export_prompt(study.workspace, PromptChoice("tiny", "MetaPT", "mood", 2), folder)
        found[f"{kind}-{placement}"] = study, folder
    return found
