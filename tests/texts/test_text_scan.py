"""Texts that are read in batches give the very rows, leaks and counts of a table in memory."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from plain_texts_stage import plain_texts
from tiny import study_tree

from metapt_explore.config import SourceConfig, StudyConfig
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import held_out_rows
from metapt_explore.study.study import Study
from metapt_explore.texts import report, row_source, sources
from metapt_explore.texts.open_rows import open_rows
from metapt_explore.texts.row_hashes import count_different, repeats, row_hashes
from metapt_explore.texts.sources import load_source

WORDS = ["the", "a", "film", "was", "good", "bad", "long", "w1", "w2", "w3", "w4", "w5"]
ODD = [
    "",
    "   ",
    "!!!",
    "😀 😀",
    "ok",
    "很好 的 电影 啊",
    "ISN'T it so?",
    "is n't it so",
    "It rains.",
    "Größe ist alles hier",
]


def write_source(file: Path, held_out: list[str], rng: random.Random) -> None:
    """Rows of every kind: odd, repeated in another spelling, copies of held-out rows, unlabelled."""
    rows: list[dict[str, Any]] = []
    for _ in range(rng.randint(150, 400)):
        kind = rng.random()
        text = " ".join(rng.choices(WORDS, k=rng.randint(1, 12)))
        if kind < 0.1:
            text = rng.choice(ODD)
        elif kind < 0.2:
            text = rng.choice(held_out) + rng.choice(["", " .", " and more words"])
        elif kind < 0.4 and rows:
            text = rng.choice(rows)["text"].upper()
        second = rng.choice([text, "It rains.", " ", "a film was long"])
        label = rng.choice(["negative", "positive", "positive", ""])
        rows.append({"text": text, "second": second, "label": label, "topic": rng.choice(["x", "y", ""])})
    pd.DataFrame(rows).to_csv(file, index=False)


CASES: list[dict[str, Any]] = [
    {},
    {"limit": 40},
    {"limit": 40, "balanced": True},
    {"labelled_only": True, "min_words": 4},
    {"limit": 30, "pairs": True},
    {"pairs": True, "near_duplicate": 0.3},
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_batches_give_what_a_table_in_memory_gives(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: dict[str, Any], seed: int
) -> None:
    monkeypatch.setattr(row_source, "BATCH_ROWS", 7)
    monkeypatch.setattr(report, "BATCH_ROWS", 7)
    settings = {key: value for key, value in case.items() if key != "pairs"}
    columns = {"text": "text", "label": "label", "group": "topic"}
    if case.get("pairs"):
        columns["text_pair"] = "second"
    tree = study_tree(world, texts={"file": str(tmp_path / "rows.csv"), "columns": columns, **settings}, seed=seed)
    if case.get("pairs"):
        tree["auxiliary_tasks"]["template"] = "{text} and {text_pair} Sentiment :"
    study = Study(StudyConfig.model_validate(tree), tmp_path / "ws")
    splits = {split.called: study.make(split) for split in Split.asked(study, ())}
    held_out = held_out_rows(splits)
    write_source(tmp_path / "rows.csv", list(held_out["text"]), random.Random(seed))
    made = study.texts()
    plain = plain_texts(study.config.texts, list(held_out["text"]), seed)
    pd.testing.assert_frame_equal(made.table("texts"), plain["kept"])
    pd.testing.assert_frame_equal(made.table("leaks").drop(columns="held_out_task"), plain["leaks"])
    summary = made.summary
    assert list(summary["dropped"].items()) == list(plain["dropped"].items())
    told = summary["report"]
    assert told["duplicates"] == plain["duplicates"] and told["language"] == plain["language"]
    assert told["rows"] - told["blank"] == plain["filled"]
    assert told["words"]["mean"] == round(plain["words"] / plain["filled"], 2)


def test_repeats_are_those_of_a_dictionary() -> None:
    rng = random.Random(0)
    keys = [rng.choice("abcdefghij") * rng.randint(0, 3) for _ in range(200)]
    seen: set[str] = set()
    expected = []
    for key in keys:
        expected.append(key in seen)
        seen.add(key)
    assert repeats(row_hashes(keys)).tolist() == expected
    assert count_different(row_hashes(keys)) == len(seen)
    assert repeats(row_hashes([])).tolist() == []


def test_a_hub_data_set_in_parts_is_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_source, "BATCH_ROWS", 3)
    columns = {
        "text": [f"text {n}" for n in range(10)],
        "label": [0, 1, -1, 1, 0, -1, 1, 1, 0, 0],
        "n": [None, *range(9)],
    }
    labels = ClassLabel(names=["bad", "good"])
    rows = Dataset.from_dict(
        columns, features=Features({"text": Value("string"), "label": labels, "n": Value("int64")})
    )
    monkeypatch.setattr(sources, "_read_hub", lambda source: rows)
    monkeypatch.setattr(row_source, "read_hub", lambda source: rows)
    for named in ({"label": "label"}, {"label": "label", "group": "n"}, {"label": "label", "group": "label"}):
        source = SourceConfig.model_validate({"hub": "a/b", "columns": {"text": "text", **named}})
        parts = [batch.cells for batch in open_rows(source).batches()]
        whole = load_source(source)
        for name in whole.column_names:
            assert [cell for part in parts for cell in part[name]] == list(whole[name])
        assert whole["label"][2] is None
