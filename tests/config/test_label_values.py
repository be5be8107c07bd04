"""Which class a value is of, and how a value that matches nothing is told, wherever labels are read."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import tiny
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import LabelsConfig, StudyConfig, load_task, parse
from metapt_explore.config.label_values import check_values, class_of_values, unmatched
from metapt_explore.errors import UserError
from metapt_explore.fewshot.splits import make_splits
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.problems import looking

WRONG = {"labels": {"negative": "bad", "positive": {"value": "postive", "word": "good"}}}


def labels(*values: Any) -> LabelsConfig:
    return LabelsConfig(labels={f"c{i}": {"value": value, "word": f"w{i}"} for i, value in enumerate(values)})


@pytest.mark.parametrize(
    ("values", "found", "classes"),
    [
        ((0, 1), ["0", "1"], {"0": "c0", "1": "c1"}),
        ((0.0, 1.0), ["0", "1"], {"0": "c0", "1": "c1"}),
        ((False, True), ["false", "TRUE"], {"false": "c0", "TRUE": "c1"}),
        (("no", "yes"), ["no", "yes"], {"no": "c0", "yes": "c1"}),
        (("1.5", "2"), ["1.50", "2.0"], {"1.50": "c0", "2.0": "c1"}),
        (("010", "10"), ["010", "10"], {"010": "c0", "10": "c1"}),
        (("1", "2"), ["1", "1.0", "2"], {"1": "c0", "2": "c1"}),  # the data tell them apart
        (("1", "1.0"), ["1", "1.0"], {"1": "c0", "1.0": "c1"}),  # the task does
        (("a", "b"), ["A", "b "], {}),
    ],
)
def test_a_value_is_found_however_it_is_written(values: Any, found: list[str], classes: dict[str, str]) -> None:
    assert class_of_values(labels(*values).labels, found) == classes
    # A table has None or NaN where a row has no label.
    assert class_of_values(labels(*values).labels, [None, *found, float("nan")]) == classes


def test_what_matches_nothing_is_named() -> None:
    asked = labels("0", "2", "3").labels
    assert unmatched(asked, ["0", "1"]) == {"c1": "2", "c2": "3"}
    with pytest.raises(UserError) as told:
        check_values(asked, ["1", "0", "1"], "rows.csv", key="auxiliary_tasks.labels")
    assert str(told.value).startswith(
        "auxiliary_tasks.labels: no row of rows.csv has the label '2' of the class 'c1' (nor those of 1 more class). "
        "Labels there: '0', '1'."
    )
    check_values(asked, ["0", "2", "3", "4"], "rows.csv", key="x")


def rows(file: Path, column: list[str]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([f"a text of its own {i} w{i}", value] for i, value in enumerate(column))
    return file


def task(folder: Path, written: str) -> Path:
    """A task file whose labels are written as a person would, without quotes."""
    file = folder / "task.yaml"
    source = "data: {file: rows.csv, columns: {label: label}}"
    file.write_text(f"name: own\n{source}\nlabels:\n{written}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("column", "written"),
    [
        (["no", "yes"], "  no: bad\n  yes: good"),
        (["on", "off"], "  on: bright\n  off: dark"),
        (["0", "1"], "  bad: {value: 0, word: bad}\n  good: {value: 1.0, word: good}"),
        (["True", "False"], "  true: good\n  false: bad"),
        (["010", "011"], "  a: {value: 010, word: bad}\n  b: {value: 011, word: good}"),
        (["2024-01-01", "2024-01-02"], "  2024-01-01: bad\n  2024-01-02: good"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_labels_without_quotes_are_those_of_the_data(column: list[str], written: str, tmp_path: Path) -> None:
    rows(tmp_path / "rows.csv", column * 12)
    own = load_task(task(tmp_path, written))
    assert len(make_splits(own, 2, [13], test_rows=None, seed=0).train[13]) == 4
    done = CliRunner().invoke(
        metapt, ["data", "check", str(tmp_path / "rows.csv"), "--task", str(tmp_path / "task.yaml")]
    )
    assert "does not know" not in done.output and "No row has the class" not in done.output, done.output


def test_a_wrong_value_is_named_by_splits_and_by_the_check(tmp_path: Path) -> None:
    rows(tmp_path / "rows.csv", ["0", "1"] * 12)
    written = "  a: {value: 0, word: bad}\n  b: {value: 1, word: good}\n  c: {value: 2, word: poor}"
    with pytest.raises(UserError, match=r"no usable row of .*rows\.csv has the label '2' of the class 'c'"):
        make_splits(load_task(task(tmp_path, written)), 2, [13], test_rows=None, seed=0)
    done = CliRunner().invoke(
        metapt, ["data", "check", str(tmp_path / "rows.csv"), "--task", str(tmp_path / "task.yaml")]
    )
    assert done.exit_code == 1 and "'c' (value '2')" in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"auxiliary_tasks": WRONG}, "has the label 'postive' of the class 'positive'. .* Did you mean 'positive'"),
        ({"auxiliary_tasks": WRONG, "methods": [{"name": "PT", "kind": "pt"}]}, ""),  # nothing looks at these labels
    ],
)
def test_texts_of_a_study_are_checked_before_anything_is_computed(
    changes: dict[str, Any], said: str, world: Path, tmp_path: Path
) -> None:
    """`metapt check`, `plan` and `run` say it with the same words: of which value no row is."""
    config = parse(StudyConfig, tiny.study_tree(world, **changes), "study")
    with looking(config, Workspace(tmp_path)) as found:
        problems = " ".join(found.problems)
    assert re.search(said, problems) and bool(said) == bool(problems), problems
    assert "larger clusters" not in problems
