"""Error messages of pages: no tracebacks, no markup from foreign text."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from pyarrow.lib import ArrowException

from metapt_explore import escaping
from metapt_explore.errors import UserError
from metapt_explore.storage.integrity import DamagedFile
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.uploads import by_given_names

#: Errors that damaged files raise; any other is a bug and shows as one.
DAMAGE = (OSError, ArrowException, KeyError, IndexError, ValueError, TypeError, AttributeError)
log = logging.getLogger(__name__)

#: Foreign text for whatever Streamlit shows as Markdown.
plain = escaping.streamlit
#: What our own sentences write as code: keys, files, commands.
CODE = re.compile(r"(`[^`\n]+`)")


def sentence(text: object) -> str:
    r"""A sentence of ours for whatever Streamlit shows as Markdown: its code stays code, all else is plain.

    Sentences are written for terminals, too, so that their only markup is code; names and texts of others may stand
    in them. In code nothing acts as markup.

    Example:
        >>> print(sentence("'a_b' lacks `texts.file`: see *there*"))
        'a\_b' lacks `texts.file`\: see \*there\*
    """
    parts = CODE.split(escaping.printable(text))
    return "".join(part if place % 2 else plain(part) for place, part in enumerate(parts))


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
    except DamagedFile as error:  # its message has advice
        st.error(sentence(error))
    except UserError as error:
        st.error(sentence(f"{_as_uploaded(str(error))} {advise(folder) if folder else ''}"))
    except DAMAGE as error:
        log.exception("A page could not read %s", folder or "a file")
        named = f"{folder} is damaged: " if folder else ""
        st.error(sentence(f"{named}{reason(error)}. {advise(folder) if folder else ''}"))


def _as_uploaded(said: str) -> str:
    """Uploads by the names that their owner gave them."""
    try:
        return by_given_names(said, Workspace())
    except UserError:  # there is no workspace, which is what was said
        return said


def reason(error: Exception) -> str:
    """What went wrong, in words of ours: an error of a library may quote what stands in the file.

    Example:
        >>> reason(KeyError("clusters")), reason(ValueError("could not convert string to float: 'Dear Ann'"))
        ("the entry 'clusters' is missing", 'its content is not what is expected (ValueError)')
    """
    if isinstance(error, FileNotFoundError):
        return f"{Path(str(error.filename)).name} is missing"
    if isinstance(error, KeyError):
        key = str(error.args[0]) if error.args else ""
        return f"the entry '{key}' is missing" if re.fullmatch(r"[\w.-]{1,40}", key) else "an entry is missing"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return f"its content is not what is expected ({type(error).__name__})"
