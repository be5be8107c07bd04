"""What a page says where something is wrong: never a traceback, nothing that reads as markup."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

import streamlit as st
from pyarrow.lib import ArrowException

from metapt_explore import escaping
from metapt_explore.errors import UserError

#: What reading a damaged file can raise; anything else is a mistake of ours and shows as one.
DAMAGE = (OSError, ArrowException, KeyError, IndexError, ValueError, TypeError, AttributeError)
#: Letters of a reason: some errors list all that they did not find.
LONGEST_REASON = 300

log = logging.getLogger(__name__)

#: Foreign text for whatever Streamlit shows as Markdown.
plain = escaping.streamlit


def advise(folder: Path) -> str:
    """What to do about a damaged folder."""
    return f"Delete the folder {folder} and run the study again: everything else is kept and found again."


@contextmanager
def guard(folder: Path | None = None) -> Iterator[None]:
    """Turns what damaged files raise into a message that names the folder and says what to do.

    Args:
        folder: The folder that the body reads; without it the error's own words must do.
    """
    try:
        yield
    except UserError as error:
        st.error(plain(f"{error} {advise(folder) if folder else ''}"))
    except DAMAGE as error:
        log.exception("A page could not read %s", folder or "a file")
        named = f"{folder} is damaged: " if folder else ""
        st.error(plain(f"{named}{reason(error)}. {advise(folder) if folder else ''}"))


def reason(error: Exception) -> str:
    """What went wrong, in words.

    Example:
        >>> reason(KeyError("clusters"))
        "the entry 'clusters' is missing"
    """
    if isinstance(error, FileNotFoundError):
        return f"{Path(str(error.filename)).name} is missing"
    if isinstance(error, KeyError):
        return f"the entry {shorten(str(error), LONGEST_REASON, placeholder=' …')} is missing"
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return shorten(said, LONGEST_REASON, placeholder=" …").rstrip(".")
