"""The pages of the dashboard, one file each.

Internal: only names directly under `metapt_explore` are public.
"""
