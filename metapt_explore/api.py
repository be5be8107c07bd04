"""The public verbs that run a study and show how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore.config import StudyConfig, load_study
from metapt_explore.config.machine import machine_config
from metapt_explore.engines.choose import HERE, closing, hand_out
from metapt_explore.errors import Cancelled
from metapt_explore.progress.console import make_console
from metapt_explore.progress.notebook import NotebookView, in_notebook
from metapt_explore.progress.state import Progress
from metapt_explore.progress.terminal import TerminalView
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import working_on
from metapt_explore.study.study import Study

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until


def run(
    source: str | Path | dict[str, Any] | StudyConfig,
    workspace: str | Path | None = None,
    *,
    minutes: float | None = None,
    init_seeds: Sequence[int] | None = None,
    until: Until = "all",
    on: str = HERE,
) -> Study:
    """Runs a study, shows its progress, and returns it finished.

    Finished parts are not computed again; an interrupted study goes on.

    Args:
        source: A YAML file, a packaged example such as ``tour``, a dictionary or a `StudyConfig`.
        workspace: Folder for everything computed (default: ``$METAPT_WORKSPACE``, else ``./workspace``).
        minutes: Stop after this long; the next call goes on, here or on a machine that the folder was copied to.
        init_seeds: Only these of the study's initialisation seeds (default: all).
        until: How far; see `Study.run`.
        on: Where: ``here`` (in this process), ``local`` (a process a card), ``local:4``, ``slurm``, ``ray``.

    Raises:
        UserError: If the input is wrong, or another process is running the study.
        TimeIsUp: If `minutes` are over before the study is finished.
        Cancelled: If the study was asked to stop.

    Example:
        >>> study = run("tour", "workspace")  # doctest: +SKIP
        >>> study.results()  # doctest: +SKIP
    """
    config = source if isinstance(source, StudyConfig) else load_study(source)
    opened = Workspace(workspace)
    view = TerminalView(make_console())
    try:
        with working_on(opened, config.name, view.show, init_seeds=init_seeds, until=until) as progress:
            if minutes is not None:
                progress.deadline = view.began + 60 * minutes
            study = Study(config, opened, progress)
            coordinator = hand_out(study, on, machine_config())
            with closing(coordinator):
                study.run(init_seeds, until)
    except KeyboardInterrupt:
        raise Cancelled from None
    finally:
        view.close()
    return study


def show_progress() -> Progress:
    """Progress for `Study`: in a notebook a bar with the time left, elsewhere a line for each stage.

    Example:
        >>> study = Study("tour", "workspace", show_progress())  # doctest: +SKIP
    """
    if in_notebook():
        return Progress(NotebookView().show)
    return Progress(TerminalView(make_console(), bars=False).show)
