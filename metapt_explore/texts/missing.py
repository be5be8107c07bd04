"""Words that stand where nothing was: what libraries and spreadsheets write for a cell without a value."""

from __future__ import annotations

from collections.abc import Collection

#: Compared without case.
MISSING_WORDS = frozenset(
    ("nan", "none", "null", "n/a", "na", "nat", "<na>", "-", "--", "?", "#n/a", "#na", "#value!")
) | {"#ref!", "#name?", "#div/0!", "#null!", "#num!"}


def reads_as_missing(text: str) -> bool:
    """Whether a cell probably means that there is nothing.

    Example:
        >>> reads_as_missing("NaN"), reads_as_missing(" n/a "), reads_as_missing("nanny")
        (True, True, False)
    """
    return text.strip().casefold() in MISSING_WORDS


def missing_among(labels: Collection[str]) -> set[str]:
    """Labels that probably mean that there is none; a minus beside a plus is a sign.

    Example:
        >>> missing_among({"good", "bad", "NaN"}), missing_among({"+", "-"})
        ({'NaN'}, set())
    """
    signs = {"-"} if any(label.strip() == "+" for label in labels) else set()
    return {label for label in labels if reads_as_missing(label) and label.strip() not in signs}
