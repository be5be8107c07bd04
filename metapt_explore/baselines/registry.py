"""Baselines by their kind, and checks that the study's model can run them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from metapt_explore.config import Family, StudyConfig
from metapt_explore.config.baselines import BaselineKind
from metapt_explore.errors import UserError

if TYPE_CHECKING:
    from metapt_explore.baselines.inputs import RunBaseline

#: What `pip install` needs for LoRA.
PEFT = "peft>=0.18"


def run_of(kind: BaselineKind) -> RunBaseline:
    """The function that runs a kind of baseline; imports its module."""
    from importlib import import_module

    run: RunBaseline = getattr(import_module(f"metapt_explore.baselines.{kind}"), kind)
    return run


def check_baselines(study: StudyConfig, family: Family) -> None:
    """Refuses baselines that the study's model cannot run, before anything is computed.

    Raises:
        UserError: Naming the baseline and what to do.
    """
    for baseline in study.baselines:
        where = f"baseline '{baseline.name}'"
        if baseline.kind == "in_context" and family != "causal":
            raise UserError(
                f"{where}: in-context learning needs a decoder-only model, which '{study.model.name}' is not; leave it "
                "out."
            )
        if baseline.kind in ("lora", "full") and family == "sentence":
            raise UserError(
                f"{where}: '{study.model.name}' is a sentence encoder without words; use the baseline `setfit`."
            )
        if baseline.kind == "lora" and find_spec("peft") is None:
            raise UserError(f"{where} needs PEFT: pip install '{PEFT}' (or metapt-explore[lora]).")
