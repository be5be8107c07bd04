"""The moments at which a process changes files, and a process that is killed at one of them.

Every change has a moment before it and one after it, and every write one in its middle, when half of the bytes are in
the file. `install` counts the moments of this process and kills it at a chosen one, as `kill -9` does.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Functions of `os` that change a folder; pathlib and shutil call these.
CHANGES = ("replace", "rename", "unlink", "remove", "mkdir", "rmdir")


class Moments:
    """Counts the moments of this process.

    Args:
        roots: Folders whose changes count.
        die_at: The moment of its death, from 1; None lets it live.
    """

    def __init__(self, roots: tuple[Path, ...], die_at: int | None = None) -> None:
        self.roots = tuple(str(root) for root in roots)
        self.die_at, self.count = die_at, 0

    def meant(self, path: Any, options: dict[str, Any]) -> bool:
        """Whether a change of that path counts; names below an open folder do (`shutil.rmtree`)."""
        if options.get("dir_fd") is not None:
            return True
        return isinstance(path, str | os.PathLike) and str(path).startswith(self.roots)

    def passed(self) -> None:
        """One more moment; at the chosen one the process dies."""
        self.count += 1
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a moment before and one after it."""

        def changed(path: Any, *arguments: Any, **options: Any) -> Any:
            if not self.meant(path, options):
                return change(path, *arguments, **options)
            self.passed()
            result = change(path, *arguments, **options)
            self.passed()
            return result

        return changed


class HalfWritten:
    """A file whose writes have a moment in their middle."""

    def __init__(self, stream: Any, moments: Moments) -> None:
        self._stream, self._moments = stream, moments

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __enter__(self) -> HalfWritten:
        self._stream.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)
        self._moments.passed()

    def write(self, content: Any) -> int:
        """Writes one half, and the other."""
        half = len(content) // 2
        self._stream.write(content[:half])
        self._stream.flush()
        self._moments.passed()
        self._stream.write(content[half:])
        return len(content)


def install(moments: Moments) -> None:
    """Puts the moments into this process, for good: `os`, `open` and `Path.open`."""
    for name in CHANGES:
        setattr(os, name, moments.around(getattr(os, name)))
    plain, low = io.open, os.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not set(mode) & set("wax+") or not moments.meant(file, {}):
            return plain(file, mode, *arguments, **options)
        moments.passed()
        stream = plain(file, mode, *arguments, **options)
        moments.passed()
        return HalfWritten(stream, moments)

    def opened_low(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        descriptor = low(path, flags, *arguments, **options)
        if flags & os.O_CREAT and moments.meant(path, {}):
            moments.passed()
        return descriptor

    io.open = builtins.open = opened
    os.open = opened_low
