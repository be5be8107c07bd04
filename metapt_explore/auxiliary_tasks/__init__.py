"""Auxiliary tasks out of clusters: what pre-training tells apart.

Internal: only names directly under `metapt_explore` are public.
"""
