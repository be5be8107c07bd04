"""Files and pipes are UTF-8, whatever the locale: on Windows, or under `LC_ALL=C`, Python takes another encoding."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [
        *(file for part in ("metapt_explore", "benchmarks", "docs", "tests") for file in (ROOT / part).rglob("*.py")),
        ROOT / "app.py",
    ]
)


def without_encoding(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls that read or write text in the encoding of the locale."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if "encoding" in given:
            continue
        if (name, len(call.args)) in (("read_text", 0), ("write_text", 1)):
            yield call
        elif name == "open" and not opens_something_else(call):
            mode = given.get("mode", next(iter(call.args[is_builtin(call) :]), None))
            if mode is None or (isinstance(mode, ast.Constant) and "b" not in str(mode.value)):
                yield call
        elif (
            isinstance(text := given.get("text", given.get("universal_newlines")), ast.Constant) and text.value is True
        ):
            yield call


def is_builtin(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name)


def opens_something_else(call: ast.Call) -> bool:
    """`zipfile`, `tarfile`, `gzip`, `os.open`, `webbrowser` …: bytes, or nothing at all."""
    of = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(of, ast.Name) and of.id in ("os", "webbrowser", "tarfile", "gzip", "Image", "archive", "zipped")


def test_all_text_is_written_and_read_as_utf_8() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{call.lineno}"
        for file in FILES
        for call in without_encoding(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert not found, f'say encoding="utf-8" in {found}'


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("path.read_text()", 1),
        ("path.read_text(encoding='utf-8')", 0),
        ("path.write_text('é')", 1),
        ("open('x')", 1),
        ("open('x', 'rb')", 0),
        ("path.open()", 1),
        ("path.open('a')", 1),
        ("path.open('wb')", 0),
        ("subprocess.run(['x'], text=True)", 1),
    ],
)
def test_what_is_found(code: str, count: int) -> None:
    assert len(list(without_encoding(ast.parse(code)))) == count
