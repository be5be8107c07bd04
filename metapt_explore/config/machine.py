"""The machine file: where studies run on this machine, and with what. No part of any study.

Of all this, ids hold the device and number format of workers alone (`engines.device`).

It is `$METAPT_MACHINE`, else ``machine.yaml`` in the user's configuration folder; without it everything has a default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from metapt_explore.config.load import parse
from metapt_explore.config.names import Text
from metapt_explore.config.reading import read_yaml
from metapt_explore.config.task import Strict
from metapt_explore.paths import machine_path


class LocalConfig(Strict):
    """What processes of this machine get."""

    gpus: int = Field(
        1,
        ge=1,
        le=64,
        description="Cards of a process, where there are any: it sees no others, and calls them `cuda:0`, `cuda:1` …. "
        "A model that is spread over two (`model.device_map`) needs 2.",
    )


class WorkersConfig(Strict):
    """What workers on other machines compute with: ids of a study that leaves it open (`auto`) are those."""

    device: Text | None = Field(
        None, description="Device that workers have; `cuda` where they ask for cards, else `cpu`, when absent."
    )
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        None,
        description="What the number format `auto` is at workers. When absent, what it is here; bfloat16 where this "
        "machine has no such device.",
    )


class SlurmConfig(WorkersConfig):
    """How jobs are asked of SLURM."""

    partition: str | None = Field(None, description="The partition; SLURM's default when absent.")
    minutes: int = Field(240, ge=1, description="Time limit of a job. One that is ended by it goes on in the next.")
    gpus: int = Field(1, ge=0, description="Cards of a job.")
    cpus: int = Field(4, ge=1, description="Cores of a job, and threads of its worker.")
    memory_gib: float | None = Field(None, gt=0, description="Main memory of a job; SLURM's default when absent.")
    at_once: int = Field(8, ge=1, description="Most jobs at work at once.")
    warn_seconds: int = Field(
        120, ge=10, description="SLURM sends SIGUSR2 so long before the time limit; a checkpoint is written then."
    )
    setup: list[str] = Field(
        default_factory=list, description="Shell lines in front of the worker, such as `module load cuda`."
    )
    options: dict[str, str | int] = Field(
        default_factory=dict, description="More options of sbatch by their long names, such as `account: lab`."
    )
    python: str | None = Field(
        None, description="The Python on the nodes that has this package; the one that runs now when absent."
    )

    @property
    def has_cards(self) -> bool:
        """Whether jobs ask for cards, by `gpus` or by an option such as `gres: gpu:1`."""
        return bool(self.gpus) or any(
            name.startswith("gpus") or (name == "gres" and str(value).startswith("gpu"))
            for name, value in self.options.items()
        )


class RayConfig(WorkersConfig):
    """How tasks are asked of Ray."""

    address: str = Field("local", description="`auto` for a running cluster, `local` starts one on this machine.")
    gpus: float = Field(0.0, ge=0, description="Cards of a task; 0 where the cluster has none.")
    cpus: int = Field(1, ge=1, description="Cores of a task, and threads of its worker.")
    at_once: int = Field(
        8,
        ge=1,
        description="Most tasks at once; on this machine alone (`local`) no more than it has cores and cards for.",
    )

    @property
    def has_cards(self) -> bool:
        """Whether tasks ask for cards."""
        return self.gpus > 0


class MachineConfig(Strict):
    """The machine file."""

    on: str | None = Field(
        None,
        description="Where `metapt run`, the queue and the dashboard compute a study: `here` (in the process itself), "
        "`local`, `local:4`, `slurm` or `ray`.",
    )
    batch_minutes: float = Field(
        10.0, gt=0, description="Cells are put together until a job lasts about so long; a model is loaded once a job."
    )
    lost_minutes: float = Field(
        10.0, gt=0, description="A worker that gives no sign of life for so long is ended, and its cells run again."
    )
    local: LocalConfig = Field(
        default_factory=lambda: LocalConfig.model_validate({}), description="Settings of `local`."
    )
    slurm: SlurmConfig = Field(default_factory=lambda: SlurmConfig.model_validate({}), description="Settings of SLURM.")
    ray: RayConfig = Field(default_factory=lambda: RayConfig.model_validate({}), description="Settings of Ray.")


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
