"""Is the comparison fair? What each method spent and was selected by, and what is unequal."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MethodBudget:
    """What one method of a study spent and was given.

    Attributes:
        method: Its name.
        kind: pt, ppt, metapt, or what else it is.
        init: Identity of the prompt's start before any pre-training: equal strings, equal starts. None where the
            method has no prompt.
        pretraining_row_passes: Rows forward and backward in one pre-training; 0 without one.
        tuning_row_passes: Rows forward and backward in tuning one prompt on one task and data seed at one learning
            rate.
        diagnostic_rows: Rows that were only looked at; not part of any budget.
        learning_rates: Rates that tuning tried.
        tuning_steps: Steps of tuning.
        proximal: How strongly tuning is pulled back to the start.
        choice: The dev score that chose rate and step; empty where it is not known.
        kept_rates: Whether tuning goes by inner rates that pre-training learned.
        begins: What each data seed's tuning begins from; empty where all begin from the prompt as it is.
        average_last: Share of the last outer steps that its prompt is the mean over; None where it is not known.
        auxiliary: What the auxiliary tasks of its pre-training tell apart; empty where it is not known.
        reading: How classes are read from what the model says; empty where it is not known.
        selected_on: The split that chose rate, step and settings: ``dev``, or ``none`` where nothing is
            chosen; for baselines also ``train``.
        data_seeds: Few-shot samples it was scored on.
        init_seeds: Initialisations; empty where it has none.
        tasks: Downstream tasks it was scored on.
        shots: Examples per class.
        trained_parameters: Numbers that training moves.
        seconds: Wall time; a report, never a rule.
        peak_mib: Peak memory; a report, never a rule.
        prompt: Whether it tunes a soft prompt; other baselines (TF-IDF …) are held to seeds, tasks, shots and
            selection only.
    """

    method: str
    kind: str
    init: str | None = None
    pretraining_row_passes: float = 0
    tuning_row_passes: float = 0
    diagnostic_rows: float = 0
    learning_rates: tuple[float, ...] = ()
    tuning_steps: int = 0
    proximal: float = 0.0
    choice: str = ""
    kept_rates: bool = False
    begins: str = ""
    average_last: float | None = None
    auxiliary: str = ""
    reading: str = ""
    selected_on: str = "dev"
    data_seeds: tuple[int, ...] = ()
    init_seeds: tuple[int, ...] = ()
    tasks: tuple[str, ...] = ()
    shots: int | None = None
    trained_parameters: int | None = None
    seconds: float | None = None
    peak_mib: float | None = None
    prompt: bool = True

    @property
    def pretrained(self) -> bool:
        """Whether it has a prompt with a pre-training behind it."""
        return self.prompt and self.pretraining_row_passes > 0


@dataclass(frozen=True)
class Flag:
    """One inequality.

    Attributes:
        severity: ``unequal``: the comparison is not fair as it stands; ``note``: to be kept in mind.
        rule: What it is about, in one word.
        methods: The methods concerned.
        sentence: What is unequal, with the figures.
    """

    severity: Literal["unequal", "note"]
    rule: str
    methods: tuple[str, ...]
    sentence: str


def fairness_flags(budgets: Sequence[MethodBudget], tolerance: float = 0.05) -> list[Flag]:
    """Lists what was not the same for all methods.

    Among pre-trained prompts: start, row passes, kinds of tasks. Among all prompts: learning rates, tuning steps and
    passes, how classes are read, initialisation seeds. Among all methods: data seeds, tasks, shots, and that nothing
    was selected on anything but dev. A PT method that spends the pre-training budget on tuning is meant to have more
    steps.

    Args:
        budgets: One for each method of a study.
        tolerance: Share by which row passes may differ, since outer steps are whole.

    Returns:
        What is unequal first, then notes; empty for a fair study that also holds PT with the extra tuning.

    Example:
        >>> ppt = MethodBudget("PPT", "ppt", init="a", pretraining_row_passes=640, learning_rates=(0.01,))
        >>> metapt = MethodBudget("MetaPT", "metapt", init="b", pretraining_row_passes=640, learning_rates=(0.01,))
        >>> print(fairness_flags([ppt, metapt])[0].sentence)
        Pre-training began from different starts: PPT: a; MetaPT: b.
    """
    pretrained = [budget for budget in budgets if budget.pretrained]
    prompts = [budget for budget in budgets if budget.prompt]
    extra = _with_extra_tuning(prompts, tolerance)
    ordinary = [budget for budget in prompts if budget not in extra]
    flags: list[Flag | None] = [
        _differ(pretrained, "start", lambda a: a.init, problem="Pre-training began from different starts", show=_text),
        _apart(
            pretrained,
            "passes",
            lambda a: a.pretraining_row_passes,
            problem="Pre-training spent different numbers of row passes",
            tolerance=tolerance,
        ),
        _differ(
            prompts,
            "rates",
            lambda a: tuple(sorted(set(a.learning_rates))),
            problem="Tuning tried different rates",
            show=_list,
        ),
        _differ(
            [a for a in pretrained if a.auxiliary],
            "auxiliary",
            lambda a: a.auxiliary,
            problem="Pre-training saw different kinds of tasks",
            show=_text,
        ),
        _differ(
            [a for a in pretrained if a.average_last is not None],
            "averaging",
            lambda a: a.average_last,
            problem="Late prompts were averaged over different shares of pre-training",
            show=_text,
        ),
        _differ(
            [a for a in prompts if a.choice],
            "choice",
            lambda a: a.choice,
            problem="Rate and step were chosen by different dev scores",
            show=_text,
        ),
        _differ(
            [a for a in prompts if a.reading],
            "reading",
            lambda a: a.reading.rstrip("."),
            problem="Classes were read differently",
            show=_text,
        ),
        _differ(
            prompts, "pull", lambda a: a.proximal, problem="Tuning was pulled back to the start differently", show=_text
        ),
        _differ(
            ordinary, "steps", lambda a: a.tuning_steps, problem="Tuning took different numbers of steps", show=_text
        ),
        _apart(
            ordinary,
            "tuning",
            lambda a: a.tuning_row_passes,
            problem="Tuning spent different numbers of row passes",
            tolerance=tolerance,
        ),
        _differ(
            prompts, "inits", lambda a: tuple(sorted(a.init_seeds)), problem="Initialisation seeds differ", show=_list
        ),
        _differ(budgets, "data seeds", lambda a: tuple(sorted(a.data_seeds)), problem="Data seeds differ", show=_list),
        _differ(budgets, "tasks", lambda a: tuple(sorted(a.tasks)), problem="Tasks differ", show=_list),
        _differ(budgets, "shots", lambda a: a.shots, problem="Shots per class differ", show=_text),
    ]
    flags += [_selection(budget) for budget in budgets]
    flags += _notes(prompts, pretrained, extra)
    raised = [flag for flag in flags if flag is not None]
    return sorted(raised, key=lambda flag: flag.severity != "unequal")


def _with_extra_tuning(prompts: Sequence[MethodBudget], tolerance: float) -> list[MethodBudget]:
    """Prompts without pre-training whose tuning spends the passes of one on top of the others' tuning."""
    pretrained = [budget for budget in prompts if budget.pretrained]
    if not pretrained:
        return []
    ordinary = min(budget.tuning_row_passes for budget in pretrained)
    least = (1 - tolerance) * min(budget.pretraining_row_passes for budget in pretrained)
    return [budget for budget in prompts if not budget.pretrained and budget.tuning_row_passes - ordinary >= least]


