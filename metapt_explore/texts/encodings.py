"""Decodes a file in any encoding. Studies take UTF-8 only, because any other encoding is a guess."""

from __future__ import annotations

import codecs
import re

import chardet

from metapt_explore.texts.messages import Finding, NoTable, have, shown

#: Byte order marks, the longer first: one begins with another.
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAVE_AS_UTF8 = "Save it as UTF-8, or let `metapt data check FILE --fix OUT.csv` do it."
OR_SAY_ENCODING = " Where that is wrong, say `--encoding`."
#: Bytes read to guess an encoding.
SAMPLE_BYTES = 200_000
#: Share of NUL bytes above which a file is not text.
TOO_MANY_NULS = 0.1
#: Non-ASCII bytes and confidence needed to believe a rare encoding if few letters are non-ASCII.
MIN_HIGH_BYTES, MIN_CONFIDENCE = 8, 0.1
#: Share of non-ASCII letters that only non-Latin scripts have.
OTHER_SCRIPT = 0.4


def say_encoding(name: str) -> str:
    """An encoding's name for people.

    Example:
        >>> say_encoding("cp1252"), say_encoding("utf-8 and latin-1"), say_encoding("koi8-r")
        ('Windows-1252', 'UTF-8 and Latin-1', 'KOI8-R')
    """
    parts = [re.sub(r"^cp(?=12\d\d)", "Windows-", part.lower()) for part in name.split(" and ")]
    parts = [re.sub(r"^iso-?8859", "iso-8859", part) for part in parts]
    return " and ".join(part if part.startswith("Windows") else _CASED.get(part, part.upper()) for part in parts)


_CASED = {"latin-1": "Latin-1", "iso-8859-1": "Latin-1", "mac-roman": "Mac Roman"}


def decode(content: bytes, findings: list[Finding], given: str = "") -> tuple[str, str]:
    """The text, and the name of its encoding.

    Args:
        content: The file's bytes.
        findings: Problems are appended to it.
        given: An encoding that the user names; told from the bytes where empty.

    Raises:
        NoTable: If the bytes are not text, or no encoding has the given name.
    """
    if given:
        return _as_given(content, findings, given)
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _wide(content, encoding, findings)
    marks = 0
    while content.startswith(codecs.BOM_UTF8):
        content, marks = content[len(codecs.BOM_UTF8) :], marks + 1
    if marks:
        many = "a byte order mark" if marks == 1 else f"{marks} byte order marks"
        message = f"The file begins with {many} (as spreadsheets write it); it is read without."
        findings.append(Finding("note", "byte order mark", message))
    if b"\x00" in content[:SAMPLE_BYTES]:
        start = content[: SAMPLE_BYTES - SAMPLE_BYTES % 4]
        encoding = chardet.detect(start)["encoding"] or ""
        if encoding.lower().startswith(("utf-16", "utf-32")):
            return _wide(content, encoding.lower(), findings)
        if start.count(0) > TOO_MANY_NULS * len(start):
            raise NoTable("it holds NUL bytes as no text does")
    elif b"\x1b$" in content[:SAMPLE_BYTES]:
        # ISO 2022, which switches between alphabets by codes of plain ASCII.
        named = (chardet.detect(content)["encoding"] or "").lower()
        if named.startswith(("iso-2022", "iso2022")):
            return _wide(content, named, findings)
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _by_lines(content, findings)


def _as_given(content: bytes, findings: list[Finding], given: str) -> tuple[str, str]:
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
        findings.append(
            Finding("error", "encoding", f"The file is not UTF-8 but {codec.name}, as you say.", SAVE_AS_UTF8)
        )
    return text.lstrip("\ufeff"), codec.name


def _wide(content: bytes, encoding: str, findings: list[Finding]) -> tuple[str, str]:
    name = encoding.upper().replace("-LE", "").replace("-BE", "")
    findings.append(Finding("error", "encoding", f"The file is {name}; studies read UTF-8.", SAVE_AS_UTF8))
    return content.decode(encoding, errors="replace").lstrip("\ufeff"), encoding


def _by_lines(content: bytes, findings: list[Finding]) -> tuple[str, str]:
    """Decodes bytes of which some lines or all are not UTF-8."""
    lines = content.split(b"\n")
    bad_lines = [number for number, line in enumerate(lines, 1) if not _is_utf8(line)]
    good_lines = sum(not line.isascii() for line in lines) - len(bad_lines)
    not_utf8 = b"\n".join(lines[number - 1] for number in bad_lines)
    # A few lines from elsewhere, or a cut character: the rest is UTF-8.
    mostly_utf8 = good_lines > len(bad_lines)
    encoding = _western(not_utf8) if mostly_utf8 else _guess_encoding(not_utf8)
    first = lines[bad_lines[0] - 1].decode(encoding, errors="replace").strip()
    first_beyond = re.search(r"[^\x00-\x7f]", first)
    start = max(0, (first_beyond.start() if first_beyond else 0) - 15)
    quote = f"As {encoding} line {bad_lines[0]} reads '…{shown(first[start : start + 30])}…'. Is that right?"
    quote += "" if encoding in ("latin-1", "cp1252") else OR_SAY_ENCODING
    if mostly_utf8:
        message = f"{have(len(bad_lines), 'line')} bytes that are not UTF-8, as the rest of the file is."
        findings.append(Finding("error", "encoding", message, SAVE_AS_UTF8, tuple(bad_lines), quote))
        strange = set(bad_lines)
        text = "\n".join(
            line.decode(encoding if number in strange else "utf-8", errors="replace")
            for number, line in enumerate(lines, 1)
        )
        return text, f"utf-8 and {encoding}"
    findings.append(Finding("error", "encoding", "The file is not UTF-8.", SAVE_AS_UTF8, tuple(bad_lines), quote))
    return content.decode(encoding, errors="replace"), encoding


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _guess_encoding(not_utf8: bytes) -> str:
    """Guesses the encoding of lines that are not UTF-8.

    Western, unless there is enough text: from three accents no library can tell Latvian from French.
    """
    sample = not_utf8[:SAMPLE_BYTES]
    guess = chardet.detect(sample)
    encoding, confidence = guess["encoding"], guess["confidence"]
    high = sum(byte >= 0x80 for byte in sample)
    letters = high + sum(chr(byte).isalpha() for byte in sample if byte < 0x80)
    enough = high >= MIN_HIGH_BYTES and (confidence >= MIN_CONFIDENCE or high > OTHER_SCRIPT * letters)
    if not encoding or encoding.lower() in ("windows-1252", "iso-8859-1", "ascii", "utf-8") or not enough:
        return _western(not_utf8)
    return codecs.lookup(encoding).name


def _western(content: bytes) -> str:
    """Windows-1252 (the usual case) if all bytes are valid in it; else Latin-1."""
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    # Without a byte in which the two differ, the simpler name.
    return "cp1252" if re.search(rb"[\x80-\x9f]", content) else "latin-1"
