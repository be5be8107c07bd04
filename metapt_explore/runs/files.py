"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

#: Bytes up to which a table stays in memory.
SMALL = 32 * 1024


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name, flushes it to disk and renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def json_line(record: dict[str, Any]) -> str:
    """One JSON object on a line; what is missing is null, for NaN is no JSON.

    Example:
        >>> json_line({"accuracy": 0.5, "drift": float("nan"), "nearest": ["a"]})
        '{"accuracy": 0.5, "drift": null, "nearest": ["a"]}'
    """
    plain = {key: None if pd.api.types.is_scalar(value) and pd.isna(value) else value for key, value in record.items()}
    return json.dumps(plain, allow_nan=False)


def write_json(path: Path, tree: Any) -> None:
    """Writes JSON atomically."""
    write_bytes(path, (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON; None where the file is missing or damaged (a damaged artifact is made again)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes Parquet atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    table.to_parquet(temporary, index=False)
    with temporary.open("r+b") as stream:  # Windows flushes only what is open for writing
        os.fsync(stream.fileno())
    temporary.replace(path)


def read_table(path: Path) -> pd.DataFrame:
    """Reads Parquet; small tables, of which a study has hundreds, are read once for each time they were written."""
    found = path.stat()
    if found.st_size > SMALL:
        return pd.read_parquet(path)
    return _small_table(str(path), found.st_mtime_ns, found.st_size).copy()


@lru_cache(maxsize=4096)
def _small_table(path: str, changed: int, size: int) -> pd.DataFrame:
    return pd.read_parquet(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads JSON lines; a torn last line, which a killed writer may leave, is passed over."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    records = []
    for line in content.splitlines():
        try:
            records.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return records
