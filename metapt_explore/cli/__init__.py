"""The command line: `main.py`, and one file for each command.

Internal: only names directly under `metapt_explore` are public.
"""
