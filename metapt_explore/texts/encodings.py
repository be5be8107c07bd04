"""The text of a file's bytes, whatever their encoding; studies take UTF-8 only, because anything else is a guess."""

from __future__ import annotations

import codecs
import re

import chardet

from metapt_explore.texts.messages import Finding, NoTable, have, shown

#: Byte order marks, those that begin another one first.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE = "Save it as UTF-8, or let `metapt data check FILE --fix OUT.csv` do it."
OTHERWISE = " Where that is wrong, say `--encoding`."
#: Bytes that are looked at to tell an encoding.
LOOKED_AT = 200_000
#: A share of NUL bytes that no text has.
TOO_MANY_NULS = 0.1
#: Bytes beyond ASCII, and confidence, from which a rare encoding is believed where few letters are beyond ASCII.
MIN_HIGH_BYTES, MIN_CONFIDENCE = 8, 0.1
#: A share of letters beyond ASCII that only other scripts have.
OTHER_SCRIPT = 0.4


def decode(content: bytes, found: list[Finding], given: str = "") -> tuple[str, str]:
    """The text, and the name of its encoding.

    Args:
        content: The file's bytes.
        found: What is wrong is added to it.
        given: An encoding that the user names; told from the bytes where empty.

    Raises:
        NoTable: Where the bytes are no text, or no encoding has the given name.
    """
    if given:
        return _as_given(content, found, given)
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _wide(content, encoding, found)
    marks = 0
    while content.startswith(codecs.BOM_UTF8):
        content, marks = content[len(codecs.BOM_UTF8) :], marks + 1
    if marks:
        many = "a byte order mark" if marks == 1 else f"{marks} byte order marks"
        said = f"The file begins with {many} (as spreadsheets write it); it is read without."
        found.append(Finding("note", "byte order mark", said))
    if b"\x00" in content[:LOOKED_AT]:
        start = content[: LOOKED_AT - LOOKED_AT % 4]
        encoding = chardet.detect(start)["encoding"] or ""
        if encoding.lower().startswith(("utf-16", "utf-32")):
            return _wide(content, encoding.lower(), found)
        if start.count(0) > TOO_MANY_NULS * len(start):
            raise NoTable("it holds NUL bytes as no text does")
    elif b"\x1b$" in content[:LOOKED_AT]:
        # ISO 2022, which switches between alphabets by codes of plain ASCII.
        named = (chardet.detect(content)["encoding"] or "").lower()
        if named.startswith(("iso-2022", "iso2022")):
            return _wide(content, named, found)
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _by_lines(content, found)


def _as_given(content: bytes, found: list[Finding], given: str) -> tuple[str, str]:
    try:
        codec = codecs.lookup(given)
        text, _ = codec.decode(content, "replace")
    except Exception:  # each codec that is none of text has an error of its own
        raise NoTable(
            f"there is no encoding '{shown(given)}'; cp1252, shift_jis and gb18030 are names of some"
        ) from None
    if not isinstance(text, str):
        raise NoTable(f"'{shown(given)}' is no encoding of text; cp1252, shift_jis and gb18030 are")
    if codec.name != "utf-8":
        found.append(Finding("error", "encoding", f"The file is not UTF-8 but {codec.name}, as you say.", SAVE))
    return text.lstrip("\ufeff"), codec.name


def _wide(content: bytes, encoding: str, found: list[Finding]) -> tuple[str, str]:
    name = encoding.upper().replace("-LE", "").replace("-BE", "")
    found.append(Finding("error", "encoding", f"The file is {name}; studies read UTF-8.", SAVE))
    return content.decode(encoding, errors="replace").lstrip("\ufeff"), encoding


def _by_lines(content: bytes, found: list[Finding]) -> tuple[str, str]:
    """Bytes that are not UTF-8, all of them or some lines."""
    lines = content.split(b"\n")
    bad = [number for number, line in enumerate(lines, 1) if not _is_utf8(line)]
    good = sum(not line.isascii() for line in lines) - len(bad)
    beyond = b"\n".join(lines[number - 1] for number in bad)
    # A few lines of another origin, or a character that was cut: the rest is what it says it is.
    few = good > len(bad)
    encoding = _western(beyond) if few else _told(beyond)
    first = lines[bad[0] - 1].decode(encoding, errors="replace").strip()
    place = re.search(r"[^\x00-\x7f]", first)
    start = max(0, (place.start() if place else 0) - 15)
    quote = f"As {encoding} line {bad[0]} reads '…{shown(first[start : start + 30])}…'. Is that right?"
    quote += "" if encoding in ("latin-1", "cp1252") else OTHERWISE
    if few:
        said = f"{have(len(bad), 'line')} bytes that are not UTF-8, as the rest of the file is."
        found.append(Finding("error", "encoding", said, SAVE, tuple(bad), quote))
        strange = set(bad)
        text = "\n".join(
            line.decode(encoding if number in strange else "utf-8", errors="replace")
            for number, line in enumerate(lines, 1)
        )
        return text, f"utf-8 and {encoding}"
    found.append(Finding("error", "encoding", "The file is not UTF-8.", SAVE, tuple(bad), quote))
    return content.decode(encoding, errors="replace"), encoding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _told(beyond: bytes) -> str:
    """The encoding of lines that are not UTF-8, by their letters.

    A Western one, unless there is enough to tell: of three accents alone no library knows Latvian from French.
    """
    looked = beyond[:LOOKED_AT]
    told = chardet.detect(looked)
    encoding, confidence = told["encoding"], told["confidence"]
    high = sum(byte >= 0x80 for byte in looked)
    letters = high + sum(chr(byte).isalpha() for byte in looked if byte < 0x80)
    enough = high >= MIN_HIGH_BYTES and (confidence >= MIN_CONFIDENCE or high > OTHER_SCRIPT * letters)
    if not encoding or encoding.lower() in ("windows-1252", "iso-8859-1", "ascii", "utf-8") or not enough:
        return _western(beyond)
    return codecs.lookup(encoding).name


def _western(content: bytes) -> str:
    """Windows-1252, which is what most such files are, where all bytes have a meaning in it; else Latin-1."""
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    # Files without any of the bytes in which the two differ are called by the simpler name.
    return "cp1252" if re.search(rb"[\x80-\x9f]", content) else "latin-1"
