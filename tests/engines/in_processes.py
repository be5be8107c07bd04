"""What tests add to the processes of a run: a note of each computed artifact, and prompts that wait in their middle.

Python reads `sitecustomize.py` at the start of every process, so workers that SLURM or Ray starts have it, too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metapt_explore.storage.workspace import Workspace

#: File in the workspace with the id of every artifact that was computed to its end, one a line.
COMPUTED = "computed"
#: File beside the one that holds prompts, with the steps that they have reached at workers, one a line.
STEPS = "steps"
#: Steps after which a prompt waits; half of those of the tiny study.
HELD_AT = 2
SITECUSTOMIZE = """
import sys
if "metapt_explore" in sys.orig_argv:
    from pathlib import Path
    sys.path.append({tests!r})
    import in_processes
    in_processes.note_computed(Path({workspace!r}))
    if "--batch" in sys.orig_argv:
        in_processes.hold_prompts(Path({hold!r}))
"""


def write_sitecustomize(folder: Path, workspace: Path, hold: Path) -> None:
    """Writes the module that every process of a run reads where `folder` is in its `PYTHONPATH`.

    Args:
        folder: Where it lies.
        workspace: The run's workspace.
        hold: The file that lets prompts wait while it is there.
    """
    words = {"tests": str(Path(__file__).parent), "workspace": str(workspace), "hold": str(hold)}
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE.format(**words), encoding="utf-8")


def note_computed(workspace: Path) -> None:
    """Lets this process and its children write each computed artifact's id into a file."""
    from metapt_explore.storage import workspace as module

    making = module.making

    @contextmanager
    def noted(folder: Path, *arguments: Any, **options: Any) -> Iterator[Any]:
        with making(folder, *arguments, **options) as writer:
            yield writer
        with (workspace / COMPUTED).open("a", encoding="utf-8") as stream:
            stream.write(f"{folder.name}\n")

    module.making = noted  # type: ignore[assignment]


def computed_twice(workspace: Workspace) -> list[str]:
    """Ids of artifacts that were computed more than once."""
    lines = (workspace.folder / COMPUTED).read_text(encoding="utf-8").split()
    return [identifier for identifier, count in Counter(lines).items() if count > 1]


def steps_of_prompts(folder: Path) -> list[int]:
    """The steps that prompts have reached at workers, in the order in which they were told; `folder` is the run's."""
    return [int(line) for line in (folder / STEPS).read_text(encoding="utf-8").split()]


def hold_prompts(hold: Path) -> None:
    """Lets pre-training in this process wait in its middle while a file is there; it can be stopped meanwhile.

    Notes the steps beside that file.
    """
    from metapt_explore.progress.state import Progress

    advance = Progress.advance

    def slowly(self: Progress, done: int) -> None:
        advance(self, done)
        if self.state.stage.startswith("prompt"):
            with hold.with_name(STEPS).open("a", encoding="utf-8") as stream:
                stream.write(f"{done}\n")
        while done == HELD_AT and self.state.stage.startswith("prompt") and hold.exists():
            time.sleep(0.05)
            advance(self, done)

    Progress.advance = slowly  # type: ignore[method-assign]
