"""Rows, seconds and memory of a study, counted before it runs.

Internal: only names directly under `metapt_explore` are public.
"""
