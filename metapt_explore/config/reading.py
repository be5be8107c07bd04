"""The one reader of YAML and JSON files that people write.

Keys are text as written, and so are `no`, `yes`, `010`, `1:30` and dates, which YAML 1.1 turns into truth values and
numbers. Only `true`, `false`, `null`, plain decimal numbers and empty values are not text. Ambiguous files are refused
with the line: keys that stand twice, tags, several documents, files beyond the limits below.
"""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from metapt_explore.errors import UserError, shortened

#: Bytes of a settings file. A large study has some thousand.
MAX_BYTES = 1024 * 1024
#: Keys, values and lists of a file, those that aliases repeat counted each time.
MAX_ENTRIES = 100_000
#: Levels of lists and mappings within one another.
MAX_DEPTH = 30
#: Characters of a key.
MAX_KEY = 300
#: Digits of a whole number.
MAX_DIGITS = 40

_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
#: How settings are written (`to_yaml`).
WRITTEN: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 100}
#: Bytes, brackets, and indentation beyond which a file is read by the careful reader alone.
QUICK_BYTES, QUICK_BRACKETS, QUICK_INDENT = 256 * 1024, 500, 80
SURROGATE = re.compile("[\ud800-\udfff]")


def read_yaml(path: Path) -> Any:
    """Reads a YAML or JSON file as plain values.

    Args:
        path: The file.

    Returns:
        Dictionaries with text as keys, lists, texts, numbers, truth values, None.

    Raises:
        UserError: Naming the file, the line and what to do.
    """
    return parse_yaml(_read_text(path), str(path), is_json=path.suffix.lower() == ".json")


def parse_yaml(text: str, where: str, *, is_json: bool = False) -> Any:
    r"""Reads YAML as `read_yaml` does.

    Args:
        text: What to read.
        where: The file, for messages.
        is_json: Whether it is JSON, which may be indented with tabs.

    Example:
        >>> parse_yaml("no: 010\nyes: 2024-01-01", "labels.yaml")
        {'no': '010', 'yes': '2024-01-01'}
    """
    if is_json:
        text = re.sub(r"^[ \t]+", lambda indent: " " * len(indent[0]), text, flags=re.MULTILINE)
    else:
        with suppress(_NotOurs):
            return _as_we_write(text)
    try:
        loader = _Loader(text.lstrip("\ufeff"))
        node = loader.get_single_node()
        return None if node is None else _Values(loader).of(node, 0)
    except _Refused as refused:
        raise UserError(f"{where}: {refused}") from None
    except ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UserError(f"{where}: line {line} holds a control character, U+{int(error.character):04X}.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{where} is not valid YAML: {_problem(error)}") from None
    except (ValueError, ArithmeticError, RecursionError, LookupError, AttributeError, TypeError) as error:
        # Other errors that the library raises.
        raise UserError(f"{where} is not valid YAML ({type(error).__name__}).") from None


def _read_text(path: Path) -> str:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UserError(f"{path} is a folder; a YAML file is expected.")
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is a pipe or a device; a YAML file is expected.")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    except ValueError:
        raise UserError(f"{shortened(str(path))!r} is no name of a file.") from None
    if len(content) > MAX_BYTES:
        size = f"{max(status.st_size, len(content)):,} bytes"
        raise UserError(f"{path} holds {size}; a settings file has {MAX_BYTES:,} at most. Is it another file?")
    if encoding := _MARKS.get(content[:2]):
        raise UserError(f"{path} is {encoding}: save it as UTF-8.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path} is not valid YAML: line {line} is not UTF-8. Save the file as UTF-8.") from None


def _problem(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or "it cannot be read"
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{problem}."
    if "'\\t'" in problem:
        return f"line {mark.line + 1} has a tab where spaces are needed; indent with spaces."
    if "but found another document" in problem:
        return f"a second document begins in line {mark.line + 1}; a file holds one."
    if "undefined alias" in problem:
        problem = "an alias (*name) has no anchor (&name) before it; text that begins with * needs quotes"
    if "cannot start any token" in problem or "mapping values are not allowed" in problem:
        problem += "; text that holds `: ` or begins with a sign needs quotes"
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})."


class _Refused(Exception):
    """YAML that the library reads and this reader refuses; the message names the line."""

    def __init__(self, node: Any, said: str) -> None:
        super().__init__(f"line {_line(node)}: {said}")


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


