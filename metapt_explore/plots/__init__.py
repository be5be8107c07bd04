"""Figures out of records: pure functions, the same for pages and notebooks.

Every function takes tables or summaries as artifacts hold them and returns a plotly figure. Colours
are the eight of Okabe and Ito (2008), which colour-blind readers tell apart; a method has the same
colour in every figure. Backgrounds are transparent, so figures fit light and dark pages.

Names and texts come from data and are escaped: plotly reads a little HTML in names and hover texts.
"""

from __future__ import annotations

from metapt_explore.plots.clusters import cluster_sizes, contingency_map
from metapt_explore.plots.compare import difference_forest, paired_means, pooled_forest, variance_bars
from metapt_explore.plots.cost import cost_against_accuracy
from metapt_explore.plots.efficiency import efficiency_curve, efficiency_difference
from metapt_explore.plots.errors import calibration_curve, confusion_map, slice_dots
from metapt_explore.plots.lens import class_shares, likeness_map, prompt_health
from metapt_explore.plots.losses import meta_loss
from metapt_explore.plots.map_page import map_html
from metapt_explore.plots.memberships import membership_histogram
from metapt_explore.plots.probe import probe_dots
from metapt_explore.plots.quality import quality_against_gain
from metapt_explore.plots.scores import seed_spread, tuning_curves
from metapt_explore.plots.style import figure_table, method_colors
from metapt_explore.plots.text_map import MapLook, cluster_map
from metapt_explore.plots.why import agreement_map, help_map

__all__ = [
    "MapLook",
    "agreement_map",
    "calibration_curve",
    "class_shares",
    "cluster_map",
    "cluster_sizes",
    "confusion_map",
    "contingency_map",
    "cost_against_accuracy",
    "difference_forest",
    "efficiency_curve",
    "efficiency_difference",
    "figure_table",
    "help_map",
    "likeness_map",
    "map_html",
    "membership_histogram",
    "meta_loss",
    "method_colors",
    "paired_means",
    "pooled_forest",
    "probe_dots",
    "prompt_health",
    "quality_against_gain",
    "seed_spread",
    "slice_dots",
    "tuning_curves",
    "variance_bars",
]
