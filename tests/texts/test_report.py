"""The data report, with values counted by hand."""

from __future__ import annotations

import json

from datasets import Dataset, Features, Value

from metapt_explore.texts.report import data_report


def rows(texts: list[str], labels: list[str | None], groups: list[str | None] | None = None) -> Dataset:
    columns = {"text": texts, "label": labels, "group": groups or [None] * len(texts)}
    return Dataset.from_dict(columns, features=Features({name: Value("string") for name in columns}))


def test_counts_by_hand() -> None:
    report = data_report(
        rows(
            ["one two three", "One, two three!", "", "  ", "a b c d e f g", "short", ":)", ":("],
            ["1", "1", "0", None, "1", "0", None, "1"],
            ["x", "x", "y", None, "x", "y", "z", "z"],
        )
    )
    assert report["rows"] == 8
    assert report["blank"] == 2
    assert report["duplicates"] == 1
    # Lengths of the rows with text: 3, 3, 7, 1, 1, 1.
    assert report["words"] == {"min": 1, "median": 2.0, "mean": 2.67, "p95": 6.0, "max": 7}
    assert report["labels"] == {"1": 4, "0": 2}
    assert report["unlabelled"] == 2
    assert report["label_balance"] == 0.5
    assert report["groups"] == {"x": 3, "y": 2, "z": 2}
    assert report["group_count"] == 3
    assert report["language"] is None
    assert json.loads(json.dumps(report)) == report
    assert any("without text: 2" in warning for warning in report["warnings"])
    assert any("without a label: 2 (25 %)" in warning for warning in report["warnings"])


def test_no_row_and_no_label() -> None:
    report = data_report(rows([""], [None]))
    assert report["words"]["max"] == 0
    assert report["labels"] == {} and report["label_balance"] is None
    assert any("No row has a label" in warning for warning in report["warnings"])


def test_uneven_single_and_many_labels_are_pointed_out() -> None:
    texts = [f"this is text {number}" for number in range(30)]
    uneven = data_report(rows(texts, ["a"] * 27 + ["b"] * 3))
    assert uneven["warnings"] == ["Labels are uneven: 'b' occurs 3 times, 'a' 27 times."]
    assert "only one label, 'a'" in data_report(rows(texts, ["a"] * 30))["warnings"][0]
    assert "30 different labels" in data_report(rows(texts, [str(n) for n in range(30)]))["warnings"][0]


def test_only_the_largest_groups_are_listed() -> None:
    names = [f"g{number:02}" for number in range(60)]
    report = data_report(rows([f"text number {name}" for name in names], ["a"] * 60, names))
    assert len(report["groups"]) == 50 and report["group_count"] == 60
