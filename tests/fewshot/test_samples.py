"""Samples of data seeds: which are the same, which share rows, and which dev rows are training rows."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_splits import published, rows, write

from metapt_explore.fewshot.samples import mean_share, same_samples, sample_facts, sample_sentences
from metapt_explore.fewshot.splits import Splits, make_splits


def facts_of(splits: Splits) -> dict[str, object]:
    frames = [splits.test.to_pandas().assign(split="test", data_seed=pd.NA)]
    for part, of_seed in (("train", splits.train), ("dev", splits.dev)):
        frames += [rows.to_pandas().assign(split=part, data_seed=seed) for seed, rows in of_seed.items()]
    return sample_facts(pd.concat(frames, ignore_index=True))


def table(train: dict[int, str], dev: dict[int, str] | None = None, test: str = "xy") -> pd.DataFrame:
    """Rows from a letter a text."""
    found = [("test", None, letter, letter) for letter in test]
    for part, texts in (("train", train), ("dev", dev or {})):
        found += [(part, seed, letter, "a") for seed, letters in texts.items() for letter in letters]
    return pd.DataFrame(found, columns=["split", "data_seed", "text", "label"])


def test_a_file_of_exactly_k_rows_a_class_is_one_sample(tmp_path: Path) -> None:
    seeds = [13, 21, 42, 87, 100]
    write(tmp_path / "train.jsonl", rows(16, 16, "train"))
    for seed in seeds:
        write(tmp_path / str(seed) / "dev.jsonl", rows(16, 16, "dev"))
    write(tmp_path / "test.jsonl", rows(30, 10, "test"))
    facts = facts_of(make_splits(published(tmp_path, train="train.jsonl"), 16, seeds, test_rows=None, seed=0))
    assert same_samples(facts["train"]) == [sorted(seeds)]
    assert facts["test_classes"] == {"bad": 30, "good": 10} and facts["train_rows"] == 32
    assert sample_sentences("shop", facts) == [
        "Task 'shop': all 5 data seeds have the same 32 training rows: they are one few-shot sample, not 5.",
        "Task 'shop': all 5 data seeds choose learning rate and step on the same dev rows.",
    ]


def test_shared_rows_by_hand() -> None:
    facts = sample_facts(table({1: "abcd", 2: "cdef", 3: "ghij", 4: "JIHG"}))
    assert facts["train"] == [[1, 2, 0.5], [3, 4, 1.0]]
    # Pairs of 1, 2 and 3: a half, nothing and nothing.
    assert mean_share(facts["train"], [1, 2, 3]) == pytest.approx(0.5 / 3)
    assert sample_sentences("t", facts) == [
        "Task 't': data seeds 3 and 4 have the same training rows: they count as one few-shot sample.",
        "Task 't': the training rows of two data seeds are the same to 17 % on average; they are not independent "
        "samples.",
    ]


def test_dev_rows_that_are_training_rows_are_named() -> None:
    said = sample_sentences("subj", sample_facts(table({1: "abcd", 2: "efgh"}, {1: "abcd", 2: "efgh"})))
    assert said == [
        "Task 'subj': the dev rows are the training rows (all data seeds): rate and step are chosen on what was "
        "trained on."
    ]
    (some,) = sample_sentences("t", sample_facts(table({1: "abcd", 2: "efgh"}, {1: "abcx", 2: "ijkl"})))
    assert "75 % or more of the dev rows are training rows (data seed 1)" in some
    assert sample_sentences("t", sample_facts(table({1: "abcd", 2: "efgh"}, {1: "ijkl", 2: "mnop"}))) == []
    assert sample_sentences("t", None) == []


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=6))
def test_groups_and_shares_hold_for_any_samples(samples: list[set[str]]) -> None:
    facts = sample_facts(table({seed: "".join(sorted(letters)) for seed, letters in enumerate(samples)}))
    groups = same_samples(facts["train"])
    for group in groups:
        assert all(samples[a] == samples[b] for a, b in pairwise(group))
    assert sum(map(len, groups)) - len(groups) == len(samples) - len(set(map(frozenset, samples)))
    assert 0 <= mean_share(facts["train"], facts["data_seeds"]) <= 1
