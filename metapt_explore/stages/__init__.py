"""The stages of the pipeline, one file each.

Internal: only names directly under `metapt_explore` are public.
"""
