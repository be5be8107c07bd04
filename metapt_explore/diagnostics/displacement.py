"""How far a step moves a prompt: of the inner loop, of the outer loop, and of few-shot tuning.

An inner step that is many times shorter than a tuning step adapts nothing: meta-learning is then pooled pre-training
with fewer rows. Lengths are root mean squares over the numbers of a prompt, so that prompts of any size compare.
Adam's first step is as long as its rate, whatever the gradient (Kingma and Ba, ICLR 2015, arXiv 1412.6980); a plain
gradient step is as long as its rate times the gradient, which only a model can tell (`study/inner_gradient.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metapt_explore.config import EvaluationConfig, MetaPTMethod, MethodConfig, StudyConfig

#: Inner and tuning steps that differ by more than this do not do the same thing.
TOO_FAR_APART = 10.0


@dataclass(frozen=True)
class Displacement:
    """Root mean square movement of each number of a prompt.

    Attributes:
        inner: Of all inner steps of one adaptation together; None where only a model can tell.
        outer: Of one outer step.
        tuning: Of one tuning step, at the rate that `tuning_rate` names.
        rates: All rates of tuning: a step moves as far as its rate.
    """

    inner: float | None
    outer: float
    tuning: float
    rates: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        """Tuning step over inner adaptation; None where the latter is not known or does not move."""
        return self.tuning / self.inner if self.inner else None

    @property
    def warning(self) -> str:
        """One sentence where inner adaptation and tuning step differ tenfold; else empty.

        Example:
            >>> print(Displacement(inner=0.0004, outer=0.01, tuning=0.016).warning)
            The inner steps move the prompt 40 times less than one tuning step: as set, there is next to no adaptation \
to learn from, and MetaPT is pooled pre-training with fewer rows. Raise `inner_lr`, or take `inner_optimiser: adam`.
            >>> Displacement(inner=0.016, outer=0.01, tuning=0.016).warning
            ''
        """
        if self.inner is None:
            return ""
        if not self.inner:
            return "The inner steps do not move the prompt at all: there is no adaptation to learn from."
        ratio = self.tuning / self.inner
        if ratio > TOO_FAR_APART:
            return (
                f"The inner steps move the prompt {ratio:.0f} times less than one tuning step: as set, there is next "
                "to no adaptation to learn from, and MetaPT is pooled pre-training with fewer rows. Raise `inner_lr`, "
                "or take `inner_optimiser: adam`."
            )
        if ratio < 1 / TOO_FAR_APART:
            return (
                f"The inner steps move the prompt {1 / ratio:.0f} times as far as one tuning step: what is learned is "
                "a start for steps that tuning does not take. Lower `inner_lr`."
            )
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"inner": self.inner, "outer": self.outer, "tuning": self.tuning, "rates": list(self.rates)}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Displacement:
        """What `as_dict` told."""
        return cls(told["inner"], told["outer"], told["tuning"], tuple(told.get("rates", ())))


def tuning_rate(method: MethodConfig, evaluation: EvaluationConfig) -> float:
    """The middle one of the learning rates that a method is tuned with; the higher of two middle ones.

    Example:
        >>> evaluation = EvaluationConfig(tasks=["trec"])
        >>> tuning_rate(MethodConfig(name="PT", kind="pt"), evaluation)
        0.016
    """
    rates = tuning_rates(method, evaluation)
    return rates[len(rates) // 2]


def tuning_rates(method: MethodConfig, evaluation: EvaluationConfig) -> list[float]:
    """The learning rates that a method is tuned with, lowest first."""
    own = method.tuning.learning_rates if method.tuning is not None else None
    return sorted(own or evaluation.learning_rates)


def takes_plain_steps(study: StudyConfig) -> bool:
    """Whether the inner steps of any method are plain gradient steps, whose length only a model can tell."""
    methods = [method for method in study.methods if isinstance(method, MetaPTMethod)]
    return any(study.pretraining_of(method).inner_optimiser != "adam" for method in methods)


def expected(method: MetaPTMethod, study: StudyConfig, gradient: float | None = None) -> Displacement:
    """What settings tell: rates of Adam are lengths; a plain step is its rate times the gradient.

    Inner steps move at most as far as one step times their number, and nearly so while the gradient keeps its
    direction.

    Args:
        method: The method.
        study: The study.
        gradient: Length of a support gradient (root mean square) at the common start, where one was measured.

    Example:
        >>> from metapt_explore.config import load_study
        >>> study = load_study("tour")
        >>> method = MetaPTMethod(name="m", kind="metapt", clustering="kmeans", learner="maml",
        ...                       inner_optimiser="gradient", inner_lr=0.03)
        >>> expected(study.method("MetaPT"), study).inner, expected(method, study).inner
        (0.003, None)
        >>> plain = expected(method, study, gradient=0.01)
        >>> print(f"{plain.inner:.1g}", plain.warning[:67])
        0.0003 The inner steps move the prompt 10 times less than one tuning step:
    """
    sizes, evaluation = study.pretraining_of(method), study.evaluation
    step = (sizes.inner_lr or 0.0) * (1.0 if sizes.inner_optimiser == "adam" else gradient or 0.0)
    known = sizes.inner_optimiser == "adam" or gradient is not None
    share = math.sqrt(method.adapted_share)  # vectors that stay where they are count in the mean
    return Displacement(
        inner=round(step * method.inner_steps * share, 12) if known else None,
        outer=sizes.outer_lr,
        tuning=tuning_rate(method, evaluation),
        rates=tuple(tuning_rates(method, evaluation)),
    )


def displacement_sentence(name: str, moves: Displacement, steps: int, *, measured: bool = False) -> str:
    """How far a method's steps move the prompt, as far as settings and a measured gradient tell.

    Args:
        name: The method.
        moves: What `expected` returned.
        steps: Its inner steps.
        measured: Whether the inner steps' length is that of a gradient that was measured.

    Example:
        >>> print(displacement_sentence("MetaPT", Displacement(None, 0.01, 0.016), 1))
        MetaPT moves each number of the prompt by about 0.016 in a tuning step and 0.01 in an outer step; how far in \
its inner step only the model can tell: `metapt screen` measures it.
    """
    inner = f"inner step{'s' if steps > 1 else ''}"
    if moves.inner is None:
        told = f"how far in its {inner} only the model can tell: `metapt screen` measures it"
    elif measured:
        told = f"about {moves.inner:.2g} in its {inner} (by one support gradient, measured at the start)"
    else:
        told = f"up to {moves.inner:g} in its {inner}"
    said = f"about {moves.tuning:g} in a tuning step and {moves.outer:g} in an outer step; {told}."
    return f"{name} moves each number of the prompt by {said} {moves.warning}".rstrip()


def measured(inner: np.ndarray, outer: np.ndarray, tuning: np.ndarray, rates: list[float]) -> Displacement:
    """The mean over adaptations that were taken.

    Args:
        inner: Movement of each adaptation, `[adaptations]`.
        outer: Of an outer step with the same rows.
        tuning: Of the first tuning step from the same prompt.
        rates: Rates of tuning.
    """
    return Displacement(float(inner.mean()), float(outer.mean()), float(tuning.mean()), tuple(rates))
