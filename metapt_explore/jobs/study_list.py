"""What lists of a workspace's studies show: how each stands and how many of its scores are finished.

A page asks every second or two, a workspace has thousands of studies, and nearly all of them are as they were. So what
was read of a study is kept with the stamps of the files that it was read from (`storage.files.stamp_of`), and read
again only where one of them is another one. What no stamp tells (a lock, a live process) is looked at each time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.jobs.state import ACTIVE, ENDED, job_state
from metapt_explore.results.tables import OTHER_SHOTS
from metapt_explore.storage.files import SETTLED_S, Stamp
from metapt_explore.storage.stage_file import STAGE
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import JobRecord
from metapt_explore.study.overview import SCORES, asked_scores, finished_scores

#: Files that the state of a study's job follows from, if no process works on it.
JOB_FILES = ("job.json", "request.json")
#: Files of a study that its settings follow from, and those that its list of artifacts follows from.
CONFIG_FILES = ("study.yaml", ".study.yaml.copy")
INDEX_FILES = ("index.json", ".index.json.copy", "index.jsonl")
#: Studies without a job whose artifacts are looked at again in each call, the longest unseen first: somebody may have
#: deleted a file of one.
LOOKED_AT_AGAIN = 10
#: Studies that are kept of all workspaces together.
MOST_KEPT = 20_000

Stamps = tuple[Stamp | None, ...]


@dataclass(frozen=True)
class ScoreCounts:
    """The scores of a study, in numbers.

    Attributes:
        finished: Scores that are there and answer what is asked now.
        asked: All that the study asks for.
        methods: Methods and baselines with a score on its list, in that order.
    """

    finished: int
    asked: int
    methods: tuple[str, ...]


@dataclass
class _Kept:
    """What was read of a study, each with the stamps of its files; None where nothing was."""

    state: tuple[Stamps, JobRecord] | None = None
    config: tuple[Stamps, StudyConfig] | None = None
    scores: tuple[Stamps, ScoreCounts] | None = None
    #: Records of listed artifacts that were not finished, with their stamps.
    unfinished: dict[str, Stamp | None] = field(default_factory=dict)
    looked_at: float = 0.0


_kept: dict[tuple[str, str], _Kept] = {}


def study_names(workspace: Workspace) -> list[str]:
    """Studies in alphabetical order, damaged ones among them."""
    folder = workspace.folder / "studies"
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    marks = ("study.yaml", "job.json")
    return sorted(entry.name for entry in entries if any(_stamp(f"{entry.path}/{mark}") for mark in marks))


def job_states(workspace: Workspace) -> dict[str, JobRecord]:
    """The state of each study's job (`state.job_state`), in alphabetical order."""
    return {name: _state(workspace, name) for name in study_names(workspace)}


def active_studies(workspace: Workspace) -> list[str]:
    """Studies that wait or run."""
    return [name for name, state in job_states(workspace).items() if state["status"] in ACTIVE]


def study_config(workspace: Workspace, name: str) -> StudyConfig:
    """The study as it was run, see `Workspace.study_config`.

    Raises:
        UserError: Where the workspace has no such study, or its file is damaged.
    """
    kept, stamps = _of(workspace, name), _stamps(workspace, name, CONFIG_FILES)
    known = kept.config  # pages of other sessions may set it anew meanwhile
    if known is not None and known[0] == stamps:
        return known[1].model_copy(deep=True)
    config = workspace.study_config(name)
    kept.config = (stamps, config.model_copy(deep=True)) if _settled(stamps) else None
    return config


