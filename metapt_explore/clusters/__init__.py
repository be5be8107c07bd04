"""Embedding texts, clustering them, and the quality of clusters.

Internal: only names directly under `metapt_explore` are public.
"""
