"""What tuning gave: the kept prompt as files, with a card that says what is known of it, and its curves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore.estimators.exported import ExportedPrompt
from metapt_explore.estimators.tuning import METHOD, TASK
from metapt_explore.export.card import model_card
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.export.facts import PromptFacts
from metapt_explore.prompts.exported_files import CARD
from metapt_explore.prompts.load import ADAPTER_CONFIG
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.files import write_bytes
from metapt_explore.study.study import Study

if TYPE_CHECKING:
    import pandas as pd

#: Scores on the row of each class that stands for a test set: no scores of anything.
STAND_IN = ("accuracy", "macro_f1", "start_accuracy", "dev_accuracy")


@dataclass(frozen=True)
class Tuned:
    """What a classifier keeps of its study.

    Attributes:
        exported: The prompt's files.
        curves: Losses on dev at each learning rate and step that was looked at.
        learning_rate: That was kept.
        step: That was kept.
        dev_accuracy: Of the kept prompt.
    """

    exported: ExportedPrompt
    curves: pd.DataFrame
    learning_rate: float
    step: float
    dev_accuracy: float


def tuned_prompt(study: Study, score: Artifact, scratch: Path, *, chosen: bool) -> Tuned:
    """Exports a tuned prompt as a study's are, but with the scores that an estimator has.

    Args:
        study: The study.
        score: Its finished evaluation.
        scratch: Where files may be written.
        chosen: Whether dev rows chose learning rate and step, so that dev accuracy means something.
    """
    folder = scratch / "exported"
    export_prompt(study.workspace, PromptChoice(study.config.name, METHOD, TASK), folder)
    facts, result = PromptFacts.load(folder), score.table("results").iloc[0]
    split = study.split(TASK).table("rows")
    rows = {part: int((split["split"] == part).sum()) for part in ("train", "dev")}
    kept = {key: value for key, value in facts.made_by.items() if key not in STAND_IN}
    dev = {"dev_accuracy": float(result["dev_accuracy"])} if chosen else {}
    facts = replace(facts, scored_rows="dev", made_by={**kept, "rows": rows, **dev})
    facts.save(folder)
    _write_card(folder, facts)
    curves = score.table("curves")
    curves = curves[[column for column in curves if not column.startswith("test_")]]
    kept_at = (number(result[key]) for key in ("learning_rate", "step", "dev_accuracy"))
    return Tuned(ExportedPrompt.read(folder), curves, *kept_at)


def scored_prompt(exported: ExportedPrompt, accuracy: float, rows: int, trained_on: int | None) -> ExportedPrompt:
    """A prompt whose card says what its user found, too.

    Args:
        exported: The prompt.
        accuracy: Share of the rows that it answers right.
        rows: How many rows.
        trained_on: How many of them it was trained on; None where that is not known.
    """
    with exported.folder() as folder:
        facts = PromptFacts.load(folder)
        scored = {"accuracy": accuracy, "rows": rows, "trained_on": trained_on}
        facts = replace(facts, made_by={**facts.made_by, "scored": scored})
        facts.save(folder)
        _write_card(folder, facts)
        return ExportedPrompt.read(folder)


def _write_card(folder: Path, facts: PromptFacts) -> None:
    card = model_card(facts, None, with_adapter=(folder / ADAPTER_CONFIG).exists())
    write_bytes(folder / CARD, card.encode())


def number(value: Any) -> float:
    """A number of a table or a file, whole ones without a point; NaN for what is none.

    Example:
        >>> number(4.0), number(0.016), number(None)
        (4, 0.016, nan)
    """
    try:
        read = float(value)
    except (TypeError, ValueError):
        return float("nan")
    return int(read) if read.is_integer() else read