def scores_of(
    workspace: Workspace, names: Sequence[str], *, within_s: float | None = None
) -> dict[str, ScoreCounts | UserError | None]:
    """Finished and asked scores of studies, or what is wrong with one.

    Studies whose files are as they were are not read; a few of them are looked at again each time.

    Args:
        workspace: The workspace.
        names: The studies.
        within_s: Seconds after which no study is read that was never read before: it is None this time, and a later
            call reads it. The ones that were worked on last come first.
    """
    again = set(sorted(names, key=lambda name: _of(workspace, name).looked_at)[:LOOKED_AT_AGAIN])
    order: Sequence[str] = names
    until = None if within_s is None else time.monotonic() + within_s
    if until is not None:
        order = sorted(names, key=lambda name: changed_at(workspace, name), reverse=True)
    found: dict[str, ScoreCounts | UserError | None] = dict.fromkeys(names)
    read_one = False
    for name in order:
        if not _of(workspace, name).looked_at:
            if until is not None and read_one and time.monotonic() > until:
                continue
            read_one = True
        try:
            found[name] = _scores(workspace, name, anew=name in again)
        except UserError as error:
            found[name] = error
    return found


def _scores(workspace: Workspace, name: str, *, anew: bool) -> ScoreCounts:
    kept, stamps = _of(workspace, name), _stamps(workspace, name, (*CONFIG_FILES, *INDEX_FILES))
    known, unfinished = kept.scores, kept.unfinished
    same = not anew and known is not None and known[0] == stamps
    if same and known is not None and all(_stamp(path) == was for path, was in unfinished.items()):
        return known[1]
    kept.looked_at, kept.scores = time.monotonic(), None
    config = _shared_config(workspace, name)
    entries = [entry for entry in workspace.index(name) if entry["kind"] in SCORES]
    files = {entry["id"]: str(workspace.artifact(entry["id"]).folder / STAGE) for entry in entries}
    before = {path: _stamp(path) for path in files.values()}
    scored = (entry["method"] for entry in entries if entry["kind"] not in OTHER_SHOTS)
    scores = ScoreCounts(finished_scores(workspace, config), asked_scores(config), tuple(dict.fromkeys(scored)))
    kept.unfinished = {
        path: before[path] for identifier, path in files.items() if workspace.artifact(identifier).status != "done"
    }
    # What is being written may change once more without another time.
    if _settled(stamps) and _settled(tuple(kept.unfinished.values())):
        kept.scores = (stamps, scores)
    return scores


def _shared_config(workspace: Workspace, name: str) -> StudyConfig:
    """The study's settings; the caller changes nothing of them."""
    kept, stamps = _of(workspace, name), _stamps(workspace, name, CONFIG_FILES)
    known = kept.config
    if known is not None and known[0] == stamps:
        return known[1]
    return study_config(workspace, name)


def _state(workspace: Workspace, name: str) -> JobRecord:
    kept, stamps = _of(workspace, name), _stamps(workspace, name, JOB_FILES)
    known = kept.state
    if known is not None and known[0] == stamps:
        return known[1].copy()
    state = job_state(workspace, name)
    if state["status"] == "stopped":
        state = job_state(workspace, name)  # it may have ended between reading its file and its lock
    # A request waits for a process, and whether one lives no file tells.
    final = stamps[1] is None and state["status"] in (*ENDED, "none")
    kept.state = (stamps, state.copy()) if final and _settled(stamps) else None
    return state


def _of(workspace: Workspace, name: str) -> _Kept:
    if len(_kept) > MOST_KEPT:
        _kept.clear()
    return _kept.setdefault((str(workspace.folder), name), _Kept())


def _stamps(workspace: Workspace, name: str, files: Sequence[str]) -> Stamps:
    folder = f"{workspace.folder}/studies/{name}"
    return tuple(_stamp(f"{folder}/{file}") for file in files)


def _stamp(path: str) -> Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116 (tens of thousands in a redraw: a `Path` of each costs more)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _settled(stamps: Stamps) -> bool:
    """Whether a file that is written from now on has another time than any of these."""
    newest = max((max(stamp[1], stamp[2]) for stamp in stamps if stamp is not None), default=0)
    return time.time() - newest / 1e9 >= SETTLED_S


def changed_at(workspace: Workspace, name: str) -> float:
    """When a study was worked on last, in seconds since 1970; a file from the future counts as of now."""
    stamps = _stamps(workspace, name, ("job.json", *INDEX_FILES, "study.yaml"))
    return min(max((stamp[1] / 1e9 for stamp in stamps if stamp is not None), default=0.0), time.time())
