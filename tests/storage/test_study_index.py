"""The list of a study's artifacts: adding costs the same however long it is, and nothing of it is lost or made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metapt_explore.errors import UserError
from metapt_explore.storage import checked_lines, study_files
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.study_index import StudyIndex, cell_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.verify import Counts, verify


def entry(task: int, number: int = 0) -> Any:
    return {"kind": "fewshot", "id": f"fewshot-{task}-{number}", "title": f"task {task}", "task": f"t{task}"}


@pytest.fixture
def index(tmp_path: Path) -> StudyIndex:
    index = StudyIndex(tmp_path / "workspace" / "studies" / "one")
    index.folder.mkdir(parents=True)
    return index


def both(index: StudyIndex) -> tuple[Path, Path]:
    return index.lines, checked_lines.copy_of(index.lines)


ADD = st.tuples(st.just("add"), st.integers(0, 3), st.integers(0, 2))
OTHER = st.tuples(st.sampled_from(["replace", "compact", "open", "edit"]), st.integers(0, 3), st.just(0))


@given(steps=st.lists(ADD | ADD | OTHER, max_size=25))
@settings(deadline=None, max_examples=60)
def test_it_is_a_plain_list(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]) -> None:
    """As a list in memory, whoever opens it when, and whenever it is moved, replaced or edited by hand."""
    index, expected = StudyIndex(tmp_path_factory.mktemp("study")), list[Any]()
    for at, (what, task, number) in enumerate(steps):
        if what == "add" and (new := entry(task, number)) not in expected:
            expected = [*(old for old in expected if cell_of(old) != cell_of(new)), new]
        if what == "add":
            index.add(entry(task, number))
        elif what == "replace":
            index.replace(expected := expected[:task])
        elif what == "edit":
            # Each edit is another one (who restores a list has what was added to it, too), and more than one letter
            # away from what was there, which would be damage.
            write_json(index.file, expected := [entry(9, int("1" * (at + 1))), *expected[:task]])
        elif what == "compact":
            index.compact()
            assert not any(file.exists() for file in both(index))
        else:
            index = StudyIndex(index.folder)
        assert index.entries() == expected
    index.compact()
    assert index.entries() == expected


def test_adding_writes_as_much_to_a_long_list_as_to_a_short_one(
    index: StudyIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[int] = []
    rewrite = study_files.write_with_copy

    def count(file: Path, content: bytes) -> None:
        whole.append(len(json.loads(content)))
        rewrite(file, content)

    monkeypatch.setattr(study_files, "write_with_copy", count)
    reads: list[str] = []
    whole_lines = checked_lines._whole_lines
    monkeypatch.setattr(checked_lines, "_whole_lines", lambda content: reads.append("") or whole_lines(content))
    for number in range(3000):
        index.add(entry(number))
    assert whole == [256, 512, 1024, 2048], "moved when there is as much again"
    assert len(reads) < 100
    assert [each["id"] for each in index.entries()] == [entry(number)["id"] for number in range(3000)]


def test_a_list_of_an_earlier_version_is_its_beginning(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    study_files.write_json_with_copy(workspace.study_folder("one") / "index.json", [entry(1), entry(2)])
    assert workspace.index("one") == [entry(1), entry(2)]
    workspace.add_to_index("one", entry(1, 7))
    assert workspace.index("one") == [entry(2), entry(1, 7)]
    assert read_json(workspace.study_folder("one") / "index.json") == [entry(1), entry(2)]
    workspace.compact_index("one")
    assert read_json(workspace.study_folder("one") / "index.json") == [entry(2), entry(1, 7)]


def test_two_that_add_see_each_other(tmp_path: Path) -> None:
    one, other = Workspace(tmp_path), Workspace(tmp_path)
    for number in range(4):
        (one, other)[number % 2].add_to_index("one", entry(number))
    other.add_to_index("one", entry(0))
    one.add_to_index("one", entry(0, 5))
    other.add_to_index("one", entry(0))
    assert one.index("one") == [*map(entry, range(1, 4)), entry(0)]


# ------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_half_a_line_of_a_killed_writer_is_no_line(index: StudyIndex, kept: int) -> None:
    index.add(entry(1))
    line = checked_lines.to_line(entry(2))
    with index.lines.open("ab") as stream:
        stream.write(line[:kept])
    assert StudyIndex(index.folder).entries() == [entry(1)]
    again = StudyIndex(index.folder)
    again.add(entry(3))
    assert again.entries() == [entry(1), entry(3)]
    assert index.lines.read_bytes() == checked_lines.copy_of(index.lines).read_bytes()


def flip(file: Path) -> None:
    content = file.read_bytes()
    at = content.index(b"fewshot-1")
    file.write_bytes(content[:at] + b"F" + content[at + 1 :])


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def cut_at_a_line(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:2]))


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, cut_at_a_line, empty, Path.unlink])
def test_what_is_damaged_is_read_from_the_copy_and_repaired(index: StudyIndex, damage: Callable[[Path], None]) -> None:
    for number in range(4):
        index.add(entry(number))
    damage(index.lines)
    listed = [*map(entry, range(4))]
    assert StudyIndex(index.folder).entries() == listed
    workspace = Workspace(index.folder.parents[1])
    findings = [found for found in verify(workspace, Counts()) if found.where.endswith("index.jsonl")]
    assert len(findings) == 1 and findings[0].repair is not None
    findings[0].repair()
    assert not [found for found in verify(workspace, Counts()) if found.where.endswith("index.jsonl")]
    assert StudyIndex(index.folder).entries() == listed
    checked_lines.copy_of(index.lines).unlink()
    assert StudyIndex(index.folder).entries() == listed


def test_damage_of_both_is_said_and_a_run_begins_anew(index: StudyIndex) -> None:
    index.replace([entry(7)])
    for number in range(3):
        index.add(entry(number))
    for file in both(index):
        flip(file)
    with pytest.raises(UserError, match="run the study again"):
        StudyIndex(index.folder).entries()
    workspace = Workspace(index.folder.parents[1])
    (found,) = [found for found in verify(workspace, Counts()) if found.where.endswith("index.jsonl")]
    assert found.repair is not None and "set aside" in found.repair()
    assert StudyIndex(index.folder).entries() == [entry(7)]
    again = StudyIndex(index.folder)
    again.add(entry(2))
    assert again.entries() == [entry(7), entry(2)]


def test_an_edit_of_the_list_by_hand_counts(index: StudyIndex) -> None:
    index.replace([entry(1)])
    index.add(entry(2))
    write_json(index.file, [entry(3)])
    assert index.entries() == [entry(3)]
    index.add(entry(4))
    assert index.entries() == [entry(3), entry(4)]


class Killed(BaseException):
    """As a signal."""


@pytest.mark.parametrize("what", ["compact", "replace"])
@pytest.mark.parametrize("moment", range(4))
def test_killed_while_the_list_is_written(
    index: StudyIndex, monkeypatch: pytest.MonkeyPatch, what: str, moment: int
) -> None:
    """Moving loses nothing; what was replaced never comes back under the new list, even if that is as the old was."""
    index.replace([])
    for number in range(3):
        index.add(entry(number))
    changes, left = [(Path, "unlink"), (Path, "replace")], [moment]

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return change(*arguments, **options)

        return changed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        for owner, name in changes:
            patched.setattr(owner, name, dying(getattr(owner, name)))
        index.compact() if what == "compact" else index.replace([])
    listed = [*map(entry, range(3))]
    entries = StudyIndex(index.folder).entries()
    assert entries == listed if what == "compact" else entries in (listed, [])
    again = StudyIndex(index.folder)
    again.add(entry(9))
    assert again.entries() == [*entries, entry(9)]
