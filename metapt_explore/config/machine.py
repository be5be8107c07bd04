"""The machine file: where studies run on this machine, and with what. No part of any study, so no id depends on it.

It is `$METAPT_MACHINE`, else ``machine.yaml`` in the user's configuration folder; without it everything has a default.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from metapt_explore.config.load import parse
from metapt_explore.config.reading import read_yaml
from metapt_explore.config.task import Strict
from metapt_explore.paths import machine_path


class MachineConfig(Strict):
    """The machine file."""

    on: str | None = Field(
        None,
        description="Where `metapt run`, the queue and the dashboard compute a study: `here` (in the process itself), "
        "`local` or `local:4`.",
    )
    batch_minutes: float = Field(
        10.0, gt=0, description="Cells are put together until a job lasts about so long; a model is loaded once a job."
    )
    lost_minutes: float = Field(
        10.0, gt=0, description="A worker that gives no sign of life for so long is ended, and its cells run again."
    )


def machine_config(file: Path | None = None) -> MachineConfig:
    """Reads the machine file; one that does not exist has every default.

    Args:
        file: Another file than the user's.

    Raises:
        UserError: Where it is wrong, or `$METAPT_MACHINE` names no file.
    """
    file = file or machine_path()
    if file is None:
        return MachineConfig.model_validate({})
    return parse(MachineConfig, read_yaml(file) or {}, str(file))
