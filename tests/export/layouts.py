"""Layouts of prompts that are exported, and the rows that they are compared on."""

from __future__ import annotations

from metapt_explore.study.study import Study

LAYOUTS = [
    ("llama", "suffix"),
    ("llama", "prefix"),
    ("gpt2", "prefix"),
    ("llama", "deep"),
    ("gpt2", "deep"),
    ("t5", "encoder"),
    ("t5", "decoder"),
    ("bart", "encoder"),
    ("bert", "prefix"),
]
SMALL = {"data_seeds": [1, 2], "steps": 2, "curve_steps": [0, 2], "test_rows": 12}


def rows_on_test(study: Study) -> tuple[list[str], list[str]]:
    rows = study.split("mood").table("rows")
    rows = rows[rows["split"] == "test"]
    return rows["text"].tolist(), rows["label"].tolist()