def _notes(
    prompts: Sequence[MethodBudget], pretrained: Sequence[MethodBudget], extra: Sequence[MethodBudget]
) -> list[Flag | None]:
    plain = [budget for budget in prompts if not budget.pretrained and budget not in extra]
    notes: list[Flag | None] = []
    if plain and pretrained and not extra:
        most = max(budget.pretraining_row_passes for budget in pretrained)
        notes.append(
            Flag(
                "note",
                "budget",
                _names(plain),
                f"{_joined(plain)} had no pre-training and not its {most:,.0f} row passes as extra tuning either; a PT "
                "method with as many more tuning passes would show what they are worth.",
            )
        )
    starts = {budget.init for budget in pretrained}
    other = [budget for budget in prompts if not budget.pretrained and budget.init not in starts]
    if pretrained and other:
        notes.append(
            Flag(
                "note",
                "start",
                _names(other),
                f"{_joined(other)} began from another start than the one pre-training began from.",
            )
        )
    kept = [budget for budget in prompts if budget.kept_rates]
    if kept:
        notes.append(
            Flag(
                "note",
                "kept rates",
                _names(kept),
                f"Tuning of {_joined(kept)} goes by the inner rates that pre-training learned: they scale its steps.",
            )
        )
    for budget in prompts:
        if budget.begins:
            sentence = f"Each data seed of {budget.method} begins from {budget.begins}."
            notes.append(Flag("note", "begins", (budget.method,), sentence))
    sized = [budget for budget in prompts if budget.trained_parameters is not None]
    unequal = _differ(
        sized,
        "size",
        lambda a: a.trained_parameters,
        problem="What was trained differs in size",
        show=_text,
    )
    notes.append(Flag("note", "size", unequal.methods, unequal.sentence) if unequal else None)
    return notes


def _selection(budget: MethodBudget) -> Flag | None:
    allowed = ("dev", "none") if budget.prompt else ("dev", "train", "none")
    if budget.selected_on in allowed:
        return None
    return Flag(
        "unequal",
        "selection",
        (budget.method,),
        f"{budget.method} was selected on {budget.selected_on}, not on dev: its scores flatter it.",
    )


def _differ(
    budgets: Sequence[MethodBudget],
    rule: str,
    value: Callable[[MethodBudget], Hashable],
    *,
    problem: str,
    show: Callable[[Hashable], str],
) -> Flag | None:
    """Flags values that are not all the same; says who has which."""
    groups: dict[Hashable, list[MethodBudget]] = {}
    for budget in budgets:
        groups.setdefault(value(budget), []).append(budget)
    if len(groups) < 2:
        return None
    listed = "; ".join(f"{_joined(members)}: {show(shared)}" for shared, members in groups.items())
    return Flag("unequal", rule, _names(budgets), f"{problem}: {listed}.")


def _apart(
    budgets: Sequence[MethodBudget],
    rule: str,
    value: Callable[[MethodBudget], float],
    *,
    problem: str,
    tolerance: float,
) -> Flag | None:
    """Flags numbers that differ by more than the tolerance, as a share of the largest."""
    numbers = [value(budget) for budget in budgets]
    if not numbers or max(numbers) - min(numbers) <= tolerance * max(numbers):
        return None
    listed = "; ".join(f"{budget.method}: {number:,.0f}" for budget, number in zip(budgets, numbers, strict=True))
    return Flag("unequal", rule, _names(budgets), f"{problem}: {listed}.")


def _names(budgets: Sequence[MethodBudget]) -> tuple[str, ...]:
    return tuple(budget.method for budget in budgets)


def _joined(budgets: Sequence[MethodBudget]) -> str:
    return ", ".join(_names(budgets))


def _text(value: Hashable) -> str:
    return "not known" if value is None else str(value)


def _list(value: Hashable) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, tuple) and value else "none"
