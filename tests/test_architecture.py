"""The shape of the package: imports point downwards and never in a circle, files and signatures stay small.

The layers themselves stand in `pyproject.toml` under `tool.importlinter`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "metapt_explore"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_ROOT_FILES = 8
MAX_LINES = 320
MAX_TINY_FILES, TINY_LINES = 24, 40
MAX_PARAMETERS = 7


def module_name(file: Path) -> str:
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_name(file): file for file in FILES}


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Everything that a module imports, inside functions too; what only type checkers see is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` imports the module, `from module import name` the module that holds the name.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported_names(node)


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        names = {name if name in sources else name.rpartition(".")[0] for name in imported_names(ast.parse(source))}
        graph[module] = {name for name in names if name in sources}
    return graph


def import_circles(graph: Mapping[str, set[str]]) -> list[str]:
    """One shortest circle through each module that stands in one, as `a -> b -> a`; each circle once."""
    circles: dict[frozenset[str], str] = {}
    for start in graph:
        paths = [(start,)]
        seen: set[str] = set()
        while paths and start not in seen:
            longer = []
            for path in paths:
                for target in sorted(graph[path[-1]] - seen):
                    seen.add(target)
                    longer.append((*path, target))
                    if target == start:
                        circles.setdefault(frozenset(path), " -> ".join((*path, start)))
            paths = longer
    return sorted(circles.values())


def test_imports_point_downwards() -> None:
    command = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_logo=True, cache_dir=None))"
    )
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_circle_is_found_and_printed() -> None:
    sources = {
        "p.a": "from p import b",
        "p.b": "def later():\n    from p.c import thing",
        "p.c": "import p.a",
        "p.d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p import e\nimport p.a",
        "p.e": "import p.d",
    }
    assert import_circles(import_graph(sources)) == ["p.a -> p.b -> p.c -> p.a"]


def test_no_modules_import_each_other_in_a_circle() -> None:
    circles = import_circles(import_graph({name: file.read_text(encoding="utf-8") for name, file in MODULES.items()}))
    assert not circles, "\n".join(circles)


def test_few_files_lie_in_the_root_of_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_ROOT_FILES


def line_counts(files: list[Path]) -> dict[str, int]:
    return {f"{file.relative_to(ROOT)}": len(file.read_text(encoding="utf-8").splitlines()) for file in files}


def test_no_file_is_long() -> None:
    counts = line_counts([*FILES, *sorted((ROOT / "tests").rglob("*.py"))])
    long = {file: lines for file, lines in counts.items() if lines > MAX_LINES}
    assert not long, "\n".join(f"{file}: {lines} lines" for file, lines in long.items())


def test_few_files_are_tiny() -> None:
    counts = line_counts([file for file in FILES if file.name != "__init__.py"])
    tiny = {file: lines for file, lines in counts.items() if lines < TINY_LINES}
    assert len(tiny) <= MAX_TINY_FILES, "\n".join(f"{file}: {lines} lines" for file, lines in tiny.items())


def parameter_count(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_no_function_takes_many_parameters() -> None:
    many = []
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and parameter_count(node) > MAX_PARAMETERS:
                many.append(f"{file.relative_to(ROOT)}:{node.lineno}: {node.name} takes {parameter_count(node)}")
    assert not many, "\n".join(many)


def test_the_picture_of_the_house_has_every_part() -> None:
    """Each package and root module stands in the picture of docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = page.split("```text")[1].split("```")[0].split()
    parts = {file.stem for file in PACKAGE.glob("*.py")} | {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    assert {part for part in parts if not part.startswith("__")} <= set(picture)


def stray_strings(tree: ast.AST) -> Iterator[int]:
    """Lines of strings that stand alone and are no docstring: half of a sentence that was not put into brackets.

    Streamlit writes such a line onto the page.
    """
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for place, statement in enumerate(body if isinstance(body, list) else []):
            alone = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant | ast.JoinedStr)
            text = alone and getattr(statement.value, "value", "") is not ...
            documents = place == 0 and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            if text and not documents:
                yield statement.lineno


@pytest.mark.parametrize("file", [*FILES, ROOT / "app.py"], ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_string_stands_alone(file: Path) -> None:
    assert not list(stray_strings(ast.parse(file.read_text(encoding="utf-8"))))


def test_sections_of_pages_are_headers() -> None:
    """`st.title` is an h1, `st.header` an h2; `st.subheader` is an h3, and a page would jump over a level."""
    pages = [file for file in FILES if "dashboard" in file.parts]
    assert not [file.name for file in pages if ".subheader(" in file.read_text(encoding="utf-8")], "use st.header"


def test_a_string_that_stands_alone_is_found() -> None:
    """Half of a caption; docstrings and the dots of an empty body are none."""
    source = '"""A module."""\nCAPTION = "One, "\n"two."\ndef f() -> None:\n    """Does."""\n    ...\n'
    assert list(stray_strings(ast.parse(source))) == [3]
