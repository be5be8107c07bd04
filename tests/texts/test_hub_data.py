"""Data sets of the hub without a hub: copies in the cache, at the revision that was asked for."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from huggingface_hub import constants

from metapt_explore import hub
from metapt_explore.config import SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.texts import hub_data
from metapt_explore.texts.sources import load_source, source_fingerprint

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two revisions of `some/Set` as the data sets library keeps them; NEW was written last."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(hub_data, "installed_sets", lambda: ["trec", "vader"])
    for commit, words in ((OLD, ["old text"]), (NEW, ["new text", "more"])):
        file = tmp_path / f"{commit}.csv"
        file.write_text("text\n" + "".join(f"{line}\n" for line in words), encoding="utf-8")
        datasets.load_dataset("csv", data_files=str(file), split="train", cache_dir=str(tmp_path / "made"))
        made = next((tmp_path / "made" / "csv").glob("*/*/*/dataset_info.json")).parent
        place = tmp_path / "datasets" / "some___set" / "default" / "0.0.0" / commit
        place.parent.mkdir(parents=True, exist_ok=True)
        for arrow in made.glob("csv-*.arrow"):
            arrow.rename(made / arrow.name.replace("csv-", "set-"))
        info = (made / "dataset_info.json").read_text(encoding="utf-8")
        (made / "dataset_info.json").write_text(
            info.replace('"dataset_name": "csv"', '"dataset_name": "set"'), encoding="utf-8"
        )
        made.rename(place)
        snapshot = tmp_path / "hub" / "datasets--some--Set" / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (snapshot / "README.md").touch()
    refs = tmp_path / "hub" / "datasets--some--Set" / "refs"
    refs.mkdir()
    (tmp_path / "hub" / "datasets--some--Set" / "blobs").mkdir()
    (refs / "main").write_text(NEW, encoding="utf-8")
    (refs / "v1").write_text(OLD, encoding="utf-8")
    return tmp_path / "datasets"


def said(source: SourceConfig) -> str:
    with pytest.raises(UserError) as caught:
        load_source(source)
    return str(caught.value)


def test_a_pinned_revision_is_read_from_the_cache_and_no_other() -> None:
    """The library itself would read the latest copy, whatever revision is asked for."""
    assert datasets.load_dataset("some/Set", split="train", revision=OLD)["text"][:] == ["new text", "more"]
    for revision, words in ((None, ["new text", "more"]), (NEW, ["new text", "more"]), (OLD, ["old text"])):
        source = SourceConfig(hub="some/Set", revision=revision)
        assert load_source(source)["text"][:] == words
    assert load_source(SourceConfig(hub="some/Set", revision="v1", subset="default"))["text"][:] == ["old text"]
    message = said(SourceConfig(hub="some/Set", revision="c" * 40))
    assert f"revision '{'c' * 40}' is not in it (revisions: {OLD[:12]}, {NEW[:12]})" in message
    assert "revision 'v2' is not in it" in said(SourceConfig(hub="some/Set", revision="v2"))


def test_a_copy_of_another_revision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub answers the probe and stops answering: the library falls back to the latest copy."""
    monkeypatch.setattr(hub, "offline_reason", lambda: None)
    message = f"revision '{OLD}' could not be read, only a copy of {NEW[:12]} in the cache"
    with pytest.raises(UserError, match=message):
        load_source(SourceConfig(hub="some/Set", revision=OLD))
    assert len(load_source(SourceConfig(hub="some/Set", revision=NEW))) == 2


def test_a_data_set_that_is_not_there_names_those_that_are() -> None:
    for call in (load_source, source_fingerprint):
        with pytest.raises(UserError) as caught:
            call(SourceConfig(hub="nobody/none_such"))
        message = str(caught.value)
        assert "Cannot load the data set 'nobody/none_such': HF_HUB_OFFLINE is set" in message
        assert "starter data sets: trec, vader; in the hub's cache: some/Set. Or use `file:`" in message


def test_a_split_that_a_cached_copy_has_not() -> None:
    for revision in (None, OLD):
        assert "its copy in the cache: " in said(SourceConfig(hub="some/Set", split="tests", revision=revision))


def test_the_library_is_offline_only_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "offline_reason", lambda: "the hub cannot be reached")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with hub_data._cache_only_when_unreachable():
        assert datasets.config.HF_HUB_OFFLINE is True
    assert datasets.config.HF_HUB_OFFLINE is False


def test_an_unpinned_data_set_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stage asks for its fingerprint; the hub may deliver something else an hour later."""
    source = SourceConfig(hub="some/Set")
    before, loads = source_fingerprint(source), []
    library = datasets.load_dataset

    def moved_on(*words: str, **options: str) -> datasets.Dataset:
        loads.append(words)
        return library(*words, **options).select([0])

    monkeypatch.setattr(datasets, "load_dataset", moved_on)
    # Columns are chosen afterwards: they make no other data set.
    same = SourceConfig(hub="some/Set", columns={"text": "text", "label": "text"})
    assert source_fingerprint(same) == before and len(load_source(same)) == 2 and not loads
    with pytest.raises(UserError):
        load_source(SourceConfig(hub="some/Set", split="tests"))
    hub_data.forget_hub()
    assert source_fingerprint(source) != before and len(load_source(source)) == 1
