"""Numbers of others: read, checked, shown apart, and in no mean, rank, interval or test."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from command_line import call
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metapt_explore.config.paper_numbers import FILE, read_paper_numbers
from metapt_explore.errors import UserError
from metapt_explore.reporting.document import Document, Heading, Table
from metapt_explore.reporting.paper_numbers import PUBLISHED, paper_table
from metapt_explore.reporting.report import make_report, verdicts
from metapt_explore.results.join import joined
from metapt_explore.results.record import Record, record_of
from metapt_explore.statistics.matrix import score_matrix
from metapt_explore.storage.workspace import Workspace

ENTRY = {
    "method": "PPT",
    "task": "mood",
    "score": 93.5,
    "std": 0.3,
    "source": "A et al. (2022), Table 3",
    "protocol": "other test set, 10.0B model",
}


def write(folder: Path, *entries: dict[str, Any]) -> Path:
    file = folder / "numbers.yaml"
    file.write_text(yaml.safe_dump({"published": list(entries)}), encoding="utf-8")
    return file


def parts(document: Document) -> list[Any]:
    """All blocks but those of the section."""
    blocks, inside = [], False
    for block in document.blocks:
        if isinstance(block, Heading):
            inside = block.text == "Published by others"
        if not inside:
            blocks.append(block.rows.to_dict() if isinstance(block, Table) else getattr(block, "text", block))
    return [block for block in blocks if isinstance(block, str | dict)]


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["PT", "PPT", "MetaPT", "new"]), st.floats(1.5, 100)), min_size=1, max_size=4)
)
def test_they_are_in_no_statistic(plain_record: Record, numbers: list[tuple[str, float]]) -> None:
    entries = [{**ENTRY, "metric": "accuracy", "method": method, "score": score} for method, score in numbers]
    shown = replace(plain_record, published=entries)
    assert parts(make_report(shown)) == parts(make_report(plain_record))
    assert verdicts(shown) == verdicts(plain_record)
    pd.testing.assert_frame_equal(score_matrix(shown.results), score_matrix(plain_record.results))


@pytest.fixture(scope="module")
def plain_record(finished: Path) -> Record:
    return record_of(Workspace(finished), "tiny")


def test_the_table_marks_them(plain_record: Record, tmp_path: Path) -> None:
    other = {**ENTRY, "method": "Other", "metric": "macro_f1", "std": None}
    read = read_paper_numbers(write(tmp_path, ENTRY, {key: value for key, value in other.items() if value}))
    first, second = paper_table(replace(plain_record, published=read)).to_dict(orient="records")
    own = plain_record.results.query("method == 'PPT' and task == 'mood'")["accuracy"].mean()
    assert (first[PUBLISHED], first["this study"]) == ("93.5 ± 0.3 †", f"{100 * own:.1f}")
    assert (second[PUBLISHED], second["this study"], second["score"]) == ("93.5 †", "–", "macro F1")
    assert first["protocol"] == ENTRY["protocol"] and first["source"] == ENTRY["source"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": 0.935}, r"in percent, 93\.5"),
        ({"score": 193}, r"limit is 100"),
        ({"source": " "}, "blank"),
        ({"protocol": None}, "protocol"),
        ({"scores": 3}, "score"),
        ({}, "stands twice"),
    ],
)
def test_wrong_entries_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    changed = {key: value for key, value in {**ENTRY, **change}.items() if value is not None}
    with pytest.raises(UserError, match=said):
        read_paper_numbers(write(tmp_path, ENTRY, changed))


def test_they_are_kept_beside_a_study_and_with_its_record(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "workspace", tmp_path / "record"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("*.lock", ".lock"))
    words = ["report", "tiny", "--workspace", folder, "--out", out, "--record"]
    assert call(monkeypatch, *words, "--published", write(tmp_path, {**ENTRY, "task": "moot"})) == 2
    assert "no task 'moot'" in capsys.readouterr().err
    assert call(monkeypatch, *words, "--published", write(tmp_path, ENTRY)) == 0
    assert "10.0B model" in (out / "report.md").read_text(encoding="utf-8")
    assert (folder / "studies" / "tiny" / FILE).is_file()
    # Once said, and from then on in every report, of the workspace as of the record.
    assert call(monkeypatch, *words) == 0 and call(monkeypatch, "report", out) == 0
    assert "93.5 ± 0.3 †" in (out / "report.md").read_text(encoding="utf-8")
    assert Record.load(out).published == read_paper_numbers(tmp_path / "numbers.yaml")
    # They stay where scores are added to a record, and go where it is written without them.
    kept, plain = Record.load(out), replace(Record.load(out), published=[])
    assert joined(kept, plain).published == kept.published == joined(plain, kept).published
    plain.save(out)
    assert not Record.load(out).published
