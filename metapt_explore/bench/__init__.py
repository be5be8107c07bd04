"""Speed against what a user could pick instead, side by side in one process (`metapt bench`).

Internal: only names directly under `metapt_explore` are public.
"""
