"""What stands in a file, as a message may show it: short, without control characters, and never what is no table."""

from __future__ import annotations

import re
from collections.abc import Iterable

from metapt_explore.errors import did_you_mean

MOST_LETTERS = 60
MOST_NAMES = 30
#: A file of one column is perhaps no table at all (a list of passwords, a private key): only a plain name is shown.
PLAIN_NAME = re.compile(r"[^\W_][\w-]{0,29}(?: [\w-]{1,20}){0,2}")


def shown(value: object, most: int = MOST_LETTERS) -> str:
    r"""A cell or a name on one line, cut where it is long, with `�` for what a terminal would act on.

    Example:
        >>> shown("a\x1b[31m\nb"), shown("word " * 3, most=8)
        ('a�[31m�b', 'word wor…')
    """
    text = str(value)
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:most])
    return plain + ("…" if len(text) > most else "")


def nearest_column(name: str, columns: Iterable[object]) -> str:
    """Says which column was probably meant; names nothing of a file that may be no table.

    Args:
        name: What was asked for.
        columns: The columns that there are.

    Example:
        >>> nearest_column("txt", ["text", "label"])
        "Did you mean 'text'? Valid: label, text."
        >>> nearest_column("text", ["root:x:0:0:root:/root:/bin/bash"])
        'It has one column, and that does not look like a table of texts.'
    """
    names = [str(column) for column in columns]
    if len(names) == 1 and not PLAIN_NAME.fullmatch(names[0]):
        return "It has one column, and that does not look like a table of texts."
    said = did_you_mean(name, [shown(column, 40) for column in names[:MOST_NAMES]])
    return said if len(names) <= MOST_NAMES else f"{said[:-1]} and {len(names) - MOST_NAMES:,} more."
