"""metapt_explore: does clustering pre-training texts into tasks help few-shot prompt tuning?

The names in `__all__` are the public API, see docs/api.md; heavy modules are imported when a name is first used.

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
    from metapt_explore import plots, statistics
    from metapt_explore.api import run, show_progress
    from metapt_explore.config import ClusterEdit, MethodConfig, StudyConfig, TaskConfig, load_study, load_task
    from metapt_explore.datacheck.check import Checked, check_file
    from metapt_explore.datacheck.new_task import Wanted, new_task
    from metapt_explore.datacheck.repair import write_repaired
    from metapt_explore.errors import UserError
    from metapt_explore.estimators.classifier import PromptClassifier
    from metapt_explore.estimators.pretrainer import PromptPretrainer
    from metapt_explore.export.classify import Classifier, Prediction
    from metapt_explore.export.export import PromptChoice, export_prompt
    from metapt_explore.jobs.queue import cancel, enqueue, jobs_table
    from metapt_explore.reporting.pool import pool, pooled_report
    from metapt_explore.reporting.report import make_report
    from metapt_explore.results.find_lineage import lineage
    from metapt_explore.results.lineage import Lineage
    from metapt_explore.results.record import Record, record_of
    from metapt_explore.results.tables import caution, curves_table, results_table, summary_table
    from metapt_explore.storage.artifact import Artifact
    from metapt_explore.storage.transfer import Transfer, pull, push
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.extend import with_edited_clustering, with_method, with_sweep
    from metapt_explore.study.study import Study
    from metapt_explore.study.widen import Widened, widen

#: The one place of the version; pyproject.toml reads it.
__version__ = "0.2.0"

if "ipykernel" in sys.modules:
    # In a notebook without widgets tqdm says so at the first import of a library that might draw a bar.
    warnings.filterwarnings("ignore", message="IProgress not found")

#: Where each public name is defined; a module is its own place.
_MODULES = {
    "Artifact": "storage.artifact",
    "Checked": "datacheck.check",
    "Classifier": "export.classify",
    "ClusterEdit": "config",
    "Lineage": "results.lineage",
    "MethodConfig": "config",
    "Prediction": "export.classify",
    "PromptChoice": "export.export",
    "PromptClassifier": "estimators.classifier",
    "PromptPretrainer": "estimators.pretrainer",
    "Record": "results.record",
    "Study": "study.study",
    "StudyConfig": "config",
    "TaskConfig": "config",
    "Transfer": "storage.transfer",
    "UserError": "errors",
    "Wanted": "datacheck.new_task",
    "Widened": "study.widen",
    "Workspace": "storage.workspace",
    "cancel": "jobs.queue",
    "caution": "results.tables",
    "check_file": "datacheck.check",
    "curves_table": "results.tables",
    "enqueue": "jobs.queue",
    "export_prompt": "export.export",
    "jobs_table": "jobs.queue",
    "lineage": "results.find_lineage",
    "load_study": "config",
    "load_task": "config",
    "make_report": "reporting.report",
    "new_task": "datacheck.new_task",
    "plots": "plots",
    "pool": "reporting.pool",
    "pooled_report": "reporting.pool",
    "pull": "storage.transfer",
    "push": "storage.transfer",
    "record_of": "results.record",
    "results_table": "results.tables",
    "run": "api",
    "show_progress": "api",
    "statistics": "statistics",
    "summary_table": "results.tables",
    "widen": "study.widen",
    "with_edited_clustering": "study.extend",
    "with_method": "study.extend",
    "with_sweep": "study.extend",
    "write_repaired": "datacheck.repair",
}

__all__ = [
    "Artifact",
    "Checked",
    "Classifier",
    "ClusterEdit",
    "Lineage",
    "MethodConfig",
    "Prediction",
    "PromptChoice",
    "PromptClassifier",
    "PromptPretrainer",
    "Record",
    "Study",
    "StudyConfig",
    "TaskConfig",
    "Transfer",
    "UserError",
    "Wanted",
    "Widened",
    "Workspace",
    "cancel",
    "caution",
    "check_file",
    "curves_table",
    "enqueue",
    "export_prompt",
    "jobs_table",
    "lineage",
    "load_study",
    "load_task",
    "make_report",
    "new_task",
    "plots",
    "pool",
    "pooled_report",
    "pull",
    "push",
    "record_of",
    "results_table",
    "run",
    "show_progress",
    "statistics",
    "summary_table",
    "widen",
    "with_edited_clustering",
    "with_method",
    "with_sweep",
    "write_repaired",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'metapt_explore' has no attribute '{name}'")
    module = import_module(f"metapt_explore.{_MODULES[name]}")
    return module if _MODULES[name] == name else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
