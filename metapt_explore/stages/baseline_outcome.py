"""What a baseline writes of its outcome; the test rows' labels are looked at here for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from metapt_explore.storage.artifact import ArtifactWriter

if TYPE_CHECKING:
    from metapt_explore.baselines.inputs import BaselineOutcome
    from metapt_explore.fewshot.scoring import LabelledTexts


def write_outcome(
    out: ArtifactWriter, outcome: BaselineOutcome, test: LabelledTexts, *, runs: str, package: str | None = None
) -> None:
    """Measures a baseline's scores on the test rows, whose labels are looked at here for the first time.

    Writes ``results`` (the columns of a few-shot evaluation, and what else dev chose), ``curves`` where there
    are steps, and the summary.

    Args:
        out: Where it is written.
        outcome: Scores and cost of each data seed.
        test: The test rows.
        runs: What was run, in words.
        package: Package and version that it was made by.
    """
    from metapt_explore.fewshot.scoring import measure

    results = []
    for seed, scored in outcome.seeds.items():
        end = measure(scored.scores, test.labels, outcome.verbalizer)
        begin = None if scored.start is None else measure(scored.start, test.labels, outcome.verbalizer)
        results.append(
            {
                "data_seed": seed,
                "accuracy": end["accuracy"],
                "macro_f1": end["macro_f1"],
                "test_loss": end["loss"],
                "start_accuracy": None if begin is None else begin["accuracy"],
                "start_loss": None if begin is None else begin["loss"],
                "dev_accuracy": scored.dev_accuracy,
                "learning_rate": scored.chosen.get("learning_rate"),
                "step": scored.chosen.get("step"),
                **{key: value for key, value in scored.chosen.items() if key not in ("learning_rate", "step")},
            }
        )
    table = pd.DataFrame(results)
    empty = {"start_accuracy": "float64", "start_loss": "float64", "learning_rate": "float64", "step": "Int64"}
    out.write_table("results", table.astype(empty))
    if outcome.curves:
        out.write_table("curves", pd.DataFrame(outcome.curves))
    spent = outcome.spent
    out.write_summary(
        {
            "runs": runs,
            "row_passes": spent.row_passes,
            "forward_rows": spent.forward_rows,
            "trained_parameters": spent.trained_parameters,
            "test_rows": len(test.texts),
            **({"package": package} if package else {}),
        }
    )
