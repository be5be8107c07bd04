"""Diagnostics of scores: gradient agreement, and each cluster left out in turn.

Internal: only names directly under `metapt_explore` are public.
"""
