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
from metapt_explore.config.ensembles import (
    AverageBaseline,
    ChooseBaseline,
    EnsembleBaseline,
    StackBaseline,
    check_ensembles,
)
from metapt_explore.config.kinds import one_of
from metapt_explore.config.model_baselines import (
    FullBaseline,
    InContextBaseline,
    InstructionSearchBaseline,
    TunedModelBaseline,
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
from metapt_explore.errors import UserError

__all__ = [
    "PEFT",
    "AnyBaseline",
    "BaselineConfig",
    "ClassifierBaseline",
    "CptBaseline",
    "EnsembleBaseline",
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
    "check_study_baselines",
    "refuse_baseline",
]

if TYPE_CHECKING:
    from metapt_explore.config.study import StudyConfig

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
        ChooseBaseline,
        AverageBaseline,
        StackBaseline,
    )


def check_study_baselines(study: StudyConfig) -> None:
    """Refuses baselines that do not fit one another or the study.

    Raises:
        ValueError: Naming the baseline.
    """
    check_names(study.baselines, [method.name for method in study.methods])
    check_calibration(study.baselines, study.verbalizer.decode)
    check_ensembles(study)
    check_trained(study)


def check_trained(study: StudyConfig) -> None:
    """Refuses baselines that train a language model whose weights are quantised or spread over devices.

    Raises:
        ValueError: Naming the baseline.
    """
    key = next((key for key in ("quantised", "device_map") if getattr(study.model, key) is not None), None)
    for baseline in study.baselines if key else ():
        if isinstance(baseline, TunedModelBaseline):
            raise ValueError(
                f"baseline '{baseline.name}' trains inside the language model, which does not go with `model.{key}`: "
                "leave one of them out"
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


def refuse_baseline(baselines: Sequence[BaselineConfig], name: str) -> None:
    """Refuses the name of a baseline where a method is wanted, which has a prompt.

    Raises:
        UserError: Where it is one; of an ensemble it names what that combines.
    """
    for baseline in baselines:
        if baseline.name != name:
            continue
        if isinstance(baseline, EnsembleBaseline):
            raise UserError(
                f"'{name}' combines {', '.join(repr(reader) for reader in baseline.of)} and has no prompt of its own: "
                "take one of these."
            )
        raise UserError(f"'{name}' is a baseline: it has no prompt, and nothing was pre-trained for it.")
