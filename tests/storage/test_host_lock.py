"""A lock between machines whose kernels do not see each other's locks: heartbeats decide."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout
from other_host import end, line, on_another_machine
from waiting import wait

from metapt_explore.errors import TakenOver, UserError
from metapt_explore.storage import hosts, presence
from metapt_explore.storage.artifact import Question
from metapt_explore.storage.files import leftovers, read_json, temporary_name, write_json
from metapt_explore.storage.host_lock import HostLock, holder, is_locked, owner_of
from metapt_explore.storage.making import making
from metapt_explore.storage.processes import identity
from metapt_explore.storage.stage_file import read_stage
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import read_job, working_on

#: Holds a lock until it may go on.
HOLD = """
lock = host_lock.HostLock(workspace.folder / "a.lock", workspace.folder)
lock.acquire()
print("held", flush=True)
sys.stdin.read()
lock.release()
"""
#: Takes a lock, however alive its owner may be, and keeps it.
SEIZE = """
presence.LEASE_S = 0.2
lock = host_lock.HostLock(workspace.folder / sys.argv[2], workspace.folder)
lock.acquire(timeout=60)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    workspace = Workspace(tmp_path / "workspace")
    workspace.folder.mkdir()
    return workspace.folder


@pytest.fixture(autouse=True)
def nothing_watched() -> Iterator[None]:
    presence._watched.clear()
    yield
    presence._watched.clear()


def test_a_lock_of_another_machine_is_respected_until_it_is_free(folder: Path) -> None:
    other = on_another_machine(HOLD, folder)
    assert line(other) == "held"
    lock = HostLock(folder / "a.lock", folder)
    assert is_locked(lock.file, folder)
    with pytest.raises(Timeout):
        lock.acquire(timeout=0)  # waits until the other is seen to be alive
    assert (holder(lock.file, folder) or {})["host"] == "second"
    assert end(other) == 0
    assert not is_locked(lock.file, folder)
    with lock:
        assert is_locked(lock.file, folder) and lock.is_ours
    assert not list((folder / presence.FOLDER).iterdir()) and not owner_of(lock.file).exists()


def test_the_lock_of_a_machine_that_is_gone_is_taken_after_a_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = on_another_machine(HOLD, folder)
    assert line(other) == "held"
    other.send_signal(signal.SIGKILL)
    other.communicate()
    lock, told = HostLock(folder / "a.lock", folder), []
    with pytest.raises(Timeout):
        lock.acquire(timeout=0, patient=False)
    assert is_locked(lock.file, folder), "nobody knows yet"
    monkeypatch.setattr(presence, "LEASE_S", 0.3)
    lock.acquire(timeout=0, on_doubt=told.append)
    assert lock.is_ours and told == ["second"]
    lock.release()


def test_who_slept_too_long_notices_that_its_lock_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 1e6)  # as if this machine slept
    lock = HostLock(folder / "a.lock", folder)
    lock.acquire()
    other = on_another_machine(SEIZE, folder, "a.lock")
    assert line(other) == "held"
    assert not lock.is_ours
    lock._look()
    assert lock.lost
    lock.release()
    assert (holder(lock.file, folder) or {})["host"] == "second", "what is the other's now stays"
    assert end(other) == 0


def test_a_study_that_was_taken_over_stops_and_writes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(folder)
    with pytest.raises(TakenOver, match="another host goes on"), working_on(workspace, "one") as progress:
        lock_file = workspace.study_folder("one") / ".lock"
        write_json(owner_of(lock_file), {**identity(), "boot": "another", "host": "second"})
        job = {"status": "running", "pid": 1}
        write_json(workspace.study_folder("one") / "job.json", job)
        wait(lambda: _beats_once(workspace.folder) and _raises(progress))
        progress.advance(1)
    assert read_job(workspace, "one") == job


def _beats_once(folder: Path) -> bool:
    for look in list(presence._presences[folder].on_beat):
        look()
    return True


def _raises(progress: Any) -> bool:
    try:
        progress.advance(1)
    except TakenOver:
        return True
    return False


def test_an_artifact_that_was_taken_over_is_not_marked(tmp_path: Path) -> None:
    ours = [True]
    question = Question("prompt", "a prompt", 1, {"steps": 2})
    with (
        pytest.raises(TakenOver),
        making(tmp_path, question, {}, is_ours=lambda: ours[0]) as out,
    ):
        out.write_summary({"rows": 1})
        ours[0] = False
    assert read_stage(tmp_path)["status"] == "running", "the other host says how it ends"


def test_another_hosts_run_is_named(folder: Path) -> None:
    workspace = Workspace(folder)
    script = """
from metapt_explore.study.job_file import working_on
with working_on(workspace, "one"):
    print("held", flush=True)
    sys.stdin.read()
"""
    other = on_another_machine(script, folder)
    assert line(other) == "held"
    with pytest.raises(UserError, match="Another process on 'second' is already running the study 'one'"):
        working_on(workspace, "one").__enter__()
    assert workspace.is_locked("one")
    assert end(other) == 0
    assert read_json(workspace.study_folder("one") / "job.json")["status"] == "done"


