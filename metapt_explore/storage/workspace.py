"""A workspace folder: artifacts by content, studies by name.

::

    workspace/
      artifacts/<kind>-<hash>/     what was computed
      studies/<name>/study.yaml    what was asked
      studies/<name>/tasks.json    hash of its task files' content, of which study.yaml holds paths only
      studies/<name>/index.json    which artifacts answer it
      studies/<name>/index.jsonl   what was added to that since a run began, see `storage.study_index`
      studies/<name>/job.json      the process that computes it, see `jobs`
      processes/<host>-<pid>.json  the processes that work here, see `storage.presence`
      speeds/                      how fast this machine runs a model, see `cost.speeds`
      pulled/<kind>-<hash>/        files that `transfer.pull` has fetched of an artifact that is not whole yet
      damaged/<kind>-<hash>-<n>/   damaged artifacts that were set aside; nothing reads them

Reading a workspace never writes into it.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.storage.files import sweep
from metapt_explore.storage.host_lock import HostLock
from metapt_explore.storage.integrity import REMEDY, set_aside
from metapt_explore.storage.making import making
from metapt_explore.storage.studies import CELL_KEYS, IndexEntry, Studies

#: Ids that a message lists at most.
MAX_LISTED = 8

log = logging.getLogger(__name__)


class Workspace(Studies):
    """Reads and writes a workspace folder: its artifacts, and its studies.

    Args:
        folder: The folder (default: ``$METAPT_WORKSPACE``, else ``./workspace``); made when something is first written.
    """

    def artifact(self, identifier: str) -> Artifact:
        """Returns the artifact of that id, whatever its status."""
        return Artifact(self.folder / "artifacts" / identifier)

    def find(self, kind: str, beginning: str, where: str) -> Artifact:
        """Finds a finished artifact by its id or the beginning of it.

        Args:
            kind: ``prompt``, ``texts`` …
            beginning: The id or its beginning, with or without the kind in front (``prompt-3fa9c2``, ``3fa9c2``).
            where: The key that asked for it, for messages.

        Raises:
            UserError: Where no finished artifact of the kind begins so, or several do.

        Example:
            >>> Workspace("workspace").find("prompt", "3fa9c2", "prompt.init").id     # doctest: +SKIP
            'prompt-3fa9c2d41b7e8f60'
        """
        wanted = f"{kind}-{beginning.removeprefix(f'{kind}-')}"
        folder = self.folder / "artifacts"
        ids = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        status = {name: self.artifact(name).status for name in ids if name.startswith(f"{kind}-")}
        done = [name for name in status if status[name] == "done"]
        matches = [wanted] if wanted in done else [name for name in done if name.startswith(wanted)]
        if len(matches) == 1:
            return self.artifact(matches[0])
        if matches:
            raise UserError(
                f"{where}: '{beginning}' is the beginning of several {kind} artifacts ({', '.join(matches)}); "
                "write more of the id."
            )
        for name in status:
            if name.startswith(wanted):
                if status[name] == "damaged" and (error := self.artifact(name).damage) is not None:
                    raise error
                raise UserError(f"{where}: the {kind} artifact {name} is not finished ({status[name]}).")
        raise UserError(
            f"{where}: the workspace {self.folder} has no finished {kind} artifact '{beginning}' (finished: "
            f"{', '.join(done[:MAX_LISTED]) or 'none'}{' …' if len(done) > MAX_LISTED else ''})."
        )

    def make(
        self,
        question: Question,
        compute: Callable[[ArtifactWriter], None],
        *,
        while_waiting: Callable[[], None] = lambda: None,
        on_notice: Callable[[str], None] = log.warning,
    ) -> Artifact:
        """Returns the artifact that answers a question, computing it unless it is done and undamaged.

        Args:
            question: What is asked.
            compute: Fills the artifact. Of two processes that want the same one, the second waits.
            while_waiting: Called each second of that waiting; may raise to give up.
            on_notice: Told if a damaged artifact was set aside and is computed anew.
        """
        artifact = self.artifact(question.id)
        if artifact.is_whole:
            return artifact
        artifact.folder.mkdir(parents=True, exist_ok=True)
        lock = HostLock(artifact.folder / ".lock", self.folder)
        while True:
            try:
                lock.acquire(timeout=1, patient=False)
                break
            except Timeout:
                while_waiting()
        try:
            if not artifact.is_whole:
                from metapt_explore.storage.manifest import manifest

                error = artifact.damage
                if error is not None:
                    aside = set_aside(artifact.folder, self.damaged)
                    on_notice(f"{str(error).removesuffix(REMEDY)}It is now in {aside}, and is computed anew.")
                # Nobody else writes here while we hold the lock.
                sweep(artifact.folder, everything=True)
                with making(
                    artifact.folder, question, manifest(), is_ours=lambda: lock.is_ours, is_lost=lambda: lock.lost
                ) as writer:
                    compute(writer)
        finally:
            lock.release()
        return artifact

    def current_index(self, name: str) -> list[IndexEntry]:
        """The index entries that answer what is asked now.

        If data or an initial prompt changed, the index holds new splits, texts or prompts beside scores of the old ones
        until these are made again; one table must not hold both. So an entry counts only if everything that it was
        made from is still in the index, the newest of each.

        Raises:
            UserError: If the index is damaged.
        """
        newest = {json.dumps([entry.get(key) for key in CELL_KEYS]): entry for entry in self.index(name)}
        newest_ids = {str(entry["id"]) for entry in newest.values()}
        checked: dict[str, bool] = {}

        def is_current(identifier: str) -> bool:
            if identifier not in checked:
                parents = self.artifact(identifier).stage.get("parents", {})
                # A start is a prompt of another study, named by its id.
                of_this_study = [parent for role, parent in parents.items() if role != "init"]
                checked[identifier] = identifier in newest_ids and all(map(is_current, of_this_study))
            return checked[identifier]

        return [entry for entry in newest.values() if is_current(str(entry["id"]))]


class Scratch(Workspace):
    """A workspace for looking: finished artifacts are read from another one, everything new goes elsewhere.

    Args:
        real: The workspace to read from.
        folder: The folder to write to.
    """

    def __init__(self, real: Workspace, folder: Path) -> None:
        super().__init__(folder)
        self._real = real

    def artifact(self, identifier: str) -> Artifact:
        """The finished artifact of the workspace, else the scratch folder's."""
        finished = self._real.artifact(identifier)
        return finished if finished.is_whole else super().artifact(identifier)

    def index(self, name: str) -> list[IndexEntry]:
        """The index of the workspace, then entries that were made here."""
        return [*self._real.index(name), *super().index(name)]

    def find(self, kind: str, beginning: str, where: str) -> Artifact:
        """Finds a finished artifact in the workspace, see `Workspace.find`."""
        return self._real.find(kind, beginning, where)


@contextmanager
def scratch(real: Workspace) -> Iterator[Scratch]:
    """A scratch workspace over a real one; its folder is deleted when the body ends."""
    with tempfile.TemporaryDirectory(prefix="metapt-", ignore_cleanup_errors=True) as folder:
        yield Scratch(real, Path(folder))
