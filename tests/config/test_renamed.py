"""Old names in a user's study file are read, and a notice names the new ones."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

from metapt_explore.config import StudyConfig, load_study, parse, renamed
from metapt_explore.config.renamed import RENAMED, with_new_names
from metapt_explore.errors import UserError
from metapt_explore.reporting.tables import read_twice
from metapt_explore.results.record import Record

NOTICES = [
    "prompt: `start` is now called `init`. The old name still works.",
    "methods: `start` is now called `init`. The old name still works.",
    "verbalizer: `read: words_and_probe` is now called `read: probe_ensemble`. The old name still works.",
    "methods.verbalizer: `read: words_and_probe` is now called `read: probe_ensemble`. The old name still works.",
    "baselines: `of: views` is now called `of: hidden_states`. The old name still works.",
]


def tree(new: bool) -> dict[str, Any]:
    init, reading = ("init", "probe_ensemble") if new else ("start", "words_and_probe")
    return tiny.study_tree(
        Path("/w"),
        prompt={"length": 3, init: {"text": "start"}},
        verbalizer={"read": reading},
        methods=[
            {"name": "start", "kind": "pt", init: "labels"},
            {"name": "PT", "kind": "pt", init: "random", "verbalizer": {"read": reading}},
        ],
        baselines=[{"name": "views", "kind": "linear_probe", "of": "hidden_states" if new else "views"}, "majority"],
    )


def test_old_names_mean_the_new_ones() -> None:
    notices: list[str] = []
    assert load_study(tree(new=False), on_notice=notices.append) == load_study(tree(new=True), on_notice=pytest.fail)
    assert notices == [f"study: {notice}" for notice in NOTICES] and len(NOTICES) == len(RENAMED)


def test_the_tree_is_left_alone_and_nothing_else_is_renamed() -> None:
    old = tree(new=False)
    changed, notices = with_new_names(old)
    assert old == tree(new=False) and changed == tree(new=True) and notices == NOTICES
    assert with_new_names(changed) == (changed, [])
    for other in (None, 3, [], {"prompt": 3, "methods": {"start": 1}, "baselines": [None], "start": 1}):
        assert with_new_names(other) == (other, [])


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(UserError, match=r"unknown key 'prompt\.start'"):
        load_study(tiny.study_tree(Path("/w"), prompt={"start": "labels", "init": "random"}))


def test_a_file_is_named_and_a_notice_comes_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(tiny.study_tree(tmp_path, prompt={"start": "labels"})), encoding="utf-8")
    with caplog.at_level(logging.WARNING, renamed.__name__):
        assert load_study(file) == load_study(file)
    assert caplog.messages == [f"{file}: {NOTICES[0]}"]


def test_what_was_recorded_opens_without_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    assert parse(StudyConfig, tree(new=False), "study.yaml") == parse(StudyConfig, tree(new=True), "study.yaml")
    assert not caplog.messages


def test_recorded_studies_are_read_by_the_new_names() -> None:
    record = Record.load(Path(__file__).parents[2] / "studies" / "amazon")
    assert {method.get("verbalizer", {}).get("read") for method in record.study["methods"]} == {None, "words_and_probe"}
    assert read_twice(record.study, record.methods)["PT and probe"] == "PT"
