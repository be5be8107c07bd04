"""The one error that users read, and what helps to write its message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class UserError(Exception):
    """Something in the user's input is wrong; the message names it and says what to do.

    The command line prints the message and exits with code 2, a page shows it in a box; no traceback is shown.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code = 2


#: Most characters of a foreign text that a message quotes, and most names that it lists.
QUOTED, LISTED = 80, 20


def shortened(text: str, length: int = QUOTED) -> str:
    """A foreign text, short enough for a message.

    Example:
        >>> shortened("a" * 100) == "a" * 79 + "…"
        True
    """
    return text if len(text) <= length else text[: length - 1] + "…"


class Cancelled(Exception):
    """The work was asked to stop; what was computed is kept."""


class TimeIsUp(Cancelled):
    """The time limit of the work is over; what was computed is kept."""


class TakenOver(Cancelled):
    """Another host goes on with the work, since this process showed no sign of life for minutes."""


def did_you_mean(name: str, valid: Iterable[object]) -> str:
    """Says which valid name was probably meant.

    Args:
        name: What the user wrote.
        valid: The names that exist.

    Returns:
        A sentence such as ``Did you mean 'kmeans'? Valid: hdbscan, kmeans.``

    Example:
        >>> did_you_mean("kmean", ["kmeans", "hdbscan"])
        "Did you mean 'kmeans'? Valid: hdbscan, kmeans."
    """
    names = sorted(str(candidate) for candidate in valid)
    if not names:
        return "There is none."
    # Comparing takes time with the length; nobody means a name of a thousand letters.
    close = get_close_matches(str(name)[:QUOTED], names[:1000], n=1, cutoff=0.5)
    hint = f"Did you mean '{shortened(close[0])}'? " if close else ""
    listed = ", ".join(map(shortened, names[:LISTED]))
    return f"{hint}Valid: {listed}{f' and {len(names) - LISTED:,} more' if len(names) > LISTED else ''}."


@contextmanager
def library_errors(message: Callable[[str], str]) -> Iterator[None]:
    """Turns any exception of a library into a `UserError`.

    Args:
        message: Makes the sentence out of the exception's first line.
    """
    try:
        yield
    except (UserError, Cancelled, NameError):  # a NameError is a bug of this program
        raise
    except BaseException as error:
        # A panic of a Rust library is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(message(first_line(error))) from error


def first_line(error: BaseException) -> str:
    """The first line of an exception's message that is not blank, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if not lines:
        return kind
    line = lines[0].rstrip(".:")
    # A missing key's message is the key alone.
    return f"{kind}: {line}" if isinstance(error, LookupError | TypeError | AttributeError) else line
