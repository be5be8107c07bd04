"""Baselines: other ways to use the same few-shot rows, on the same splits and seeds; one file each.

Internal: only names directly under `metapt_explore` are public.
"""
