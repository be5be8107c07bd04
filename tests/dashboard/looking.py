"""What a page says and draws, in forms that tests compare."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest

PAGES = ["start", "texts", "clusters", "pretraining", "fewshot", "compare", "errors", "lens", "export"]
TITLES = [
    "metapt_explore",
    "Texts",
    "Clusters",
    "Pre-training",
    "Few-shot",
    "Compare",
    "Errors",
    "Prompt lens",
    "Export",
]


def said(at: AppTest, *kinds: str) -> str:
    """All that boxes of these kinds say, without the backslashes that keep Markdown out."""
    boxes = kinds or ("error", "warning", "info", "success")
    return "\n".join(str(box.value) for kind in boxes for box in getattr(at, kind)).replace("\\", "")


def charts(at: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


def tab(at: AppTest, key: str, name: str) -> AppTest:
    """Opens a tab of the page: ``compare`` on Compare, ``scores`` on Few-shot."""
    at.session_state[key] = name
    return at.run()


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def decoded(values: Any) -> list[float]:
    """Numbers of a trace, which plotly sends as a list or as base64 of an array."""
    if isinstance(values, list):
        return values
    return np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"]).tolist()
