"""The command line in locales that are not UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml

#: A C locale without Python's own cure, and an encoding that somebody asked for.
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
}


def metapt(locale: str, *words: str | Path, given: bytes = b"") -> tuple[int, bytes, bytes]:
    unset = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    command = [sys.executable, "-m", "metapt_explore", *map(str, words)]
    done = subprocess.run(command, env={**unset, **LOCALES[locale]}, input=given, capture_output=True)
    assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("locale", ["C", "ascii"])
def test_a_study_is_run_whatever_the_locale(locale: str, world: Path, tmp_path: Path) -> None:
    """Progress, tables and JSON, with names that the locale does not have."""
    name = "größer → 東京"
    tree = tiny.study_tree(world)
    tree["clusterings"] = [{"name": name, "algorithm": "kmeans", "n_clusters": 4}]
    tree["methods"] = [{"name": name, "kind": "metapt", "clustering": name}]
    tree["evaluation"]["tasks"] = tree["evaluation"]["tasks"][:1]
    tree["pretraining"]["steps"] = 2
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    workspace = ("--workspace", tmp_path / "ws")
    code, out, error = metapt(locale, "run", file, *workspace)
    assert code == 0, error
    shown = out.decode({"C": "utf-8"}.get(locale, locale))
    assert ("größer" in shown) == (locale == "C")
    code, out, error = metapt(locale, "results", "--json", *workspace)
    assert code == 0, error
    assert {json.loads(line)["method"] for line in out.decode({"C": "utf-8"}.get(locale, locale)).splitlines()} == {
        name
    }


@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_missing_is_named(locale: str, tmp_path: Path) -> None:
    code, _, error = metapt(locale, "run", tmp_path / "größe.yaml", "--workspace", tmp_path / "ws")
    assert code == 2 and error.startswith(b"Error: ")
    # A folder that the file system cannot be asked for in ASCII.
    file = tmp_path / "study.yaml"
    file.write_text("name: größe\n", encoding="utf-8")
    assert metapt(locale, "run", file, "--workspace", tmp_path / "ws")[0] == 2


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("words", [("--help",), ("tasks",), ("starters",), ("run", "--help")])
def test_help_and_lists_are_printed(locale: str, words: tuple[str, ...]) -> None:
    assert metapt(locale, *words)[0] == 0