# --------------------------------------------------------------------------------------- heartbeats


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("looks", "alive"),
    [
        # (seconds since the last look, whether it has beaten meanwhile), and whether it counts as alive at the end.
        ([(5.0, True)] * 10, True),
        ([(5.0, False)] * 23, True),  # 115 s late
        ([(5.0, False)] * 25, False),
        ([(5.0, False)] * 23 + [(5.0, True)] + [(5.0, False)] * 23, True),
        ([(8 * 3600.0, False)], True),  # this machine slept, and so may the other
        ([(8 * 3600.0, False)] * 11, True),
        ([(8 * 3600.0, False)] * 12, False),
    ],
)
def test_only_silence_that_somebody_watched_is_death(
    folder: Path, monkeypatch: pytest.MonkeyPatch, looks: list[tuple[float, bool]], alive: bool
) -> None:
    clock = Clock()
    monkeypatch.setattr(presence, "time", clock)
    process = {**identity(), "boot": "another", "host": "second"}
    file, beat = presence.file_of(folder, process), 0
    write_json(file, {**process, "beat": beat})
    assert presence.is_alive(process, folder)
    for seconds, beats in looks:
        clock.now += seconds
        beat += beats
        write_json(file, {**process, "beat": beat})
        known = presence.is_alive(process, folder)
    assert known == alive
    assert presence.is_alive({**process, "pid": -1}, folder) is False


@pytest.mark.parametrize(
    ("place", "alive"),
    [
        ({}, False),  # the machine was restarted: nothing of before lives
        ({"host": "another"}, True),
        ({"machine": "another"}, True),
        ({"machine": ""}, True),
        ({"namespace": "4026532179"}, True),  # a container: its image may hold the machine's id
    ],
)
def test_what_ran_before_a_restart_of_this_machine_is_dead(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: dict[str, str], alive: bool
) -> None:
    here = hosts.Host("box", "boot-2", hosts.NO_CONTAINER, "machine")
    monkeypatch.setattr(presence, "this_host", lambda: here)
    before = {"host": "box", "boot": "boot-1", "namespace": hosts.NO_CONTAINER, "machine": "machine", **place}
    process = {"pid": 7, "created": 1.0, **before}
    write_json(presence.file_of(folder, process), process)
    assert presence.is_alive(process, folder) == alive


def test_a_later_process_of_the_same_number_is_another(folder: Path) -> None:
    process = {**identity(), "boot": "another", "host": "second"}
    write_json(presence.file_of(folder, process), {**process, "beat": 1})
    assert presence.is_alive(process, folder)
    assert not presence.is_alive({**process, "created": 1.0}, folder)


def test_identities_of_earlier_versions_are_of_this_host() -> None:
    old = {key: identity()[key] for key in ("pid", "created")}  # type: ignore[literal-required]
    assert presence.is_alive(old, Path("nowhere"))
    assert not presence.is_alive({**old, "created": 1.0}, Path("nowhere"))


def test_temporary_files_of_another_host_are_left_until_it_is_known_to_be_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        there.setattr(hosts, "_boot", lambda: "another")
        there.setattr(hosts, "_machine", lambda: "another")
        hosts.this_host.cache_clear()
        name = temporary_name(folder / "index.json").name
        process = identity()
    hosts.this_host.cache_clear()
    (folder / name).write_text("half", encoding="utf-8")
    write_json(presence.file_of(folder, process), process)
    assert list(leftovers(folder)) == []

    def found() -> list[Path]:
        return list(leftovers(folder, is_gone=lambda host, pid: presence.is_gone(folder, host, pid)))

    assert found() == []
    presence.file_of(folder, process).unlink()
    assert found() == [folder / name]


def test_the_heartbeat_of_a_process_changes_and_ends_with_its_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with presence.present(folder) as shown:
        before = shown.file.read_bytes()
        shown.beat()
        assert shown.file.read_bytes() != before and len(shown.file.read_bytes()) == len(before)
        with presence.present(folder) as again:
            assert again is shown
        assert shown.file.exists()
    shown.beat()  # late: writes nowhere
    assert not shown.file.exists()
    with suppress(FileNotFoundError):
        assert not list((folder / presence.FOLDER).iterdir())


def test_a_workspace_holds_no_database(finished: Path) -> None:
    """SQLite's locks and its write-ahead log do not work on shared disks."""
    heads = [file.open("rb").read(15) for file in finished.rglob("*") if file.is_file()]
    assert heads and b"SQLite format 3" not in heads
    package = Path(presence.__file__).parents[1]
    users = [file.name for file in package.rglob("*.py") if "sqlite3" in file.read_text(encoding="utf-8")]
    assert users == []
