"""Makes again what was lost while a study ran, so that no verdict rests on part of its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from metapt_explore.errors import UserError
from metapt_explore.stages.base import Stage
from metapt_explore.study.failures import Failures
from metapt_explore.study.pipeline import StudyPipeline

#: Rounds of making lost artifacts again before giving up.
ROUNDS = 3


def repair_lost(
    pipeline: StudyPipeline, asked: Callable[[], Sequence[Stage]], failures: Failures | None = None
) -> None:
    """Makes again what was deleted or damaged while the study ran; called when all has been made once.

    Args:
        pipeline: The study.
        asked: The prompts and scores that were asked for.
        failures: What could not be made, which is no loss.

    Raises:
        UserError: Where something is gone each time that it is made.
    """

    def lost() -> list[Stage]:
        failed = failures.keys if failures is not None else set()
        with pipeline.remembering():
            wanted = [stage for stage in asked() if stage.is_score or stage.part == "prompts"]
            return [stage for stage in wanted if stage.key not in failed and not _is_whole(stage)]

    for _ in range(ROUNDS):
        gone = lost()
        if not gone:
            return
        pipeline.make_ahead(gone)
        for stage in gone:
            pipeline.progress.notice(
                f"{stage.title} ({stage.id}) was deleted or damaged while the study ran: it is made again."
            )
            make = partial(pipeline.make, stage)
            if failures is None:
                make()
            else:
                failures.attempt(stage, make)
    gone = lost()
    if gone:
        listed = ", ".join(stage.id for stage in gone)
        raise UserError(
            f"Something deletes artifacts of {pipeline.workspace.folder} while the study runs ({listed}): stop that, "
            "and run the study again; what is there is kept."
        )


def _is_whole(stage: Stage) -> bool:
    return stage.artifact.is_whole
