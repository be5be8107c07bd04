"""metapt_explore: does clustering pre-training texts into tasks help few-shot prompt tuning?

The few verbs of the public API; heavy modules are imported when a verb is first used.

>>> import metapt_explore as mp
>>> mp.load_study("tour").name
'tour'
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metapt_explore.api import run, show_progress
    from metapt_explore.config import StudyConfig, TaskConfig, load_study, load_task
    from metapt_explore.errors import UserError
    from metapt_explore.jobs.queue import cancel, enqueue, jobs_table
    from metapt_explore.results.find_lineage import lineage
    from metapt_explore.results.lineage import Lineage
    from metapt_explore.results.tables import caution, curves_table, results_table, summary_table
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.study import Study

__version__ = "0.1.0"

if "ipykernel" in sys.modules:
    # In a notebook without widgets tqdm says so at the first import of a library that might draw a bar.
    warnings.filterwarnings("ignore", message="IProgress not found")

_HOMES = {
    "StudyConfig": "config",
    "TaskConfig": "config",
    "load_study": "config",
    "load_task": "config",
    "UserError": "errors",
    "run": "api",
    "show_progress": "api",
    "caution": "results.tables",
    "Study": "study.study",
    "Workspace": "storage.workspace",
    "Lineage": "results.lineage",
    "lineage": "results.find_lineage",
    "enqueue": "jobs.queue",
    "cancel": "jobs.queue",
    "jobs_table": "jobs.queue",
    "results_table": "results.tables",
    "curves_table": "results.tables",
    "summary_table": "results.tables",
    "plots": "plots",
}

__all__ = [
    "Lineage",
    "Study",
    "StudyConfig",
    "TaskConfig",
    "UserError",
    "Workspace",
    "cancel",
    "caution",
    "curves_table",
    "enqueue",
    "jobs_table",
    "lineage",
    "load_study",
    "load_task",
    "plots",
    "results_table",
    "run",
    "show_progress",
    "summary_table",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'metapt_explore' has no attribute '{name}'")
    module = import_module(f"metapt_explore.{_HOMES[name]}")
    return module if name == "plots" else getattr(module, name)
