"""A large hub data set is read from where it lies: the same rows, the same id, and nothing on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import tiny
from datasets import ClassLabel, Dataset, Features, Value

from metapt_explore import hub
from metapt_explore.config import StudyConfig, TextsConfig, parse
from metapt_explore.study.study import Study
from metapt_explore.texts import hub_data, hub_files, streamed_hub
from metapt_explore.texts.open_rows import open_rows
from metapt_explore.texts.row_source import HubRows, RowSource
from metapt_explore.texts.scan_cost import count_large, most_texts, scan_cost
from metapt_explore.texts.sources import source_fingerprint
from metapt_explore.texts.streamed_hub import ParquetHubRows

ROWS = 230
WORDS = ("soup", "train", "river", "music", "garden", "winter")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A data set of two Parquet files with small row groups, as the hub's repositories hold it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(hub, "offline_reason", lambda: None)
    monkeypatch.setattr(hub_files, "STREAMED_BYTES", 1)
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    kinds = Features({"text": Value("string"), "mark": ClassLabel(names=["bad", "good"]), "other": Value("int64")})
    texts = [f"the {WORDS[row % 6]} number {row} is {WORDS[row // 6 % 6]}" for row in range(ROWS)]
    whole = {"text": texts, "mark": [row % 3 - 1 for row in range(ROWS)], "other": list(range(ROWS))}
    for number, chosen in enumerate((slice(0, 130), slice(130, ROWS))):
        part = Dataset.from_dict({name: values[chosen] for name, values in whole.items()}, features=kinds)
        part.to_parquet(str(folder / f"train-0000{number}-of-00002.parquet"), batch_size=20)
    yield str(tmp_path / "set")
    hub_files.forget_files()
    hub_data.forget_hub()


def settings(place: str, **more: Any) -> TextsConfig:
    return TextsConfig(**{"hub": place, "limit": 40, "columns": {"text": "text", "label": "mark"}, **more})


def cells_of(rows: RowSource) -> list[tuple[str | None, ...]]:
    return [cells for batch in rows.batches() for cells in zip(*batch.cells.values(), strict=True)]


def test_rows_and_fingerprint_are_those_of_the_whole(place: str, tmp_path: Path) -> None:
    source = settings(place)
    streamed, fingerprint = open_rows(source), source_fingerprint(source)
    assert isinstance(streamed, ParquetHubRows)
    cells = cells_of(streamed)
    assert not list((tmp_path / "cache").rglob("*.arrow")), "nothing was converted"
    whole = HubRows(source)
    assert cells == cells_of(whole) and len(cells) == ROWS
    assert {label for _, label, _ in cells} == {None, "0", "1"}
    assert source_fingerprint(settings(place, limit=None)) == fingerprint
    firsts = [batch.first for batch in streamed.batches()]
    assert firsts == sorted(firsts) and firsts[0] == 0


def test_only_row_groups_with_drawn_rows_are_fetched(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    streamed, read = open_rows(settings(place)), []
    chosen = np.array([3, 5, 61, 130, ROWS - 1])
    expected = HubRows(settings(place)).take(chosen)
    real = ParquetHubRows._of_group

    def counting(rows: ParquetHubRows, file: Any, group: int, first: int) -> Any:
        read.append(first)
        return real(rows, file, group, first)

    monkeypatch.setattr(ParquetHubRows, "_of_group", counting)
    assert streamed.take(chosen).equals(expected)
    assert read == [0, 60, 130, 210]
    assert streamed.take(np.array([], dtype=np.int64)).num_rows == 0


def test_what_is_small_or_cached_or_asked_for_whole_is_read_as_a_whole(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for whole in (settings(place, limit=None), settings(place, split="train[:50%]"), settings(place, split="tests")):
        assert hub_files.streamed_hub(whole) is None
    monkeypatch.setattr(hub_files, "STREAMED_BYTES", 10**9)
    assert hub_files.streamed_hub(settings(place)) is None
    monkeypatch.setattr(hub_files, "STREAMED_BYTES", 1)
    hub_files.forget_files()
    monkeypatch.setattr(hub, "offline_reason", lambda: "HF_HUB_OFFLINE is set")
    assert hub_files.streamed_hub(settings(place)) is None
    monkeypatch.setattr(hub, "offline_reason", lambda: None)
    assert hub_files.streamed_hub(settings(place)) is None, "as it was read before"
    hub_files.forget_files()
    assert hub_files.streamed_hub(settings(place)) is not None
    hub_files.forget_files()
    hub_data.read_hub(settings(place))
    assert hub_files.streamed_hub(settings(place)) is None


def test_rows_are_counted_by_footers(place: str) -> None:
    assert count_large(settings(place)) == ROWS and most_texts(settings(place)) == 40
    cost = scan_cost(settings(place), ["a text"])
    assert cost is not None and (cost.rows, cost.counted, cost.kept) == (ROWS, True, 40)


def test_a_study_draws_the_same_texts(world: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tiny.study_tree(world)
    tree["texts"] = {"hub": place, "limit": 40, "columns": {"text": "text", "label": "mark"}}
    config = parse(StudyConfig, tree, "test")
    streamed = Study(config, tmp_path / "streamed").texts()
    assert isinstance(open_rows(config.texts), ParquetHubRows)
    monkeypatch.setattr(hub_files, "STREAMED_BYTES", 10**9)
    hub_files.forget_files()
    whole = Study(config, tmp_path / "whole").texts()
    assert streamed.id == whole.id and streamed.summary == whole.summary
    assert streamed.table("texts").equals(whole.table("texts")) and len(whole.table("texts")) == 40


def test_a_broken_line_is_a_sentence(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(url: str) -> None:
        raise ConnectionError("the line is cut")

    rows = open_rows(settings(place))
    monkeypatch.setattr(streamed_hub, "open_parquet", broken)
    with pytest.raises(hub.UserError, match=r"could not be loaded: .*the line is cut"):
        list(rows.batches())
