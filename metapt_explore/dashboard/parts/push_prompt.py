"""An exported prompt goes to a hub, by the command that does it in a terminal."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from metapt_explore import hub
from metapt_explore.dashboard.parts import messages
from metapt_explore.errors import UserError

#: Seconds that a push may take.
PUSH_TIMEOUT_S = 600


def push_to_hub(files: Mapping[str, bytes], key: str) -> None:
    """Asks for a name and pushes; the token is the environment's, and never shown or asked for.

    Args:
        files: The prompt's files, by name.
        key: What tells this prompt from others.
    """
    with st.expander("Push to a hub", key="push_prompt"):
        if not hub.has_token():
            st.info(
                "There is no token. Set the environment variable `HF_TOKEN` for the process that runs this page (or "
                "log in with `hf auth login`) and open the page again; a token is never typed in here."
            )
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        name = left.text_input("Name on the hub", placeholder="owner/name", key="push_name")
        private = right.checkbox("Private", key="push_private")
        st.caption(
            "The files above are sent, and nothing else. The token is that of `HF_TOKEN`, or of `hf auth login`."
        )
        pushed = st.session_state.setdefault("pushed", {})
        if st.button("Push", key="push_now", disabled=not name.strip() or not hub.has_token()):
            with st.spinner("Sending …"):
                pushed[key] = _push(files, name.strip(), private=private)
        if key in pushed:
            st.success(messages.sentence(pushed[key]))


def _push(files: Mapping[str, bytes], name: str, *, private: bool) -> str:
    """What `metapt push` printed."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "prompt"
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        words = [sys.executable, "-m", "metapt_explore", "push", str(folder), name, *(["--private"] * private)]
        try:
            done = subprocess.run(
                words, capture_output=True, timeout=PUSH_TIMEOUT_S, check=False, encoding="utf-8", errors="replace"
            )
        except subprocess.TimeoutExpired:
            raise UserError(f"It was not sent within {PUSH_TIMEOUT_S} s; try `metapt push` in a terminal.") from None
    if done.returncode != 0:
        raise UserError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return done.stdout.strip()
