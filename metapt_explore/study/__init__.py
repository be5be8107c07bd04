"""A study: its pipeline, its run, and what looks at it.

Internal: only names directly under `metapt_explore` are public.
"""
