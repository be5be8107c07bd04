"""How sure a comparison of methods is: tests, intervals, spreads, sources of variance. Pure functions of tables."""

from metapt_explore.statistics.compare import Comparison, compare
from metapt_explore.statistics.fairness import Flag, fairness_flags
from metapt_explore.statistics.variance import variance_sources

__all__ = ["Comparison", "Flag", "compare", "fairness_flags", "variance_sources"]
