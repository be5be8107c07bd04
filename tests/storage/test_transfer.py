"""Pushing and pulling: what arrives is what was sent, whatever is damaged, hostile, interrupted or there already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command_line import call
from filelock import FileLock

from metapt_explore.config import load_study
from metapt_explore.errors import UserError
from metapt_explore.results.tables import results_table
from metapt_explore.storage import remote as remote_module
from metapt_explore.storage.pushed import stored_name
from metapt_explore.storage.remote import Remote, without_password
from metapt_explore.storage.stage_file import read_stage, sum_of, sum_of_file, write_stage
from metapt_explore.storage.transfer import Transfer, pull, push
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study
from metapt_explore.study.verify import Counts, verify


def artifacts(workspace: Workspace) -> dict[str, dict[str, bytes]]:
    """Files of every artifact."""
    return {
        folder.name: {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.startswith(".")}
        for folder in sorted((workspace.folder / "artifacts").iterdir())
    }


def test_a_pulled_study_is_the_one_that_was_pushed(source: Workspace, here: Workspace, url: str, world: Path) -> None:
    sent = push(source, "tiny", url)
    assert sent.moved and not sent.there and not sent.left and "0 there already" in str(sent)
    (fetched,) = pull(here, url)
    assert set(fetched.moved) == set(sent.moved) and fetched.bytes == sent.bytes > 0
    whole = artifacts(source)
    assert {name: files for name, files in artifacts(here).items()} == {name: whole[name] for name in sent.moved}
    assert not list(verify(here, Counts())) and not list((here.folder / "pulled").iterdir())
    pd.testing.assert_frame_equal(results_table(here, "tiny"), results_table(source, "tiny"))
    # Nothing is sent or fetched twice, and nothing computed.
    again, (once_more,) = push(source, "tiny", url), pull(here, url, "tiny")
    assert (again.moved, again.bytes, once_more.moved, once_more.bytes) == ([], 0, [], 0)
    before = artifacts(here)
    Study(load_study(world / "tiny.yaml"), here).run()
    assert artifacts(here) == before


def test_interrupted_both_go_on(source: Workspace, here: Workspace, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(BaseException):
        pass

    def stop_after(name: str, calls: int, act: Callable[[], object]) -> None:
        real, left = getattr(Remote, name), [calls]

        def some(*args: Any, **more: Any) -> Any:
            if not left[0]:
                raise Cut
            left[0] -= 1
            return real(*args, **more)

        with monkeypatch.context() as patched, pytest.raises(Cut):
            patched.setattr(Remote, name, some)
            act()

    for calls in (1, 8):
        stop_after("upload", calls, lambda: push(source, "tiny", url))
    with pytest.raises(UserError, match="holds no study"):
        pull(here, url)
    rest = push(source, "tiny", url)
    assert rest.there and rest.moved
    for calls in (1, 8):
        stop_after("download", calls, lambda: pull(here, url))
        assert not list(verify(here, Counts())), "half a pull is no damage"
    # Killed between two files of an artifact, when they have their places.
    moved = [path for path in (here.folder / "artifacts").iterdir() if (path / "stage.json").exists()]
    (done,) = pull(here, url)
    assert set(done.there) == {path.name for path in moved} and done.moved
    assert artifacts(here) == {name: artifacts(source)[name] for name in (*done.there, *done.moved)}


def test_a_pull_killed_between_files_reads_as_stopped(
    source: Workspace, here: Workspace, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(source, "tiny", url)
    from metapt_explore.storage import transfer

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(transfer, "write_bytes", killed)
        pull(here, url)
    (folder,) = (here.folder / "artifacts").iterdir()
    assert here.artifact(folder.name).status == "cancelled"
    assert len(pull(here, url)[0].moved) == len(artifacts(source).keys() & artifacts(here).keys())


def test_damage_of_the_same_size_is_seen_when_asked_for(source: Workspace, here: Workspace, url: str) -> None:
    sent, remote = push(source, "tiny", url), Remote(url)
    name = sent.moved[-1]
    file, expected = next(iter(read_stage(source.artifact(name).folder)["files"].items()))
    parts = ("artifacts", name, stored_name(file, expected))
    remote.write(b"x" * expected["bytes"], *parts)
    assert remote.holds(expected, *parts) and not remote.holds(expected, *parts, check=True)
    assert not push(source, "tiny", url).moved
    mended = push(source, "tiny", url, check=True)
    assert mended.moved == [name] and mended.bytes == expected["bytes"]
    assert not push(source, "tiny", url, check=True).moved
    assert set(pull(here, url)[0].moved) == set(sent.moved)
    # What another has pushed cannot be mended from here.
    remade(source, name)
    remote.write(b"x" * expected["bytes"], *parts)
    with pytest.raises(UserError, match="push it from where it was made"):
        push(source, "tiny", url, check=True)


def remade(workspace: Workspace, identifier: str) -> None:
    """The same question with another answer, as another machine may give it."""
    folder = workspace.artifact(identifier).folder
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    (folder / "summary.json").write_text(json.dumps({**summary, "elsewhere": 1}), encoding="utf-8")
    stage = read_stage(folder)
    stage["files"]["summary.json"] = sum_of_file(folder / "summary.json")
    write_stage(folder, stage)


def test_two_who_push_at_once_never_mix_their_files(
    source: Workspace, here: Workspace, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(source.folder, tmp_path / "other")
    other, name = Workspace(tmp_path / "other"), source.index("tiny")[0]["id"]
    remade(other, name)
    real, pushed = Remote.write, []

    def in_between(self: Remote, content: bytes, *parts: str) -> None:
        """The other one pushes all of it before the first record of this one is written."""
        if not pushed:
            pushed.append(True)
            push(other, "tiny", url)
        real(self, content, *parts)

    monkeypatch.setattr(Remote, "write", in_between)
    push(source, "tiny", url)
    pull(here, url)
    assert not list(verify(here, Counts()))
    assert artifacts(here)[name] in (artifacts(source)[name], artifacts(other)[name])
    # Whoever comes later with other numbers is told, and what lies there stays.
    late = push(other if artifacts(here)[name] == artifacts(source)[name] else source, "tiny", url)
    assert "computed elsewhere" in late.notes[0] and name in late.there


def test_lists_of_two_machines_are_joined(source: Workspace, here: Workspace, url: str, tmp_path: Path) -> None:
    shutil.copytree(source.folder, tmp_path / "other")
    other, index = Workspace(tmp_path / "other"), source.index("tiny")
    for workspace, entries in ((source, index[: len(index) // 2]), (other, index[len(index) // 2 :])):
        file = workspace.study_folder("tiny") / "index.json"
        file.write_text(json.dumps(entries), encoding="utf-8")
        push(workspace, "tiny", url)
    pull(here, url)
    assert sorted(entry["id"] for entry in here.index("tiny")) == sorted(entry["id"] for entry in index)


def test_nothing_of_the_workspace_is_replaced(source: Workspace, url: str, tmp_path: Path) -> None:
    push(source, "tiny", url)
    shutil.copytree(source.folder, tmp_path / "other")
    other, name = Workspace(tmp_path / "other"), source.index("tiny")[0]["id"]
    remade(other, name)
    before = artifacts(other)
    assert pull(other, url)[0].moved == [] and artifacts(other) == before
    config = source.study_config("tiny")
    longer = config.model_copy(update={"seed": config.seed + 1})
    other.save_study(longer)
    with pytest.raises(UserError, match=r"has a study 'tiny' with other settings \(seed\)"):
        pull(other, url)
    # A study here that has more methods is the same one, and stays.
    fewer = config.model_copy(update={"baselines": []})
    third = Workspace(tmp_path / "third")
    third.save_study(fewer)
    pull(third, url)
    assert third.study_config("tiny") == config and len(third.index("tiny")) == len(source.index("tiny"))


def test_other_settings_of_the_name_are_told(source: Workspace, here: Workspace, url: str) -> None:
    push(source, "tiny", url)
    config = source.study_config("tiny")
    source.save_study(config.model_copy(update={"seed": config.seed + 1}))
    push(source, "tiny", url)
    (told,) = pull(here, url)
    assert "Other settings of 'tiny'" in told.notes[0] and here.study_config("tiny").seed == config.seed + 1
    settings = told.notes[0].partition("(")[2].partition(";")[0]
    second = Workspace(here.folder.with_name("second"))
    assert pull(second, url, "tiny", settings=settings)[0].moved and second.study_config("tiny") == config
    with pytest.raises(UserError, match="has no settings"):
        pull(second, url, "tiny", settings="0000")


def test_an_attempt_is_finished_one_that_runs_is_left(source: Workspace, here: Workspace, url: str) -> None:
    sent = push(source, "tiny", url)
    folder = here.artifact(sent.moved[0]).folder
    shutil.copytree(source.artifact(folder.name).folder, folder)
    write_stage(folder, {**read_stage(folder), "status": "cancelled"})
    (folder / "checkpoint").mkdir()
    with FileLock(folder / ".lock"):
        (busy,) = pull(here, url)
        assert list(busy.left) == [folder.name] and folder.name not in {e["id"] for e in here.index("tiny")}
    assert pull(here, url)[0].moved == [folder.name] and not (folder / "checkpoint").exists()
    assert artifacts(here)[folder.name] == artifacts(source)[folder.name]
    # Damage is set aside, not overwritten.
    (folder / "summary.json").write_text("{}", encoding="utf-8")
    assert "It is now in" in pull(here, url)[0].notes[0] and any(here.damaged.iterdir())


def test_what_arrives_otherwise_is_taken_back(
    source: Workspace, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place, file = Remote(url), tmp_path / "a"
    file.write_bytes(b"abc")
    with pytest.raises(UserError, match="did not arrive as it was sent"):
        place.upload(file, sum_of(b"abx"), "artifacts", "a")
    assert place.size("artifacts", "a") is None and place.names("artifacts") == []
    monkeypatch.setattr(remote_module, "CHUNK", 2)
    assert place.upload(file, sum_of(b"abc"), "artifacts", stored_name("a", sum_of(b"abc"))) == 3


def test_addresses(tmp_path: Path) -> None:
    assert without_password("ssh://me@host/a") == "ssh://me@host/a"
    assert without_password("ssh://me:se#cr/et?@host/a") == "ssh://me:…@host/a"
    assert without_password("abfs://box/a?sig=secret&token=b") == "abfs://box/a"
    with pytest.raises(UserError, match="cannot be reached"):
        Remote("nonsense://a")
    with pytest.raises(UserError, match="one address"):
        Remote("simplecache::memory://a")


def test_the_commands(
    source: Workspace,
    here: Workspace,
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "push", "tiny", str(shared), "-w", source.folder) == 0
    assert call(monkeypatch, "pull", str(shared), "-w", here.folder) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("'tiny': ") == 2 and "0 there already" in told
    assert call(monkeypatch, "push", "tiny", "owner/name", "-w", source.folder) == 2
    assert "A study goes to an address or a path: ./owner/name" in " ".join(capsys.readouterr().err.split())
    assert isinstance(pull(here, str(shared))[0], Transfer)
    name = source.index("tiny")[0]["id"]
    here.artifact(name).folder.joinpath("stage.json").unlink()
    with FileLock(here.artifact(name).folder / ".lock"):
        assert call(monkeypatch, "pull", str(shared), "tiny", "-w", here.folder) == 1
    (source.artifact(name).folder / "summary.json").write_text("{}", encoding="utf-8")
    assert call(monkeypatch, "push", "tiny", str(shared), "-w", source.folder) == 2
    assert "is damaged" in " ".join(capsys.readouterr().err.split())
