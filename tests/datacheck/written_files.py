"""Files to check, written line by line, and what was found in them."""

from __future__ import annotations

from pathlib import Path

from metapt_explore.config import Columns
from metapt_explore.texts.messages import Finding

LABELLED = Columns(text="text", label="label")


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def kinds(findings: tuple[Finding, ...] | list[Finding]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {finding.kind: (finding.level, finding.rows) for finding in findings}
