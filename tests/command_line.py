"""Runs a command of `metapt` in this process."""

from __future__ import annotations

import sys

import pytest

from metapt_explore.cli.main import main


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit code of ``metapt WORDS``."""
    monkeypatch.setattr(sys, "argv", ["metapt", *map(str, words)])
    try:
        main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0
