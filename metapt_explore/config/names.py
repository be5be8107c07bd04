"""Checks of names: one for names of folders, one for names in tables and keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from metapt_explore.config.limits import LONGEST_NAME, LONGEST_TEXT
from metapt_explore.errors import UserError, did_you_mean

#: Control characters, line ends, and characters that reverse the reading direction.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
#: Names that Windows keeps for devices, whatever their ending.
RESERVED = frozenset(["con", "prn", "aux", "nul", *(f"{of}{n}" for of in ("com", "lpt") for n in range(1, 10))])
#: Letters of other scripts are refused: they have several encodings, which file systems treat differently.
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check_name(name: str) -> str:
    """Refuses a name that tables, messages and addresses cannot show in one line.

    Raises:
        ValueError: Saying what is wrong with it.
    """
    if not name.strip():
        raise ValueError("is blank; a name is expected")
    if name != name.strip():
        raise ValueError("a name begins or ends with a space")
    if hidden := HIDDEN.search(name):
        raise ValueError(f"a name holds the control character U+{ord(hidden[0]):04X}")
    return name


def check_folder_name(name: str) -> str:
    """Refuses a name that cannot be a folder's on every machine.

    Raises:
        ValueError: Saying what is wrong with it.

    Example:
        >>> check_folder_name("reviews-2024.1")
        'reviews-2024.1'
    """
    if not PLAIN.fullmatch(name):
        raise ValueError("a name has the letters A to Z, digits, and . _ - after the first character: it is a folder's")
    if name.endswith("."):
        raise ValueError("a name that is a folder's does not end with a full stop")
    if name.split(".")[0].lower() in RESERVED:
        raise ValueError(f"Windows keeps the name '{name.split('.')[0]}' for a device; choose another")
    return name


#: What a method, a clustering, a baseline or a task is called.
Name = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(check_name)]
#: What a study is called.
FolderName = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(check_folder_name)]
#: A template, a word, a description.
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


#: Something with a `name`.
Named = TypeVar("Named", bound=Any)


def by_name(entries: Sequence[Named], name: str, kind: str) -> Named:
    """The entry of that name.

    Args:
        entries: What has a `name` each.
        name: Which.
        kind: What to call them in messages.

    Raises:
        UserError: Where there is none; the nearest is named.
    """
    for entry in entries:
        if entry.name == name:
            return entry
    raise UserError(f"The study has no {kind} '{name}'. {did_you_mean(name, [entry.name for entry in entries])}")
