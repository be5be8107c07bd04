"""Baselines: other ways to use the same few labelled rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metapt_explore.config.baseline_base import BaselineConfig
from metapt_explore.config.classifier_baselines import ClassifierBaseline, NliBaseline, RerankerBaseline
from metapt_explore.config.encoder_baselines import (
    LinearProbeBaseline,
    MajorityBaseline,
    SetFitBaseline,
    SetFitPackageBaseline,
    StaticEmbeddingsBaseline,
    TfidfBaseline,
)
from metapt_explore.config.kinds import one_of
from metapt_explore.config.model_baselines import (
    FullBaseline,
    InContextBaseline,
    InstructionSearchBaseline,
    ZeroShotBaseline,
)
from metapt_explore.config.peft_baselines import (
    PEFT,
    CptBaseline,
    Ia3Baseline,
    LoraBaseline,
    PrefixTuningBaseline,
    PromptTuningBaseline,
    PTuningBaseline,
)

__all__ = [
    "PEFT",
    "AnyBaseline",
    "BaselineConfig",
    "ClassifierBaseline",
    "CptBaseline",
    "FullBaseline",
    "Ia3Baseline",
    "InContextBaseline",
    "InstructionSearchBaseline",
    "LinearProbeBaseline",
    "LoraBaseline",
    "MajorityBaseline",
    "NliBaseline",
    "PTuningBaseline",
    "PrefixTuningBaseline",
    "PromptTuningBaseline",
    "RerankerBaseline",
    "SetFitBaseline",
    "SetFitPackageBaseline",
    "StaticEmbeddingsBaseline",
    "TfidfBaseline",
    "ZeroShotBaseline",
    "check_calibration",
    "check_names",
]

if TYPE_CHECKING:
    AnyBaseline = BaselineConfig
else:
    AnyBaseline = one_of(
        BaselineConfig,
        MajorityBaseline,
        ZeroShotBaseline,
        InContextBaseline,
        TfidfBaseline,
        LinearProbeBaseline,
        StaticEmbeddingsBaseline,
        SetFitBaseline,
        SetFitPackageBaseline,
        LoraBaseline,
        FullBaseline,
        Ia3Baseline,
        PromptTuningBaseline,
        PTuningBaseline,
        PrefixTuningBaseline,
        CptBaseline,
        InstructionSearchBaseline,
        NliBaseline,
        RerankerBaseline,
    )


def check_names(baselines: Sequence[BaselineConfig], methods: Sequence[str]) -> None:
    """Refuses two rows of the comparison with one name.

    Raises:
        ValueError: Naming the baseline.
    """
    names = [baseline.name for baseline in baselines]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"baseline '{name}' stands twice; give each a `name` of its own")
        if name in methods:
            raise ValueError(f"'{name}' is the name of a method and of a baseline")


def check_calibration(baselines: Sequence[BaselineConfig], decode: str) -> None:
    """Refuses calibration where label words compete with the whole vocabulary, as for methods.

    Raises:
        ValueError: Naming the baseline.
    """
    for baseline in baselines:
        if decode == "whole_vocabulary" and baseline.options.get("calibration", "none") != "none":
            raise ValueError(
                f"baseline '{baseline.name}': `verbalizer.decode: whole_vocabulary` goes without `calibration`"
            )
