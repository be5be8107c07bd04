"""However a command ends, a person reads one sentence and no traceback."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metapt_explore.cli.boundary import end_well
from metapt_explore.errors import Cancelled, TimeIsUp, UserError

ROOT = Path(__file__).parents[2]


def ending(error: BaseException) -> Callable[[], Any]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("shots: too many"), 2, "Error: shots: too many"),
        (OSError(errno.ENOSPC, "No space left", "/w/file"), 2, "Error: The disk is full: /w/file. Everything computed"),
        (OSError(errno.EROFS, "x", "/w"), 2, "Error: The disk is read-only: /w"),
        (PermissionError(errno.EACCES, "x", "/w"), 2, "Error: There is no permission: /w"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/w\x1b"), 2, r"No such file.*\\x1b"),
        (MemoryError(), 2, "Error: There is not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 2, "not enough memory"),
        (TimeIsUp("10 minutes are over."), 75, "10 minutes are over. Everything computed so far is kept"),
        (Cancelled(), 130, "Stopped. Everything computed so far is kept"),
        (KeyboardInterrupt(), 130, "Stopped."),
        (BrokenPipeError(), 141, "Stopped: the program that read the output has ended"),
        (ValueError("bad\nlines"), 70, r"metapt itself has failed \(ValueError: bad\)"),
        (RecursionError(), 70, "RecursionError"),
        (KeyError("x" * 5000), 70, "KeyError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_end_is_one_sentence(
    error: BaseException, code: int, said: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("metapt_explore.cli.boundary._nobody_reads", lambda: None)
    assert end_well(ending(error)) == code
    told = capfd.readouterr().err
    assert re.search(said, told) and "Traceback" not in told
    assert len(told.splitlines()) == 1 and len(told) < 600


def test_a_fault_keeps_its_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert end_well(ending(ZeroDivisionError("of \x1b[31mours"))) == 70
    (kept,) = tmp_path.iterdir()
    told = capfd.readouterr().err
    assert str(kept) in told and "METAPT_DEBUG=1" in told and "\x1b" not in told
    assert "Traceback" in kept.read_text(encoding="utf-8") and "test_boundary.py" in kept.read_text(encoding="utf-8")
    if os.name == "posix":
        assert kept.stat().st_mode & 0o077 == 0, "others can read it"
    monkeypatch.setenv("METAPT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        end_well(ending(ZeroDivisionError()))


def test_a_fault_is_told_where_nothing_can_be_written(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**named: str) -> None:
        raise OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert end_well(ending(ValueError("x"))) == 70
    assert "Please report it." in capfd.readouterr().err


def metapt(*words: str, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "metapt_explore", *words]
    environment = {**os.environ, "METAPT_WORKERS": "0", **more.pop("env", {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8", **more}
    return subprocess.Popen(command, env=environment, cwd=ROOT, **pipes)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_is_a_sentence(world: Path, tmp_path: Path) -> None:
    """A study waits in a queue that nobody works on, and the command waits for it."""
    assert metapt("run", str(world / "tiny.yaml"), "--queue", "-w", str(tmp_path)).wait(300) == 0
    code = (
        "import sys, metapt_explore.cli.jobs as jobs\n"
        "def tell(seconds): print('waiting', flush=True); real(30)\n"
        "real, jobs.time.sleep = jobs.time.sleep, tell\n"
        f"sys.argv = ['metapt', 'jobs', '--wait', '-w', {str(tmp_path)!r}]\n"
        "from metapt_explore.cli.main import main\nmain()"
    )
    waiting = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "METAPT_WORKERS": "0"},
        encoding="utf-8",
    )  # fmt: skip
    assert waiting.stdout is not None and waiting.stdout.readline() == "waiting\n"
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=120)
    assert waiting.returncode == 130 and told.startswith("Stopped.") and "Traceback" not in told


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_a_sentence() -> None:
    read, write = os.pipe()
    os.close(read)
    done = metapt("starters", stdout=write)
    os.close(write)
    _, told = done.communicate(timeout=300)
    assert done.returncode == 141 and told == "Stopped: the program that read the output has ended.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no full device")
def test_a_full_disk_behind_the_output_is_a_sentence() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = metapt("starters", stdout=full)
    _, told = done.communicate(timeout=300)
    assert done.returncode == 2 and told.startswith("Error: The disk is full") and "Traceback" not in told


def test_a_terminal_that_lacks_letters_ends_nothing() -> None:
    done = metapt("tasks", "trec", env={"PYTHONIOENCODING": "ascii"})
    out, told = done.communicate(timeout=300)
    assert done.returncode == 0 and "trec" in out and told == ""
