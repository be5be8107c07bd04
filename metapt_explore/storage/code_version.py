"""Which code made a result: the commit of a checkout, and a hash of the package's files."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
#: Files of the package that can change what is computed.
SUFFIXES = (".py", ".yaml")
#: Seconds that git may take; without its answer the hash alone is noted.
GIT_TIMEOUT_S = 10


@cache
def code_version(package: Path = PACKAGE) -> dict[str, Any]:
    """Facts on the package's code, looked up once a process.

    Returns:
        ``package_hash`` (of the names and contents of its files), and where git knows the files ``commit`` and
        ``changed``, whether they differ from it.

    Example:
        >>> sorted(code_version())[-1]
        'package_hash'
    """
    return {"package_hash": package_hash(package), **_commit(package)}


def package_hash(package: Path) -> str:
    """SHA-256 over the package's files, the same wherever they lie."""
    whole = hashlib.sha256()
    files = sorted(file for file in package.rglob("*") if file.suffix in SUFFIXES and "__pycache__" not in file.parts)
    for file in files:
        whole.update(f"{file.relative_to(package).as_posix()}\0".encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def _commit(package: Path) -> dict[str, Any]:
    # A virtual environment may lie in a repository of its user's, which does not know the files.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return {}
    commit, changes = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", "--", ".")
    return {} if not commit or changes is None else {"commit": commit, "changed": bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=GIT_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
