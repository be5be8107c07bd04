"""Files, artifacts and the workspace: what a study leaves on disk.

Internal: only names directly under `metapt_explore` are public.
"""
