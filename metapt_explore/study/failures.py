"""What failed in a run, and what waits for it: the failure of one part does not stop the others.

A part is a stage (a clustering, a prompt, a score) or what must be known before a stage can be named, such as a file
of texts. `metapt run` tries failed parts again, so nothing of this is kept beyond a run but the list in ``job.json``.
"""

from __future__ import annotations

import errno
import gc
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from metapt_explore.errors import Cancelled, UserError
from metapt_explore.progress.failed_part import FailedPart

T = TypeVar("T")

#: Where the tracebacks of unexpected errors are written, in the study's folder.
FAULTS = "faults.log"
#: A full or read-only disk fails every part alike, so the whole run stops.
NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Part(Protocol):
    """What can fail: a stage, or what must be known before one can be named."""

    @property
    def key(self) -> str:
        """What progress calls it."""
        ...

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    @property
    def score(self) -> str:
        """Name of the score; empty if it is not a score."""
        ...


@dataclass(frozen=True)
class Named:
    """A part that is no stage.

    Attributes:
        key: What progress calls it.
        title: What people call it.
        score: Name of the score; empty if it is not a score.
    """

    key: str
    title: str
    score: str = ""


class PartFailed(UserError):
    """A part of a study failed, or needs one that did.

    Args:
        part: The part that failed.
    """

    exit_code = 1

    def __init__(self, part: FailedPart) -> None:
        super().__init__(part.sentence)
        self.part = part


class Failures:
    """The failed parts of a run.

    Args:
        folder: The study's folder, for tracebacks of unexpected errors.
        on_change: Called with all failed parts whenever there is a new one.
    """

    def __init__(self, folder: Path, on_change: Callable[[list[FailedPart]], None] = lambda parts: None) -> None:
        self.parts: list[FailedPart] = []
        self._by_id: dict[str, FailedPart] = {}
        self._folder, self._on_change = folder, on_change

    def attempt(self, part: Part, make: Callable[[], T]) -> T | None:
        """Runs `make`; where it fails, notes why and returns None.

        Args:
            part: What `make` computes.
            make: Computes it.

        Raises:
            Cancelled: Where the run was asked to stop.
            OSError: Where nothing can be written any more.
        """
        try:
            return make()
        except PartFailed as error:
            self._needs(error.part, part)
        except Exception as error:
            self.add(part, error)
        return None

    def refuse(self, identifier: str) -> None:
        """Raises where the stage of that id has failed in this run: it is not computed twice.

        Raises:
            PartFailed: With the reason of then.
        """
        if identifier in self._by_id:
            raise PartFailed(self._by_id[identifier])

    def add(self, part: Part, error: Exception, identifier: str | None = None) -> FailedPart:
        """Notes that a part failed.

        Args:
            part: The part.
            error: What happened.
            identifier: The stage's id, where it has one.

        Raises:
            Cancelled: `error` itself, where the run was asked to stop.
            OSError: `error` itself, where nothing can be written any more.
        """
        if isinstance(error, Cancelled) or stops_everything(error):
            raise error
        failed = FailedPart(part.key, part.title, self._explain(error))
        # A missing file is one failure, however many parts read it.
        known = next((other for other in self.parts if other.reason == failed.reason), None)
        if identifier is None and known is not None:
            self._needs(known, part)
            return known
        self.parts.append(failed)
        if identifier is not None:
            self._by_id[identifier] = failed
        self._on_change(self.parts)
        return failed

    def _needs(self, failed: FailedPart, part: Part) -> None:
        if part.key != failed.key and part.key not in failed.needed_by:
            failed.needed_by.append(part.key)
            failed.scores += [part.score] if part.score else []
            self._on_change(self.parts)

    @property
    def keys(self) -> set[str]:
        """Keys of everything that is not computed in this run."""
        return {key for part in self.parts for key in (part.key, *part.needed_by)}

    def _explain(self, error: Exception) -> str:
        if isinstance(error, UserError):
            return str(error)
        if ran_out_of_memory(error):
            _free_memory()
            return (
                "memory ran out. Close other programs, or lower model.pass_memory_gib, model.max_text_tokens or the "
                "batch sizes, and run the study again."
            )
        if isinstance(error, OSError):
            return f"{error}."
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / FAULTS).open("a", encoding="utf-8") as stream:
            stream.write("".join(traceback.format_exception(error)) + "\n")
        return (
            f"an unexpected error, {type(error).__name__}: {str(error)[:300]}. This is a fault of the program; the "
            f"details are in {self._folder / FAULTS}."
        )


def stops_everything(error: BaseException) -> bool:
    """Whether an error means that nothing can be written any more (a full disk, a read-only one)."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in NO_PLACE:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the machine or of a GPU ran out."""
    if isinstance(error, MemoryError):
        return True
    if "torch" not in sys.modules:
        return False
    from metapt_explore.models.memory import is_out_of_memory

    return is_out_of_memory(error)


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def format_failed(failed: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each failed part, with how many scores wait for it.

    Args:
        failed: The parts, as `FailedPart.as_dict` has them.

    Example:
        >>> format_failed([{"title": "clusters 'fine'", "reason": "No cluster was found.", "key": "clusters/fine",
        ...              "needed_by": ["prompt/MetaPT/0", "fewshot/MetaPT/mood/0"], "scores": ["MetaPT on mood"]}])
        ["clusters 'fine': No cluster was found. Not computed without it: MetaPT on mood."]
    """
    parts = [FailedPart(**part) for part in failed]
    return [f"{part.sentence}{part.waiting}" for part in parts]
