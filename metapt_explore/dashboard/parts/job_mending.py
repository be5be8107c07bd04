"""Buttons that mend a failed job, where what to do is known: use less memory, install the starter."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from metapt_explore.dashboard.parts import messages, shared, start_study
from metapt_explore.jobs import state as jobs
from metapt_explore.models import setup as setup_starter
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.edit import less_memory

#: Words of failures by which their remedy is known.
OUT_OF_MEMORY = ("memory ran out", "ran out of memory", "out of memory")
NO_STARTER = "metapt setup"


def buttons(workspace: Workspace, name: str, state: dict[str, Any], *, key: str) -> None:
    """The buttons that fit how a job failed, beside Resume, which every page has.

    Args:
        workspace: The workspace.
        name: The study.
        state: Its job.
        key: Beginning of the buttons' keys.
    """
    told = _told(state)
    if NO_STARTER in told and not setup_starter.is_set_up():
        install_starter(key)
    elif any(words in told.lower() for words in OUT_OF_MEMORY):
        lower, meaning = less_memory(shared.study_config(workspace, name))
        st.button(
            "Resume with less memory",
            key=f"{key}_less_memory",
            type="primary",
            on_click=start_study.start_changed,
            args=(workspace, lower),
            kwargs=start_study.asked_before(jobs.own_state(workspace, name)),
            help=meaning,
        )


def _told(state: dict[str, Any]) -> str:
    reasons = [str(part.get("reason", "")) for part in state.get("failed") or []]
    return " ".join([str(state.get("error") or ""), *reasons])


# ----------------------------------------------------------------------------------- the starter


@dataclass
class _Setup:
    """One run of `metapt setup`, for all sessions of the server."""

    process: subprocess.Popen[str] | None = None
    lines: list[str] = field(default_factory=list)


@st.cache_resource(show_spinner=False)
def _setup() -> _Setup:
    return _Setup()


def _start_setup() -> None:
    setup = _setup()
    if setup.process is not None and setup.process.poll() is None:
        return  # another tab was quicker
    command = [sys.executable, "-m", "metapt_explore", "setup"]
    setup.lines = []
    setup.process = process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    )

    def read() -> None:
        for line in process.stdout or ():
            setup.lines.append(line.strip())

    threading.Thread(target=read, name="starter", daemon=True).start()


def install_starter(key: str) -> None:
    """A button that runs `metapt setup`, and how far it is.

    Args:
        key: Beginning of its key.
    """
    busy = _is_installing()

    def body() -> None:
        now = _is_installing()
        if now != busy or setup_starter.is_set_up():
            st.rerun()
        setup = _setup()
        st.button(
            "Installing the starter …" if now else "Install the starter",
            key=f"{key}_install",
            type="primary",
            disabled=now,
            on_click=_start_setup,
            help="`metapt setup`: SmolLM2-135M-Instruct, a sentence encoder and texts; once, a minute or two.",
        )
        if now and setup.lines:
            st.caption(messages.plain(setup.lines[-1]))
        elif setup.process is not None and setup.process.returncode:
            st.error(messages.sentence(setup.lines[-1] if setup.lines else "The starter could not be installed."))

    st.fragment(body, run_every=shared.POLL if busy else None, key=f"{key}_starter")()


def _is_installing() -> bool:
    process = _setup().process
    return process is not None and process.poll() is None
