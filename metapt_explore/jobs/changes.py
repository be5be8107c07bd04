"""Changes of studies, never while a job works on them: edit, duplicate, delete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from metapt_explore.config import StudyConfig, load_study, load_tasks, parse, to_yaml
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.jobs.queue import queue_lock
from metapt_explore.jobs.state import ACTIVE, job_state, settle
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import delete
from metapt_explore.study.edit import Changed
from metapt_explore.study.given_out import batches_given_out


@contextmanager
def changing(workspace: Workspace, name: str) -> Iterator[None]:
    """Nobody can ask for a study while the body runs.

    Raises:
        UserError: Where a job of it runs or waits: it has read the study and would write it back.
    """
    settle(workspace, name)
    with queue_lock(workspace):
        if job_state(workspace, name)["status"] in ACTIVE or workspace.is_locked(name):
            raise UserError(f"A job of '{name}' runs or waits: cancel it, or try again when it has ended.")
        if batches_given_out(workspace, name):
            raise UserError(
                f"Workers of '{name}' are at work or will begin, though the run that asked for them is gone: `metapt "
                f"cancel {name}` stops them; try again when they have ended."
            )
        yield


def save_edited(workspace: Workspace, config: StudyConfig, changed: Changed | None = None) -> None:
    """Saves an edited study; what is computed of its unchanged parts stays on its list.

    Args:
        workspace: The workspace.
        config: The study as it is now to be.
        changed: What was changed or removed; nothing when absent.

    Raises:
        UserError: Where a job of it runs or waits.
    """
    with changing(workspace, config.name):
        index: list[IndexEntry] = []
        with suppress(UserError):  # a damaged list begins anew
            index = workspace.index(config.name)
        workspace.save_study(config)
        still = [entry for entry in index if changed is None or changed.holds(entry)]
        workspace.write_index(config.name, still)


def save_written(workspace: Workspace, name: str, text: str) -> list[str]:
    """Saves a study as somebody wrote it, in YAML; what is computed and still asked for is found again by its id.

    Args:
        workspace: The workspace.
        name: The study.
        text: All of it; relative paths are relative to the folder where this process runs.

    Returns:
        A sentence for each old name of a key.

    Raises:
        UserError: Where the text is no study or another one's, or a job of the study runs or waits.
    """
    notices: list[str] = []
    tree = parse_yaml(text, "what is written here")
    if not isinstance(tree, dict) or tree.get("name") != name:
        raise UserError(f"`name` must stay '{name}': to get another study, duplicate this one.")
    config = load_study(tree, on_notice=notices.append)
    load_tasks(config.evaluation)
    with changing(workspace, name):
        workspace.save_study(config)
    return notices


def duplicate_study(workspace: Workspace, name: str, new_name: str) -> StudyConfig:
    """A study once more under another name; what is computed belongs to both.

    Raises:
        UserError: Where the name is taken, or is no name of a folder.
    """
    new_name = new_name.strip()
    if new_name in workspace.study_names():
        raise UserError(f"The workspace has a study '{new_name}' already; give the copy another name.")
    tree = parse_yaml(to_yaml(workspace.study_config(name)), name)
    copy = parse(StudyConfig, {**tree, "name": new_name}, f"a copy of '{name}'")
    with changing(workspace, new_name):
        workspace.save_study(copy)
        workspace.write_index(new_name, workspace.index(name))
    return copy


def what_goes(workspace: Workspace, name: str) -> delete.Deleted:
    """What deleting a study would remove, see `delete_study`."""
    _check_name(workspace, name)
    return delete.what_goes(workspace, name, keep_artifacts=_others_work(workspace, name))


def delete_study(workspace: Workspace, name: str) -> delete.Deleted:
    """Deletes a study and what was computed for it alone.

    While a job of another study runs, everything that was computed stays: that job may be about to use it.

    Raises:
        UserError: Where there is no such study, a job of it runs or waits, or another study's list is damaged.
    """
    _check_name(workspace, name)
    with changing(workspace, name):
        return delete.delete_study(workspace, name, keep_artifacts=_others_work(workspace, name))


def _check_name(workspace: Workspace, name: str) -> None:
    # No path out of the folder of studies.
    if Path(name).name != name or name == ".." or not workspace.study_folder(name).is_dir():
        names = workspace.study_names() or ["(none)"]
        raise UserError(f"The workspace {workspace.folder} has no study '{name}'. {did_you_mean(name, names)}")


def _others_work(workspace: Workspace, name: str) -> bool:
    others = (other for other in workspace.study_names() if other != name)
    return any(job_state(workspace, other)["status"] in ACTIVE for other in others)
