"""The tab Grids of Compare: how often dev chose an edge, and the wider study by one click."""

from __future__ import annotations

from collections.abc import Callable

import handmade
from looking import tab
from streamlit.testing.v1 import AppTest

from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


def test_a_click_makes_the_study_with_wider_grids(show: Open, demo: Workspace) -> None:
    at = tab(show(demo.folder, "compare"), "compare", "Grids")
    assert not at.exception
    table = next(frame.value for frame in at.dataframe if "highest, chosen" in frame.value)
    steps = table[table["setting"] == "number of steps"]
    assert steps["highest, chosen"].tolist() == ["2 (100 %)"] * 3  # handmade: the last of two steps was chosen
    assert any("evaluation.steps: 4" in code.value for code in at.code)
    at.button(key="make_wide").click().run()
    assert not at.exception
    assert demo.study_config(f"{handmade.NAME}-wide").evaluation.steps == 4
    assert not [button for button in at.button if button.key == "make_wide"]
