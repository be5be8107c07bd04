"""`shots: all`: every row of the files, unequal classes and all; dev as given or a stated share."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_splits import COLUMNS, LABELS, make_published, published, rows, sampled, write

from metapt_explore.config import TaskConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.fewshot.splits import make_splits


def test_a_published_set_of_unequal_classes_is_taken_whole(tmp_path: Path) -> None:
    make_published(tmp_path)
    for seed in (13, 21):
        write(tmp_path / str(seed) / "train.jsonl", [*rows(29, 3, f"train {seed}"), (" ", 1)])
        write(tmp_path / str(seed) / "dev.jsonl", rows(5, 1, f"dev {seed}"))
    splits = make_splits(published(tmp_path), "all", [13, 21], test_rows=None, seed=0)
    for seed in (13, 21):
        # In the order of the file, and the blank one left out.
        assert list(splits.train[seed]["text"]) == [text for text, _ in rows(29, 3, f"train {seed}")]
        assert Counter(splits.dev[seed]["label"]) == {"bad": 5, "good": 1}
    assert splits.warnings == []
    with pytest.raises(UserError, match="4 rows, but 6 shots"):
        make_splits(published(tmp_path), 6, [13], test_rows=None, seed=0)


def test_dev_may_lack_a_class_and_train_may_not(tmp_path: Path) -> None:
    make_published(tmp_path, (13,))
    write(tmp_path / "13" / "dev.jsonl", rows(5, 0, "dev"))
    splits = make_splits(published(tmp_path), "all", [13], test_rows=None, seed=0)
    assert splits.warnings == ["Task 'shop', data seed 13: no row of the class 'good' in dev."]
    write(tmp_path / "13" / "train.jsonl", rows(5, 0, "train"))
    with pytest.raises(UserError, match="the class 'good'"):
        make_splits(published(tmp_path), "all", [13], test_rows=None, seed=0)
    write(tmp_path / "13" / "train.jsonl", rows(5, 2, "train"))
    write(tmp_path / "13" / "dev.jsonl", [(" ", 0)])
    with pytest.raises(UserError, match="no usable dev row"):
        make_splits(published(tmp_path), "all", [13], test_rows=None, seed=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 30), st.integers(3, 30), st.floats(0.05, 0.95))
def test_one_source_is_shared_out(tmp_path_factory: pytest.TempPathFactory, bad: int, good: int, share: float) -> None:
    folder = tmp_path_factory.mktemp("all")
    task = sampled(write(folder / "a.jsonl", rows(bad, good))).model_copy(update={"dev_share": share})
    splits = make_splits(task, "all", [13, 21], test_rows=None, seed=0)
    for seed in (13, 21):
        parts = [list(part["text"]) for part in (splits.train[seed], splits.dev[seed], splits.test)]
        # Nothing twice, nothing lost, and each class in each part.
        assert sorted(chain(*parts)) == sorted(text for text, _ in rows(bad, good))
        dev = Counter(splits.dev[seed]["label"])
        for label, count in (("bad", bad), ("good", good)):
            pool = count - min(count // 2, count - 2)
            assert dev[label] == min(max(1, round(share * pool)), pool - 1)


def test_a_share_is_stated_where_it_is_needed_and_only_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dev_share: 0\.5"):
        make_splits(sampled(write(tmp_path / "a.jsonl", rows(9, 9))), "all", [13], test_rows=None, seed=0)
    make_published(tmp_path, (13,))
    task = published(tmp_path).model_copy(update={"dev_share": 0.5})
    with pytest.raises(UserError, match="a dev file of its own"):
        make_splits(task, "all", [13], test_rows=None, seed=0)


def test_one_file_named_twice_is_one_source(tmp_path: Path) -> None:
    """Whatever columns are named beside: dev is never what is trained on."""
    file = tmp_path / "a.jsonl"
    file.write_text(
        "".join(
            json.dumps({"text": text, "label": label, "other": 1 - label, "shop": "one"}) + "\n"
            for text, label in rows(9, 7)
        ),
        encoding="utf-8",
    )
    write(tmp_path / "test.jsonl", rows(4, 4, "test"))

    def named(columns: dict[str, str], **terms: Any) -> TaskConfig:
        splits = {
            "train": {"file": str(file), "columns": COLUMNS},
            "dev": {"file": str(file), "columns": columns},
            "test": {"file": str(tmp_path / "test.jsonl"), "columns": COLUMNS},
        }
        return parse(TaskConfig, {"name": "shop", "labels": LABELS, "splits": splits}, "t").model_copy(update=terms)

    grouped = {**COLUMNS, "group": "shop"}
    for columns in (COLUMNS, grouped):
        whole = make_splits(named(columns, dev_share=0.5), "all", [13], test_rows=None, seed=0)
        parts = [list(part[13]["text"]) for part in (whole.train, whole.dev)]
        assert sorted(chain(*parts)) == sorted(text for text, _ in rows(9, 7)) and whole.warnings == []
        few = make_splits(named(columns), 3, [13], test_rows=None, seed=0)
        assert not set(few.train[13]["text"]) & set(few.dev[13]["text"])
    with pytest.raises(UserError, match=r"does not say how many rows are dev"):
        make_splits(named(grouped), "all", [13], test_rows=None, seed=0)
    with pytest.raises(UserError, match=r"'shop': train and dev come from one source, .*a\.jsonl.*`columns` differ"):
        make_splits(named({"label": "other"}, dev_share=0.5), "all", [13], test_rows=None, seed=0)
