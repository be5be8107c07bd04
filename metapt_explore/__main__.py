"""`python -m metapt_explore` is `metapt`."""

from metapt_explore.cli.main import main

main()