class _Loader(Reader, Scanner, Parser, Composer, SafeConstructor, BaseResolver):
    """Composes nodes within the limits, and decides which plain words are not text."""

    def __init__(self, stream: str) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        BaseResolver.__init__(self)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH:
            raise _Refused(event, f"lists and mappings stand in one another more than {MAX_DEPTH} deep.")
        if self._nodes > MAX_ENTRIES:
            raise _Refused(event, f"more than {MAX_ENTRIES:,} entries.")
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!" and tag not in _KNOWN_TAGS:
            raise _Refused(event, f"the tag {shortened(str(tag).replace(_TAG, '!!'))} is not read; leave it out.")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for key, _ in node.value:
            written = _key(key)
            if written in first:
                raise _Refused(
                    key,
                    f"the key '{written}' stands twice, in line {first[written]} and in line {_line(key)}; keep one.",
                )
            first[written] = _line(key)
        return node


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(_TAG + tag, re.compile(rf"^(?:{pattern})$"), list(first))


_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789")
_resolve(
    "float",
    r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+0123456789.",
)
_resolve("merge", "<<", "<")
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])


def _key(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _Refused(node, "a key is a list or a mapping; a word is expected. Text with { or [ needs quotes.")
    if not node.value and not node.style:
        raise _Refused(node, "a key is empty.")
    if len(node.value) > MAX_KEY:
        raise _Refused(node, f"a key of {len(node.value):,} characters; {MAX_KEY} are read.")
    return _whole_text(node)


def _whole_text(node: Any) -> str:
    text: str = node.value
    if SURROGATE.search(text):
        # JSON writes characters beyond the first 65,536 as two halves.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if SURROGATE.search(text):
            raise _Refused(node, "half a character (an emoji that was cut).")
    if "\0" in text:
        raise _Refused(node, "a text holds the character NUL.")
    return text


class _Values:
    """Plain values of nodes."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.made = 0

    def of(self, node: Any, depth: int) -> Any:
        """The value of a node; the target of an alias is built and counted each time."""
        self.made += 1
        if self.made > MAX_ENTRIES:
            raise _Refused(node, f"aliases (*name) repeat this until there are more than {MAX_ENTRIES:,} entries.")
        if depth > MAX_DEPTH:
            raise _Refused(node, f"an alias (*name) holds itself, or stands more than {MAX_DEPTH} levels deep.")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.of(entry, depth + 1) for entry in node.value]
        return self._scalar(node)

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag != _TAG + "merge":
                entries[_key(key)] = self.of(value, depth + 1)
                continue
            parts = self.of(value, depth + 1)
            for part in reversed(parts) if isinstance(parts, list) else [parts]:
                if not isinstance(part, dict):
                    raise _Refused(key, "`<<` takes in a mapping; this is none.")
                merged |= part
        return {**merged, **entries}

    def _scalar(self, node: Any) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("str", "merge"):
            return _whole_text(node)
        if kind not in ("int", "float", "bool", "null"):
            raise _Refused(node, f"'{shortened(node.value)}' is no {kind}.")
        if kind == "int" and len(node.value) > MAX_DIGITS:
            raise _Refused(node, f"a number of {len(node.value):,} digits; {MAX_DIGITS} are read.")
        try:
            return self.loader.construct_object(node)
        except (ValueError, KeyError, ArithmeticError):
            raise _Refused(node, f"'{shortened(node.value)}' is no {kind}.") from None


class _NotOurs(Exception):
    """A text is not as this program writes it, so the careful reader has it."""


def _as_we_write(text: str) -> Any:
    """The values of a text that this program wrote, read by libyaml in a tenth of the time.

    What it reads is written again: only where that gives the very same text do both readers read the same.

    Raises:
        _NotOurs: Of any other text, and where libyaml is not there.
    """
    parser, dumper = getattr(yaml, "CSafeLoader", None), getattr(yaml, "CSafeDumper", None)
    nested = max((len(line) - len(line.lstrip(" -?")) for line in text.splitlines()), default=0)
    brackets = text.count("[") + text.count("{")
    too_much = len(text) > QUICK_BYTES or brackets > QUICK_BRACKETS or nested > QUICK_INDENT
    if parser is None or dumper is None or too_much or "&" in text or "!" in text:
        raise _NotOurs
    try:
        loader = _quick_loader(parser)(text)
        node = loader.get_single_node()
        values = None if node is None else _Values(loader).of(node, 0)
        same = values is not None and yaml.dump(values, Dumper=dumper, **WRITTEN) == text
    except (_Refused, yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
        raise _NotOurs from None
    if not same:
        raise _NotOurs
    return values


@lru_cache(maxsize=1)
def _quick_loader(parser: Any) -> Any:
    """The library's quick loader with this reader's idea of what is no text."""
    return type("_QuickLoader", (parser,), {"yaml_implicit_resolvers": _Loader.yaml_implicit_resolvers})
