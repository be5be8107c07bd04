"""The public API: docs/api.md lists exactly `__all__`, its examples run, the rest says that it is internal."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import metapt_explore as mp

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "metapt_explore"
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)
DIRECTIVE = re.compile(r"^\.\. auto(?:function|class|exception|module):: (?:metapt_explore\.)?(\w+)$", re.M)
#: Packages whose names are public, too.
PUBLIC_MODULES = ("plots", "statistics")


def test_the_page_lists_what_is_public() -> None:
    listed = DIRECTIVE.findall(PAGE)
    assert sorted(listed) == sorted(mp.__all__) and len(set(listed)) == len(listed)


def test_each_public_name_is_there_and_documented() -> None:
    silent = [name for name in mp.__all__ if not (getattr(mp, name).__doc__ or "").strip()]
    assert not silent
    for module in PUBLIC_MODULES:
        assert all(getattr(getattr(mp, module), name).__doc__ for name in getattr(mp, module).__all__)


def test_each_public_name_stands_in_an_example() -> None:
    used = {
        node.attr
        for block in BLOCKS
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mp"
    }
    assert set(mp.__all__) <= used


def test_public_functions_have_types() -> None:
    functions = [getattr(mp, name) for name in mp.__all__]
    functions += [
        getattr(getattr(mp, module), name) for module in PUBLIC_MODULES for name in getattr(mp, module).__all__
    ]
    untyped = []
    for function in functions:
        if hasattr(function, "__code__"):
            names = function.__code__.co_varnames[: function.__code__.co_argcount + function.__code__.co_kwonlyargcount]
            if not {*names, "return"} <= set(function.__annotations__):
                untyped.append(function.__qualname__)
    assert not untyped


def test_the_examples_run(
    world: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the tiny study in place of the tour, and with a file of its own."""
    monkeypatch.setenv("METAPT_WORKERS", "0")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "workspace")
    rows = [f"a {word} book number {number},{word}" for number in range(20) for word in ("good", "bad")]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    names = {'"tour"': repr(str(world / "tiny.yaml")), '"rotten_tomatoes")\nmp': '"mood")\nmp'}
    names |= {'"smollm2-135m"': repr(str(world / "lm"))}
    names |= {'load_task("rotten_tomatoes")': f"load_task({str(world / 'mood.yaml')!r})"}
    code = "\n".join(BLOCKS)
    for name, own in names.items():
        assert name in code
        code = code.replace(name, own)
    namespace: dict[str, object] = {}
    exec(compile(code, "docs/api.md", "exec"), namespace)
    assert len(namespace["answers"]) == 2  # type: ignore[arg-type]
    assert "queued" in capsys.readouterr().out


def test_packages_say_that_they_are_internal() -> None:
    packages = sorted(file.parent for file in PACKAGE.rglob("__init__.py") if file.parent != PACKAGE)
    quiet = []
    for folder in packages:
        name = ".".join(folder.relative_to(PACKAGE).parts)
        says = "Internal: only names directly under `metapt_explore` are public." in (
            ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        )
        if says == (name in PUBLIC_MODULES):
            quiet.append(name)
    assert not quiet


def test_importing_is_light_and_names_are_offered() -> None:
    code = (
        "import sys, metapt_explore as mp\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'pydantic', 'plotly') if m in sys.modules])\n"
        "assert set(mp.__all__) <= set(dir(mp))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8", env=environment)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'metapt'"):
        _ = mp.metapt


def test_the_version_stands_in_one_place() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == mp.__version__
    settings = import_module("tomllib").loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in settings["project"] and settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "metapt_explore.__version__"}
