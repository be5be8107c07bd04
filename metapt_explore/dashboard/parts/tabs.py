"""Parts of a page behind tabs: only the one that is open is computed, and the address names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from metapt_explore.dashboard.parts import messages


def show_tabs(key: str, parts: Mapping[str, Callable[[], None]]) -> None:
    """Draws tabs, the first one open at first; an error in one part stays in it.

    Args:
        key: Of the tabs, on the page and in its address.
        parts: What stands on each tab and what draws it.
    """
    for tab, body in zip(st.tabs(list(parts), key=key, bind="query-params"), parts.values(), strict=True):
        if tab.open:
            with tab, messages.guard():
                body()
