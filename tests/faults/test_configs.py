"""Settings files that somebody damaged or made up: each is read, or refused in a sentence. Nothing else happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from soak import examples
from tally import tried
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import EXAMPLES, TASK_FILES, StudyConfig, load_study, load_task, parse, to_yaml
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError

STUDY = yaml.safe_dump(tiny.study_tree(Path("/w")), sort_keys=False).encode()
TOUR = (EXAMPLES / "tour.yaml").read_bytes()
TASK = (TASK_FILES / "sst-2.yaml").read_bytes()
#: What stands in the place of a value: what YAML retypes, what no number is, what no name is, what has a meaning.
NASTY = [
    "no", "yes", "010", "1:30", "2024-01-01", "1e5", "1e300", ".inf", "-.inf", ".nan", "~", "null", "true", "-1", "0",
    "1000000000", "9" * 5000, "0.0", "-0.0", "''", '""', "[]", "{}", "[[]]", "{a: {b: {c: 1}}}", "[" * 100, "- - - -",
    "*a", "&a", "&a [*a]", "!!python/object:os.system x", "!!binary x", "!x y", "<<", "{<<: [1]}", "? [1]", "@x", "`x`",
    "%x", '"\\0"', '"\\ud800"', '"\\x1b[31m"', "'\u202ex'", "../../etc/passwd", "CON", "x" * 300, "a/b", "~nobody/x",
    "[red]", "{text}", "{text_pair}", "{mask}{mask}", "{data}/x", "$\\\\x{y}$", "|", ">", "---", "...", "\t", "# x",
    "\u2028", "\ufeff", "é", "日本語", "[1, 1]", "[true]", "[1e9]", "{1: 2, 1: 3}", "{true: 1, 'true': 2}",
]  # fmt: skip
SETTINGS = settings(
    max_examples=examples(120),
    deadline=None,
    derandomize=examples(1) == 1,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)


def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """A file after some damages: bytes, lines, values."""
    for _ in range(draw(st.integers(1, 4))):
        lines = content.split(b"\n")
        line = draw(st.integers(0, len(lines) - 1))
        how = draw(
            st.sampled_from(["byte", "cut", "insert", "drop", "twice", "value", "value", "indent", "swap", "key"])
        )
        place = draw(st.integers(0, max(len(content) - 1, 0)))
        if how == "byte":
            content = content[:place] + draw(st.binary(min_size=1, max_size=2)) + content[place + 1 :]
            continue
        if how == "cut":
            content = content[:place]
            continue
        if how == "insert":
            content = content[:place] + draw(st.sampled_from(NASTY)).encode() + content[place:]
            continue
        if how == "drop":
            del lines[line]
        elif how == "twice":
            lines.insert(draw(st.integers(0, len(lines))), lines[line])
        elif how == "indent":
            lines[line] = draw(st.sampled_from([b" ", b"\t", b"- ", b"  "])) + lines[line]
        elif how == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[line], lines[other] = lines[other], lines[line]
        elif how == "key":
            nasty = draw(st.sampled_from(NASTY)).encode()
            lines[line] = re.sub(rb"\w+:", lambda _, nasty=nasty: nasty + b":", lines[line])  # type: ignore[misc]
        else:
            key, colon, _ = lines[line].partition(b":")
            lines[line] = key + (colon or b":") + b" " + draw(st.sampled_from(NASTY)).encode()
        content = b"\n".join(lines)
    return content


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A damaged file, and whether it was a task's."""
    content, is_task = draw(st.sampled_from([(STUDY, False), (TOUR, False), (TASK, True)]))
    return changed(draw, content), is_task


def one_sentence(error: UserError) -> None:
    """What a message is: some lines that name something, nothing of Python's."""
    said = str(error)
    assert said and len(said) < 6000 and "Traceback" not in said and "object at 0x" not in said


@SETTINGS
@given(file=files())
def test_a_damaged_file_is_read_or_refused(file: tuple[bytes, bool], tmp_path: Path) -> None:
    tried("inputs")
    content, is_task = file
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    try:
        found: Any = load_task(path) if is_task else load_study(path)
    except UserError as error:
        return one_sentence(error)
    # What is read can be written, and is the same again.
    if not is_task:
        assert parse(StudyConfig, parse_yaml(to_yaml(found), "again"), "again") == found
    return None


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(NASTY)
trees = st.recursive(
    scalars, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=3)
)


@SETTINGS
@given(data=st.data())
def test_a_tree_with_anything_in_any_place_is_read_or_refused(data: st.DataObject) -> None:
    """From Python and from pages there is no file in between."""
    tried("inputs")
    tree = tiny.study_tree(Path("/w"))
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = tree
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and data.draw(st.booleans()):
                place = place[key]
                continue
            place[key] = data.draw(trees)
            break
    try:
        load_study(tree)
    except UserError as error:
        one_sentence(error)


@SETTINGS
@given(text=st.text(max_size=60) | st.lists(st.sampled_from(NASTY), max_size=6).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    tried("inputs")
    try:
        parse_yaml(text, "f.yaml")
    except UserError as error:
        one_sentence(error)


def damaged() -> list[bytes]:
    lines = TASK.split(b"\n")
    values = [line.partition(b":")[0] + b": " + nasty.encode() for line in lines[:4] for nasty in NASTY]
    return [b"\n".join([value, *lines[4:]]) for value in values][:: max(len(values) // examples(20), 1)]


@pytest.mark.parametrize("content", damaged(), ids=range(len(damaged())))
def test_the_command_line_ends_in_a_sentence(content: bytes, tmp_path: Path) -> None:
    tried("inputs")
    (tmp_path / "task.yaml").write_bytes(content)
    (tmp_path / "rows.csv").write_text("text,label\nsome text here,1\nother words there,0\n", encoding="utf-8")
    words = ["data", "check", str(tmp_path / "rows.csv"), "--task", str(tmp_path / "task.yaml")]
    done = CliRunner().invoke(metapt, words)
    assert done.exception is None or isinstance(done.exception, UserError | SystemExit), repr(done.exception)
    assert "Traceback" not in done.output and "\x1b" not in done.output
