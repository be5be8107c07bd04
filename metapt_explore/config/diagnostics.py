"""Settings of what is looked into on request; no score depends on them."""

from __future__ import annotations

from pydantic import Field

from metapt_explore.config.task import Strict


class AgreementConfig(Strict):
    """Gradient agreement between auxiliary and downstream tasks (`diagnostics/agreement.py`)."""

    rows: int = Field(
        64, ge=2, le=1_000_000, description="rows of one draw from an auxiliary task, equally many of each label"
    )
    draws: int = Field(
        8, ge=1, le=10_000, description="draws from each auxiliary task: noise is told from signal by them"
    )
