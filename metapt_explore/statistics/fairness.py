"""Whether methods were compared on equal terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: Kinds that tune a soft prompt; others are bound by seeds and tasks only.
PROMPTS = ("pt", "ppt", "metapt")
PRETRAINED = ("ppt", "metapt")


@dataclass(frozen=True)
class Flag:
    """Something that is not equal, or that a reader has to know.

    Attributes:
        severity: ``unequal`` (the comparison is not fair) or ``note``.
        methods: Whom it concerns.
        sentence: What it is, with figures.
    """

    severity: Literal["unequal", "note"]
    methods: list[str]
    sentence: str


def fairness_flags(accounts: Sequence[dict[str, Any]], tolerance: float = 0.05) -> list[Flag]:
    """Looks for unequal terms between methods.

    Args:
        accounts: What `runs/accounts.py: method_accounts` returned.
        tolerance: Share by which passes may differ: outer steps are whole numbers.

    Returns:
        Flags, the unequal ones first; none of these where everything was equal.

    Example:
        >>> a = {"method": "PPT", "kind": "ppt", "pretraining_row_passes": 100.0}
        >>> b = {"method": "MetaPT", "kind": "metapt", "pretraining_row_passes": 200.0}
        >>> fairness_flags([a, b])[0].sentence
        'Pre-training sent unequal numbers of rows forward and backward: PPT 100, MetaPT 200.'
    """
    prompts = [a for a in accounts if a["kind"] in PROMPTS]
    pretrained = [a for a in accounts if a["kind"] in PRETRAINED]
    flags: list[Flag] = []

    def unequal(key: str, among: Sequence[dict[str, Any]], sentence: str, say: Any = str) -> None:
        values = {a["method"]: a[key] for a in among if a.get(key) is not None}
        if len({repr(value) for value in values.values()}) > 1:
            listed = ", ".join(f"{name} {say(value)}" for name, value in values.items())
            flags.append(Flag("unequal", list(values), f"{sentence}: {listed}."))

    passes = {a["method"]: a["pretraining_row_passes"] for a in pretrained}
    if passes and max(passes.values()) > (1 + tolerance) * min(passes.values()):
        listed = ", ".join(f"{name} {value:,.0f}" for name, value in passes.items())
        sentence = f"Pre-training sent unequal numbers of rows forward and backward: {listed}."
        flags.append(Flag("unequal", list(passes), sentence))
    same_tuning = [a for a in prompts if not a.get("extra_tuning")]
    unequal("start", pretrained, "Pre-trained prompts began from different starts")
    unequal("learning_rates", prompts, "Tuning searched different learning rates", _listed)
    unequal("tuning_steps", same_tuning, "Tuning had different numbers of steps")
    unequal("proximal", prompts, "Prompts were pulled to their start differently")
    unequal("shots", accounts, "Methods saw different numbers of examples per class")
    unequal("tasks", accounts, "Methods were scored on different tasks", _listed)
    unequal("data_seeds", accounts, "Methods were scored on different data seeds", _listed)
    unequal("init_seeds", prompts, "Methods were scored on different initialisation seeds", _listed)
    for account in accounts:
        if account.get("selected_on", "dev") != "dev":
            sentence = f"{account['method']} was selected on {account['selected_on']} instead of dev."
            flags.append(Flag("unequal", [account["method"]], sentence))
    flags += _notes(accounts, pretrained)
    return flags


def _notes(accounts: Sequence[dict[str, Any]], pretrained: Sequence[dict[str, Any]]) -> list[Flag]:
    plain = [a["method"] for a in accounts if a["kind"] == "pt"]
    longer = [a["method"] for a in accounts if a.get("extra_tuning")]
    found = []
    if plain and pretrained and not longer:
        sentence = (
            "No PT with the pre-training budget as extra tuning is in the study (`extra_tuning: true`): what "
            "pre-training gains over PT may in part be what more tuning would gain."
        )
        found.append(Flag("note", plain, sentence))
    diagnostic = {a["method"]: a["diagnostic_rows"] for a in accounts if a.get("diagnostic_rows")}
    if diagnostic:
        listed = ", ".join(f"{name} {rows:,.0f}" for name, rows in diagnostic.items())
        sentence = (
            f"Rows sent through the model for live curves only, which train nothing and are not counted: {listed}."
        )
        found.append(Flag("note", list(diagnostic), sentence))
    return found


def _listed(values: Sequence[Any]) -> str:
    return "[" + ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values) + "]"
