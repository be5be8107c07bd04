"""The reader of settings files: what it retypes (nothing), what it refuses, and in what words."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from metapt_explore.config import load_study, load_task, read_yaml, reading, to_yaml
from metapt_explore.config.reading import MAX_BYTES, parse_yaml
from metapt_explore.errors import UserError
from metapt_explore.results.record import Record

PACKAGE = Path(__file__).parents[2] / "metapt_explore"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("no: no\nyes: yes\non: off", {"no": "no", "yes": "yes", "on": "off"}),
        ("010: 010", {"010": "010"}),
        ("a: 1:30\nb: 2024-01-01\nc: 1e5", {"a": "1:30", "b": "2024-01-01", "c": "1e5"}),
        ("d: 1_000\ne: 0x10\nf: 0o17", {"d": "1_000", "e": "0x10", "f": "0o17"}),
        ("1: 1\n1.50: 1.50\ntrue: true\nnull: null", {"1": 1, "1.50": 1.5, "true": True, "null": None}),
        ("a: -3\nb: 1.0e-05\nc: .5\nd:\ne: ~", {"a": -3, "b": 1e-05, "c": 0.5, "d": None, "e": None}),
        ("base: &b {x: 1}\nmore: {<<: *b, y: 2}", {"base": {"x": 1}, "more": {"x": 1, "y": 2}}),
        ("\ufeffa: \"\\ud83d\\ude00\"", {"a": "😀"}),
    ],
)  # fmt: skip
def test_words_stay_what_is_written(written: str, read: Any) -> None:
    assert parse_yaml(written, "f.yaml") == read


def test_json_with_tabs_is_read_with_its_lines() -> None:
    assert parse_yaml('{\n\t"a": [1,\n\t\t"b\\/c"]\n}', "f.json", is_json=True) == {"a": [1, "b/c"]}
    with pytest.raises(UserError, match=r"f\.json: line 3: the key 'a' stands twice, in line 2 and in line 3"):
        parse_yaml('{\n\t"a": 1,\n\t"a": 2\n}', "f.json", is_json=True)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{i}: &a{i} [{', '.join(['*a' + (str(i - 1) if i else '')] * 9)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3", "line 5: the key 'c' stands twice, in line 3 and in line 5; keep one"),
        ("1: a\n'1': b", "the key '1' stands twice, in line 1 and in line 2"),
        ("<<: {a: 1}\n<<: {b: 1}", "the key '<<' stands twice"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: the tag !!python/object/apply:os.system is not read"),
        ("a: !mine 3", "the tag !mine is not read"),
        ("a: !!timestamp 2024-01-01", "the tag !!timestamp is not read"),
        ("a: 1\n---\na: 2", "a second document begins in line 2"),
        ("a:\n\tb: 1", "line 2 has a tab where spaces are needed"),
        ("a: " + "9" * 5000, "line 1: a number of 5,000 digits; 40 are read"),
        ("[" * 5000, "lists and mappings stand in one another more than 30 deep"),
        ("&a [*a]", "an alias .*holds itself"),
        (BOMB, "aliases .* more than 100,000 entries"),
        ("[" + "1," * 100_001 + "]", "more than 100,000 entries"),
        ('a: "\\ud800"', "line 1: half a character"),
        ('a: "x\\0"', "line 1: a text holds the character NUL"),
        ("a: 1\nb: \x07", r"line 2 holds a control character, U\+0007"),
        ("a: *b", "no anchor"),
        ("? [a]\n: b", "a key is a list or a mapping"),
        ("k" * 400 + ": 1", "a key of 400 characters; 300 are read"),
        ("a: !!int x", "'x' is no int"),
        ("a: b: c", "needs quotes"),
        ("a: [1", r"line \d"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_is_refused_names_the_line(written: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        parse_yaml(written, "f.yaml")
    assert str(refused.value).startswith("f.yaml") and len(str(refused.value)) < 300


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    def refused(content: bytes, said: str) -> None:
        (tmp_path / "f.yaml").write_bytes(content)
        with pytest.raises(UserError, match=said):
            read_yaml(tmp_path / "f.yaml")

    refused("a: 1".encode("utf-16"), "is UTF-16: save it as UTF-8")
    refused("a: 1\nb: é".encode("latin-1"), "line 2 is not UTF-8")
    refused(b"x" * (MAX_BYTES + 1), "holds 1,048,577 bytes; a settings file has 1,048,576 at most")
    refused(b"PK\x03\x04 not YAML", r"control character, U\+0003")
    with pytest.raises(UserError, match="is a folder"):
        read_yaml(tmp_path)
    with pytest.raises(UserError, match="is no name of a file"):
        read_yaml(Path("a\0b"))
    with pytest.raises(UserError, match="There is no file or packaged example"):
        load_study("x" * 5000)
    with pytest.raises(UserError, match=r"cannot be read|There is no file"):
        load_study("x" * 5000 + ".yaml")
    for empty in (b"", b"# nothing", b"null"):
        (tmp_path / "f.yaml").write_bytes(empty)
        with pytest.raises(UserError, match=r"f\.yaml is empty"):
            load_task(tmp_path / "f.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no named pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.yaml"])
def test_a_pipe_is_refused_at_once(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    for read in (load_study, lambda path: load_task(path.with_suffix(".yaml")), read_yaml):
        with pytest.raises(UserError, match=r"is a pipe or a device|There is no file"):
            read(tmp_path / name)
    with pytest.raises(UserError, match="is a pipe or a device"):
        load_study(tmp_path / name)


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.yaml")), ids=lambda file: file.stem)
def test_our_own_files_read_as_before(file: Path) -> None:
    """Names of classes are the only keys that YAML 1.1 could have retyped."""
    with file.open(encoding="utf-8") as stream:
        assert read_yaml(file) == yaml.safe_load(stream)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Names that YAML 1.1 or 1.2 would retype."""
    words = ["no", "010", "1:30", "2024-01-01", "1e5", "null", "~", "true", "1", "1.0", "-", "=", "<<", "0o17", "a: b"]
    labels = {word: {"value": word, "words": [f"{word} word"]} for word in words}
    task = {"name": "words", "labels": labels, "data": {"file": "rows.csv", "columns": {"label": "label"}}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    first = load_task(tmp_path / "a.yaml")
    assert set(first.labels) == set(words)
    (tmp_path / "b.yaml").write_text(to_yaml(first), encoding="utf-8")
    assert load_task(tmp_path / "b.yaml") == first


def test_a_damaged_record_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{}", encoding="utf-8")
    (tmp_path / "study.yaml").write_text("a: 1\na: 2", encoding="utf-8")
    with pytest.raises(UserError, match="stands twice"):
        Record.load(tmp_path)


def test_nothing_else_reads_yaml() -> None:
    reads = re.compile(r"yaml\.(?:safe_|full_|unsafe_)?load(?:_all)?\(|yaml\.(?:compose|parse)\(")
    files = [file.name for file in PACKAGE.rglob("*.py") if reads.search(file.read_text(encoding="utf-8"))]
    assert files == []


ODD = [
    "no", "yes", "010", "1:30", "2024-01-01", "", " ", "~", "null", "true", "1", "1.0", "0x1f", "1e3", "-", "- a",
    "a: b", "a #b", "#", "'", '"', "\\", "{text}\nSentiment:", "two\n\nlines\n", "\ttab", "ends ", "🙂", "é",
    "a\u2028b",
    "[a]", "{a: b}", "*a", "&a", "!a", "%a", "@a", "`a", "<<", "=", "?", ":", "long words " * 30, "x" * 300,
    "|", ">",
]  # fmt: skip


@pytest.mark.parametrize(
    "value", [*ODD, 0, -3, 10**30, 0.1, 1e-05, 1e300, float("inf"), True, None, [], {}, [[1], [[2]]]]
)
def test_what_this_program_writes_is_read_alike_by_both_readers(value: Any) -> None:
    tree = {"a": value, "list": [value, {"b": value}], "word": "c"}
    text = yaml.safe_dump(tree, **reading.WRITTEN)
    careful = reading._Loader(text)
    expected = reading._Values(careful).of(careful.get_single_node(), 0)
    assert expected == tree
    with suppress(reading._NotOurs):
        assert reading._as_we_write(text) == expected
    assert parse_yaml(text, "f.yaml") == expected


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_studies_of_a_workspace_are_read_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    text = to_yaml(load_study("tour"))
    expected = parse_yaml(text, "f.yaml")
    monkeypatch.setattr(reading._Loader, "get_single_node", None)
    assert parse_yaml(text, "f.yaml") == expected


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2\n", "a: &b 1\n", "a: !!int 1\n", "a:  1\n", "[" * 900, "- " * 200 + "a\n", "a: [1, 2]\n", ""]
)
def test_other_texts_are_read_with_care(text: str) -> None:
    with pytest.raises(reading._NotOurs):
        reading._as_we_write(text)
