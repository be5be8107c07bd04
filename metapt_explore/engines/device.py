"""Ids of a study that runs elsewhere are those of its workers: a login node without a card hands out for cards."""

from __future__ import annotations

from metapt_explore.config.machine import MachineConfig, RayConfig, SlurmConfig
from metapt_explore.errors import UserError
from metapt_explore.models.device import resolve_device
from metapt_explore.study.pipeline import StudyPipeline

#: What the number format `auto` most likely is on a device that this machine lacks: all cards since 2020 have it.
USUAL_DTYPE = "bfloat16"


def settings_of(word: str, machine: MachineConfig) -> SlurmConfig | RayConfig | None:
    """The machine file's settings of an engine whose workers may run on other machines; None for the others.

    Args:
        word: What `--on` or the machine file says.
        machine: Settings of this machine.
    """
    if word == "slurm":
        return machine.slurm
    return machine.ray if word == "ray" else None


def compute_as_workers(study: StudyPipeline, word: str, machine: MachineConfig) -> None:
    """Lets a study's ids be those of the workers of an engine, where they may compute with another device than this.

    Args:
        study: The study, before any id is asked for.
        word: The engine.
        machine: Settings of this machine.
    """
    settings = settings_of(word, machine)
    if settings is None:
        return
    model = study.config.model
    usual = settings.device or ("cuda" if settings.has_cards else "cpu")
    device = usual if model.device == "auto" else model.device
    if is_here(device):
        if settings.dtype is not None or device != resolve_device(model.device):
            study.model.computed_by(device, settings.dtype)
        return
    study.model.computed_by(device, settings.dtype or USUAL_DTYPE)
    if settings.dtype is None and model.dtype == "auto":
        study.progress.notice(
            f"This machine has no device '{device}', so {USUAL_DTYPE} is taken for the workers' number format "
            f"(`{word}.dtype` in the machine file says another; `{word}.device`, another device)."
        )


def is_here(device: str) -> bool:
    """Whether this machine has a device.

    Example:
        >>> is_here("cpu"), is_here("nothing of the kind")
        (True, False)
    """
    try:
        resolve_device(device)
    except UserError:
        return False
    return True
