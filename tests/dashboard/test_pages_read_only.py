"""Pages over a workspace that nobody may write into, such as one on a disk that is read only."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from looking import PAGES, said
from streamlit.testing.v1 import AppTest

from metapt_explore.results.tables import results_table
from metapt_explore.storage.disk import is_held
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
#: Events by which Python says that it is about to change something, with the places of paths among their arguments.
CHANGES = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (0, 1),
    "os.symlink": (0, 1),
    "os.truncate": (0,),
    "os.utime": (0,),
    "os.chmod": (0,),
    "sqlite3.connect": (0,),
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class ReadOnly:
    """Refuses to change anything below a folder, as a disk that is read only does."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.tried: list[str] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        places = CHANGES.get(event, ())
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
            places = (0,)
        for place in places:
            path = arguments[place]
            if isinstance(path, str | bytes | os.PathLike) and os.fsdecode(path).startswith(self.folder):
                self.tried.append(f"{event} {os.fsdecode(path)}")
                raise OSError(errno.EROFS, "Read-only file system", os.fsdecode(path))


DISK = ReadOnly()
# A hook cannot be taken away again; this one does nothing while no folder is named.
sys.addaudithook(DISK)


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], list[str]]]:
    """Makes a folder read only for the rest of the test; returns the list of what was tried all the same."""

    def make(folder: Path) -> list[str]:
        DISK.folder, DISK.tried = str(folder), []
        return DISK.tried

    yield make
    DISK.folder = None


def test_the_disk_refuses(read_only: Callable[[Path], list[str]], tmp_path: Path) -> None:
    tried = read_only(tmp_path)
    with pytest.raises(OSError, match="Read-only"):
        (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OSError, match="Read-only"):
        (tmp_path / "folder").mkdir()
    assert len(tried) == 2


@pytest.mark.parametrize("page", PAGES)
def test_every_page_looks_at_a_read_only_workspace(
    show: Open, copied: Workspace, read_only: Callable[[Path], list[str]], page: str
) -> None:
    before = show(copied.folder, page)
    tried = read_only(copied.folder)
    at = show(copied.folder, page)
    assert not at.exception and said(at) == said(before)
    assert tried == [], "looking writes nothing"


def test_tables_are_read_without_writing(copied: Workspace, read_only: Callable[[Path], list[str]]) -> None:
    before = results_table(copied, "tiny")
    tried = read_only(copied.folder)
    assert results_table(copied, "tiny").equals(before) and copied.study_names() == ["tiny"]
    assert not copied.is_locked("tiny")
    assert tried == []


def test_a_lock_is_seen_without_taking_it(copied: Workspace, read_only: Callable[[Path], list[str]]) -> None:
    assert not is_held(copied.study_folder("tiny") / ".lock")
    with copied.study_lock("tiny"):
        tried = read_only(copied.folder)
        assert copied.is_locked("tiny") and tried == []
        DISK.folder = None
    assert not copied.is_locked("tiny")
