"""The edge of the command line: however a command ends, the user reads one sentence.

A user's mistake, a refusal of the machine (disk, memory, permission) and a fault of the program have sentences and exit
codes of their own. The traceback of a fault goes into a file, never to the screen; `METAPT_DEBUG=1` shows it instead.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from metapt_explore.errors import Cancelled, TakenOver, TimeIsUp, UserError, shortened
from metapt_explore.progress.console import echo, one_line

#: Exit codes, as `docs/study.md` lists them. 75 and 70 are EX_TEMPFAIL and EX_SOFTWARE of BSD.
PARTS_FAILED, REFUSED, FAULT, LATER, STOPPED, UNREAD = 1, 2, 70, 75, 130, 141

KEPT = "Everything computed so far is kept; the same command goes on from there."
#: What the machine refused, by `errno`.
REFUSALS = {
    getattr(errno, "EDQUOT", errno.ENOSPC): "The disk quota is used up",
    errno.ENOSPC: "The disk is full",
    errno.EROFS: "The disk is read-only",
    errno.EACCES: "There is no permission",
    errno.EPERM: "There is no permission",
    errno.EMFILE: "Too many files are open",
    errno.ENFILE: "Too many files are open on this machine",
    errno.ENAMETOOLONG: "The name is too long",
    errno.EIO: "The disk cannot be read or written (a hardware error)",
    errno.ENOMEM: "There is not enough memory",
}
#: Refusals after which the same command goes on from what was computed.
RETRYABLE_ERRNOS = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.ENOMEM, errno.EIO)


class Unread(Exception):
    """The program that reads the output has ended."""


def end_well(command: Callable[[], Any]) -> int:
    """Runs a command and says how it ended.

    Args:
        command: The command line's application; it may raise anything.

    Returns:
        The exit code.
    """
    prepare_streams()
    try:
        code = _code_of(command)
        sys.stdout.flush()
        return code
    except (Unread, BrokenPipeError):
        _nobody_reads()
        return _tell("Stopped: the program that read the output has ended.", UNREAD)
    except TimeIsUp as error:
        return _tell(f"{error} {KEPT}", LATER)
    except TakenOver as error:
        return _tell(f"{error} {KEPT}", STOPPED)
    except (Cancelled, KeyboardInterrupt):
        return _tell(f"Stopped. {KEPT}", STOPPED)
    except UserError as error:
        return _tell(f"Error: {error}", error.exit_code)
    except Exception as error:
        if os.environ.get("METAPT_DEBUG", "0") not in ("", "0"):
            raise
        sentence = refusal(error)
        return _tell(f"Error: {sentence}", REFUSED) if sentence else _tell(f"Error: {fault(error)}", FAULT)


def refusal(error: BaseException) -> str | None:
    """What the machine refused, as a sentence; None for any other error."""
    if isinstance(error, MemoryError) or _out_of_memory(error):
        return (
            "There is not enough memory. Close other programs, or lower model.pass_memory_gib, model.text_state_gib "
            f"or texts.limit in the study. {KEPT}"
        )
    if isinstance(error, UnicodeEncodeError):
        text = error.object.encode("ascii", "backslashreplace").decode()
        return f"this locale ({error.encoding}) cannot name '{shortened(text)}'; set PYTHONUTF8=1."
    if not isinstance(error, OSError):
        return None
    sentence = REFUSALS.get(error.errno or 0)
    if sentence is None:
        return one_line(shortened(str(error), 300)) if error.errno is not None else None
    where = f": {one_line(error.filename)}" if error.filename else ""
    return f"{sentence}{where}." + (f" {KEPT}" if error.errno in RETRYABLE_ERRNOS else "")


def fault(error: BaseException) -> str:
    """Writes the traceback of a fault of the program into a file, and says so."""
    message = one_line(shortened(f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0], 200))
    file = keep_traceback(error)
    where = f"What happened is written to {file}; please report it with that file." if file else "Please report it."
    return f"metapt itself has failed ({message}). {where} METAPT_DEBUG=1 prints it here instead. {KEPT}"


def keep_traceback(error: BaseException) -> Path | None:
    """Writes a traceback and the command into a file that only its owner may read; None if that is impossible."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    try:
        handle, name = tempfile.mkstemp(prefix="metapt-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{' '.join(sys.argv)}\nPython {sys.version}\n\n{''.join(lines)}")
        return Path(name)
    except OSError:
        return None


def prepare_streams() -> None:
    """Makes standard streams UTF-8 if they are pipes or files, and lets no letter make printing fail.

    Python's default is the locale's encoding: ASCII under `LC_ALL=C`, a code page on Windows. `PYTHONIOENCODING` is
    respected.
    """
    codecs.register_error("as_json_escapes", _as_json_escapes)
    for stream, errors in ((sys.stdin, None), (sys.stdout, "as_json_escapes"), (sys.stderr, "as_json_escapes")):
        if hasattr(stream, "reconfigure"):
            _prepare(stream, errors)


def _prepare(stream: TextIO, errors: str | None) -> None:
    if not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
        stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[attr-defined]
    elif errors:
        stream.reconfigure(errors=errors)  # type: ignore[attr-defined]


def _as_json_escapes(error: UnicodeError) -> tuple[str, int]:
    """Letters that an encoding lacks as JSON escapes: a line of JSON keeps its meaning."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end


def _code_of(command: Callable[[], Any]) -> int:
    try:
        command()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        raise UserError(str(ended.code)) from None
    return 0


def _out_of_memory(error: BaseException) -> bool:
    """Whether torch found no memory, on a GPU or in main memory; without importing torch."""
    message = str(error)
    return type(error).__name__ == "OutOfMemoryError" or any(
        words in message for words in ("can't allocate memory", "out of memory")
    )


def _tell(sentence: str, code: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        echo(sentence, err=True)
    return code


def _nobody_reads() -> None:
    """Sends what Python still holds for the closed pipe nowhere; it would complain when it exits."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
