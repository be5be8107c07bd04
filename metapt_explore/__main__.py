"""`python -m metapt_explore` is `metapt`."""

from metapt_explore.cli import main

main()
