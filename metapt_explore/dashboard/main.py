"""Script of the dashboard in an installed package; `app.py` does the same in the repository."""

from metapt_explore.dashboard.frame import show

show()
