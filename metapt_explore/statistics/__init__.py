"""How sure one can be: comparisons, sources of variance, curves, fairness and summaries of a study's results.

Pure functions from tables to tables and dataclasses; nothing here reads a file or imports torch. What each
quantity is and how to read it: docs/statistics.md.
"""

from metapt_explore.statistics.calibration import Calibration, calibration, calibration_error, calibration_of
from metapt_explore.statistics.compare import compare
from metapt_explore.statistics.comparison import Comparison, PairsNeeded, TaskDifference
from metapt_explore.statistics.curves import start_curve
from metapt_explore.statistics.detectable import recorded_spread, smallest_difference
from metapt_explore.statistics.errors import McNemar, RowComparison, by_slice, compare_rows, confusion
from metapt_explore.statistics.fairness import Flag, MethodBudget, fairness_flags
from metapt_explore.statistics.label_efficiency import label_efficiency
from metapt_explore.statistics.labels_needed import LabelsNeeded, labels_needed
from metapt_explore.statistics.resampling import Precision
from metapt_explore.statistics.significance import paired_power, pairs_needed
from metapt_explore.statistics.spread import SpreadRatio, WorstSeed, spread_ratios
from metapt_explore.statistics.summary import overall_table, task_matrix
from metapt_explore.statistics.two_level import TwoLevel, two_level
from metapt_explore.statistics.variance import variance_sources

__all__ = [
    "Calibration",
    "Comparison",
    "Flag",
    "LabelsNeeded",
    "McNemar",
    "MethodBudget",
    "PairsNeeded",
    "Precision",
    "RowComparison",
    "SpreadRatio",
    "TaskDifference",
    "TwoLevel",
    "WorstSeed",
    "by_slice",
    "calibration",
    "calibration_error",
    "calibration_of",
    "compare",
    "compare_rows",
    "confusion",
    "fairness_flags",
    "label_efficiency",
    "labels_needed",
    "overall_table",
    "paired_power",
    "pairs_needed",
    "recorded_spread",
    "smallest_difference",
    "spread_ratios",
    "start_curve",
    "task_matrix",
    "two_level",
    "variance_sources",
]
