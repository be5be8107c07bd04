"""Rows of the comparison that put others together: one of them, chosen on dev, or a mean of what they say.

They are kinds of baselines, so that everything that knows a baseline knows them: tables, pages, reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator

from metapt_explore.config.baseline_base import BaselineConfig
from metapt_explore.config.limits import MOST_SEARCHED
from metapt_explore.config.names import Name
from metapt_explore.errors import did_you_mean

if TYPE_CHECKING:
    from metapt_explore.config.study import StudyConfig


class EnsembleBaseline(BaselineConfig):
    """Several readers together. A reader is a method or a baseline: a way to read the classes of a text.

    Attributes:
        fits_weights: Whether it fits a weight for each reader.
    """

    combines = True
    fits_weights: ClassVar[bool] = False
    of: list[Name] = Field(
        min_length=1, max_length=MOST_SEARCHED, description="names of methods and baselines, the preferred one first"
    )

    @field_validator("of")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'{name}' stands twice")
        return names


class ChooseBaseline(EnsembleBaseline):
    """One of several readers, for each task and data seed."""

    title = "one of several rows, chosen on dev"
    kind: Literal["choose"]
    by: Literal["accuracy", "loss", "one_se"] = Field(
        "accuracy",
        description="accuracy: the highest on dev, then the lowest loss; one_se: the first within one standard error "
        "of it; loss: the lowest",
    )


class AverageBaseline(EnsembleBaseline):
    """The mean of several readers' log-probabilities."""

    title = "the mean of several rows"
    kind: Literal["average"]
    calibrated: bool = Field(False, description="dev first chooses a temperature for each row that is averaged")


class StackBaseline(EnsembleBaseline):
    """A weighted mean of several readers' log-probabilities."""

    title = "a mean of several rows, weighed on dev"
    fits_weights = True
    kind: Literal["stack"]
    shrinkage: float = Field(1.0, ge=0, le=1e6, description="pull of the weights towards equal ones, in nats")


def check_ensembles(study: StudyConfig) -> None:
    """Refuses ensembles of what the study does not have, and of other ensembles.

    Raises:
        ValueError: Naming the ensemble and the reader.
    """
    ensembles = [baseline for baseline in study.baselines if isinstance(baseline, EnsembleBaseline)]
    names = [*(method.name for method in study.methods), *(baseline.name for baseline in study.baselines)]
    for ensemble in ensembles:
        for name in ensemble.of:
            if name not in names:
                raise ValueError(
                    f"baseline '{ensemble.name}': there is no method or baseline '{name}'. {did_you_mean(name, names)}"
                )
            if name in [other.name for other in ensembles]:
                raise ValueError(f"baseline '{ensemble.name}': '{name}' is an ensemble itself; list what that combines")


def is_seeded(study: StudyConfig, baseline: BaselineConfig) -> bool:
    """Whether a baseline has a score for each initialisation seed; an ensemble has where one of its readers does.

    Example:
        >>> from metapt_explore.config import load_study
        >>> study = load_study("tour")
        >>> is_seeded(study, BaselineConfig(name="best", kind="choose", of=["PT", "PPT"]))
        True
    """
    if not isinstance(baseline, EnsembleBaseline):
        return baseline.seeded
    seeded = {other.name for other in study.baselines if other.seeded} | {method.name for method in study.methods}
    return bool(seeded & set(baseline.of))


def with_readers_of(study: StudyConfig, names: set[str]) -> set[str]:
    """Names of methods and baselines, with those of the ensembles that combine one of them."""
    ensembles = [baseline for baseline in study.baselines if isinstance(baseline, EnsembleBaseline)]
    return names | {ensemble.name for ensemble in ensembles if names & set(ensemble.of)}
