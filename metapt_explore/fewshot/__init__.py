"""Few-shot tuning of a prompt on a task, and its scores.

Internal: only names directly under `metapt_explore` are public.
"""
