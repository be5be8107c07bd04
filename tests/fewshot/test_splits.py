"""Few-shot splits: disjoint, balanced, the same test for every data seed, and clear refusals."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metapt_explore.config import TaskConfig, load_study, parse
from metapt_explore.errors import UserError
from metapt_explore.fewshot.split_rows import balanced
from metapt_explore.fewshot.splits import make_splits
from metapt_explore.stages.split import drawn_rows

LABELS = {"bad": {"value": 0, "word": "negative"}, "good": {"value": 1, "word": "positive"}}
COLUMNS = {"label": "label"}


def write(path: Path, rows: list[tuple[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows), encoding="utf-8"
    )
    return path


def sampled(path: Path) -> TaskConfig:
    data = {"file": str(path), "columns": COLUMNS}
    return parse(TaskConfig, {"name": "shop", "labels": LABELS, "data": data}, "task")


def published(folder: Path, train: str = "{seed}/train.jsonl") -> TaskConfig:
    files = {"train": train, "dev": "{seed}/dev.jsonl", "test": "test.jsonl"}
    splits = {part: {"file": str(folder / file), "columns": COLUMNS} for part, file in files.items()}
    return parse(TaskConfig, {"name": "shop", "labels": LABELS, "splits": splits}, "task")


def rows(bad: int, good: int, mark: str = "row") -> list[tuple[str, int]]:
    return [(f"{mark} number {n}", 0) for n in range(bad)] + [(f"{mark} no {n}", 1) for n in range(good)]


def make_published(folder: Path, seeds: tuple[int, ...] = (13, 21), k: int = 3) -> None:
    for seed in seeds:
        write(folder / str(seed) / "train.jsonl", rows(k, k, f"train {seed}"))
        write(folder / str(seed) / "dev.jsonl", rows(k, k, f"dev {seed}"))
    write(folder / "test.jsonl", rows(10, 6, "test"))


def test_sampled_splits_are_balanced_and_disjoint(tmp_path: Path) -> None:
    splits = make_splits(sampled(write(tmp_path / "a.jsonl", rows(60, 40))), 4, [13, 21], test_rows=20, seed=0)
    assert Counter(splits.test["label"]) == {"bad": 10, "good": 10}
    parts = {"test": set(splits.test["text"])}
    for seed in (13, 21):
        for name, part in (("train", splits.train[seed]), ("dev", splits.dev[seed])):
            assert part.column_names == ["text", "label"]
            assert Counter(part["label"]) == {"bad": 4, "good": 4}
            parts[f"{name}/{seed}"] = set(part["text"])
        assert not parts["test"] & (parts[f"train/{seed}"] | parts[f"dev/{seed}"])
        assert not parts[f"train/{seed}"] & parts[f"dev/{seed}"]
    assert parts["train/13"] != parts["train/21"]
    assert set(splits.checksums) == set(parts)
    assert splits.warnings == []


def test_what_a_part_depends_on(tmp_path: Path) -> None:
    task = sampled(write(tmp_path / "a.jsonl", rows(60, 60)))
    base = make_splits(task, 4, [13, 21], test_rows=20, seed=0)
    assert make_splits(task, 4, [13, 21], test_rows=20, seed=0).checksums == base.checksums
    other_seeds = make_splits(task, 4, [21, 5], test_rows=20, seed=0).checksums
    assert other_seeds["test"] == base.checksums["test"]
    assert other_seeds["train/21"] == base.checksums["train/21"]
    larger = make_splits(task, 4, [13], test_rows=40, seed=0)
    assert set(base.test["text"]) < set(larger.test["text"])
    assert larger.checksums["train/13"] == base.checksums["train/13"]
    assert make_splits(task, 8, [13], test_rows=20, seed=0).checksums["test"] == base.checksums["test"]
    assert make_splits(task, 4, [13], test_rows=20, seed=1).checksums["test"] != base.checksums["test"]
    assert len(make_splits(task, 4, [13], test_rows=None, seed=0).test) == 60


def test_checksum_is_of_texts_and_labels(tmp_path: Path) -> None:
    import hashlib

    make_published(tmp_path)
    splits = make_splits(published(tmp_path), 1, [13], test_rows=1, seed=0)
    content = json.dumps([["train 13 number 0", "bad"], ["train 13 no 0", "good"]])
    assert splits.checksums["train/13"] == hashlib.sha256(content.encode()).hexdigest()


def test_rows_are_cleaned_and_counted(tmp_path: Path) -> None:
    dirty: list[tuple[str, Any]] = [
        ("", 0),
        ("  ", 1),
        ("no label", None),
        ("ROW number 1!", 0),  # a copy
        ("Row NUMBER 2", 1),  # a copy with the other class: both go
    ]
    splits = make_splits(sampled(write(tmp_path / "a.jsonl", rows(12, 12) + dirty)), 2, [13], test_rows=None, seed=0)
    assert splits.dropped == {"blank": 2, "unlabelled": 1, "duplicate": 1, "conflicting": 2}
    # 11 bad rows are left, of which 5 are for test; of 12 good ones 6.
    assert Counter(splits.test["label"]) == {"bad": 5, "good": 6}
    used = [*splits.test["text"], *splits.train[13]["text"], *splits.dev[13]["text"]]
    assert "row number 2" not in used and "Row NUMBER 2" not in used


def test_scarce_classes_leave_their_rows_to_train_and_dev(tmp_path: Path) -> None:
    task = sampled(write(tmp_path / "a.jsonl", rows(100, 9)))
    splits = make_splits(task, 4, [13], test_rows=20, seed=0)
    assert Counter(splits.test["label"]) == {"bad": 19, "good": 1}
    with pytest.raises(UserError, match=r"'shop'.*'good' of .*a\.jsonl.*9 usable rows.*5 shots need 11.*Lower `shots`"):
        make_splits(task, 5, [13], test_rows=20, seed=0)


def test_published_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    make_published(tmp_path)
    splits = make_splits(published(tmp_path), 2, [13, 21], test_rows=9, seed=0)
    assert splits.train[21]["text"][:] == ["train 21 number 0", "train 21 number 1", "train 21 no 0", "train 21 no 1"]
    assert splits.dev[13]["text"][:] == ["dev 13 number 0", "dev 13 number 1", "dev 13 no 0", "dev 13 no 1"]
    assert Counter(splits.test["label"]) == {"bad": 5, "good": 4}
    assert len(make_splits(published(tmp_path), 2, [13], test_rows=None, seed=0).test) == 16


def test_published_splits_with_too_few_rows_or_no_file(tmp_path: Path) -> None:
    make_published(tmp_path)
    with pytest.raises(UserError, match=r"'shop'.*'bad' of .*train\.jsonl has 3 rows, but 4 shots.*Lower `shots` to 3"):
        make_splits(published(tmp_path), 4, [13], test_rows=None, seed=0)
    with pytest.raises(UserError, match=r"'shop', data seed 42: There is no file .*42.train\.jsonl"):
        make_splits(published(tmp_path), 2, [13, 42], test_rows=None, seed=0)


def test_a_blank_published_row_is_dropped_and_told(tmp_path: Path) -> None:
    make_published(tmp_path)
    write(tmp_path / "13" / "train.jsonl", [(" ", 0), *rows(2, 3, "train 13")])
    splits = make_splits(published(tmp_path), 3, [13], test_rows=None, seed=0)
    assert Counter(splits.train[13]["label"]) == {"bad": 2, "good": 3}
    assert splits.dropped["blank"] == 1
    assert splits.warnings == [
        "Task 'shop', data seed 13: class 'bad' has 2 rows in train instead of 3; the others are blank."
    ]


def test_rows_in_two_published_splits_are_told(tmp_path: Path) -> None:
    make_published(tmp_path)
    write(tmp_path / "13" / "dev.jsonl", rows(3, 3, "train 13"))
    write(tmp_path / "21" / "train.jsonl", [("TEST number 0", 0), *rows(3, 3, "train 21")])
    warnings = make_splits(published(tmp_path), 3, [13, 21], test_rows=None, seed=0).warnings
    assert warnings == [
        "Task 'shop', data seed 13: texts that stand in both dev and train: 6.",
        "Task 'shop', data seed 21: texts that stand in both train and test: 1.",
    ]


def test_one_published_train_file_is_sampled_by_data_seed(tmp_path: Path) -> None:
    make_published(tmp_path)
    write(tmp_path / "train.jsonl", rows(30, 30, "all"))
    splits = make_splits(published(tmp_path, "train.jsonl"), 3, [13, 21], test_rows=None, seed=0)
    assert Counter(splits.train[13]["label"]) == {"bad": 3, "good": 3}
    assert set(splits.train[13]["text"]) != set(splits.train[21]["text"])


def test_unknown_labels_and_missing_label_columns_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*rows(9, 9), ("odd one", "2")])
    with pytest.raises(UserError, match=r"'shop': row 19 of .*a\.jsonl has the label '2'.*Valid: 0, 1"):
        make_splits(sampled(path), 2, [13], test_rows=None, seed=0)
    task = parse(TaskConfig, {"name": "shop", "labels": LABELS, "data": {"file": str(path)}}, "task")
    with pytest.raises(UserError, match="needs a label column"):
        make_splits(task, 2, [13], test_rows=None, seed=0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=5), st.integers(1, 40))
def test_balanced_takes_all_it_may_and_as_evenly_as_possible(sizes: list[int], limit: int) -> None:
    import numpy as np

    by_class = {str(label): [(f"{label} {n}", str(label)) for n in range(size)] for label, size in enumerate(sizes)}
    taken = balanced(by_class, limit, np.random.default_rng(0))
    counts = Counter(label for _, label in taken)
    assert len(set(taken)) == len(taken) == min(limit, sum(sizes))
    for label, of_class in by_class.items():
        # A class with fewer rows than the largest share (but for a remainder) gave all it has.
        assert counts[label] == len(of_class) or counts[label] >= max(counts.values()) - 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_the_table_of_all_parts_holds_what_each_part_holds(tmp_path: Path, shuffle: bool) -> None:
    task = sampled(write(tmp_path / "a.jsonl", rows(60, 40)))
    study = load_study("tour")
    evaluation = {"shots": 4, "data_seeds": [13, 21], "test_rows": 20, "shuffle_labels": shuffle}
    study = study.model_copy(update={"evaluation": study.evaluation.model_copy(update=evaluation)})
    splits, table = drawn_rows(study, task)
    assert list(table.columns) == ["split", "data_seed", "text", "label"]
    assert [str(kind) for kind in table.dtypes] == ["str", "Int64", "str", "str"]
    for part, of_seed in (("train", splits.train), ("dev", splits.dev)):
        for seed, expected in of_seed.items():
            found = table[(table["split"] == part) & (table["data_seed"] == seed)]
            assert found["text"].tolist() == list(expected["text"])
            assert Counter(found["label"]) == Counter(expected["label"])
            assert shuffle or found["label"].tolist() == list(expected["label"])
    found = table[table["split"] == "test"]
    assert found["data_seed"].isna().all() and found["text"].tolist() == list(splits.test["text"])
