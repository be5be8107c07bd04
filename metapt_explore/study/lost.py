"""What was lost while a study ran: no verdict is given over a part of its scores."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Artifact
from metapt_explore.study.cells import Cell, cells

if TYPE_CHECKING:
    from metapt_explore.study.study import Study

#: How often it is looked for; whoever deletes artifacts as fast as they are made gets a sentence.
ROUNDS = 3


def repair_lost(
    study: Study,
    init_seeds: Collection[int],
    scores: bool = True,
    failed: Collection[str] = (),
    attempt: Callable[[str, Callable[[], Artifact]], object] = lambda key, make: make(),
) -> None:
    """Makes again what was deleted or damaged while the study ran; called when all has been made once.

    Args:
        study: The study.
        init_seeds: Those of its initialisation seeds that were asked for.
        scores: Whether scores were asked for, too, or prompts only.
        failed: Keys of cells that could not be made, which are no loss.
        attempt: Makes a cell, given its key and what makes it.

    Raises:
        UserError: Where something is gone each time that it is made.
    """

    def lost() -> list[Cell]:
        asked = [cell for cell in cells(study, init_seeds) if scores or cell.key.startswith("prompt/")]
        return [cell for cell in asked if cell.key not in failed and not _is_whole(study, cell)]

    for _ in range(ROUNDS):
        gone = lost()
        if not gone:
            return
        for cell in gone:
            study.progress.notice(
                f"{cell.stage.title} ({cell.stage.id}) was deleted or damaged while the study ran: it is made again."
            )
            attempt(cell.key, cell.make)
    gone = lost()
    if gone:
        listed = ", ".join(cell.stage.id for cell in gone)
        raise UserError(
            f"Something deletes artifacts of {study.workspace.folder} while the study runs ({listed}): stop that, and "
            "run the study again; what is there is kept."
        )


def _is_whole(study: Study, cell: Cell) -> bool:
    return study.workspace.artifact(cell.stage.id).is_whole
