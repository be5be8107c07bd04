"""The dashboard of an installed package: what `app.py` is in the repository."""

from metapt_explore.dashboard.frame import show

show()
