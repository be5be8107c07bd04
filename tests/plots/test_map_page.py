"""The map as one HTML file: it loads nothing, holds what the table holds, and texts cannot act as markup."""

from __future__ import annotations

import json
import re
from typing import Any

import pandas as pd
import pytest
from drawn import CLUSTERS, points

from metapt_explore import plots
from metapt_explore.plots import map_page

EVIL = '</script><script>alert("x")</script> <!--MAP--> & more'


def table(count: int) -> pd.DataFrame:
    frame = points(count).rename(columns={"x": "projection_x", "y": "projection_y"})
    return frame.assign(text=[EVIL] * count, category="0: <i>phone</i>")


def held(page: str, name: str) -> Any:
    return json.loads(re.search(rf"^const {name} = (.*);$", page, re.M).group(1))  # type: ignore[union-attr]


def test_one_file_holds_texts_and_names_and_loads_nothing() -> None:
    page = plots.map_html(table(6), CLUSTERS, title="a <b> study")
    assert "<title>a &lt;b&gt; study</title>" in page and "6 texts" in page and page.count('id="map"') == 1
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.findall(r"(?:src|href)=", outside) and "alert" not in outside
    assert 'src="http' not in page and page.count("<script>alert") == 0
    texts = held(page, "TEXTS")
    assert [text["r"] for text in texts] == list(range(6)) and texts[4] | {"t": ""} == {
        "t": "", "x": 4.0, "y": 8.0, "c": "0: <i>phone</i>", "r": 4,
    }  # fmt: skip
    assert texts[0]["t"] == EVIL
    coarse, *_, fine = held(page, "LEVELS")
    assert [name["text"] for name in fine] == ["1: book", "0: &lt;i&gt;phone&lt;/i&gt;"] and len(coarse) <= 8
    assert fine[1]["letters"] == len("0: <i>phone</i>"), "room is for the letters that are seen"


def test_many_texts_are_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_page, "LARGEST_MAP", 10)
    page = plots.map_html(table(30), CLUSTERS, title="t")
    assert "10 of 30 texts, sampled at random" in page and len(held(page, "TEXTS")) == 10
