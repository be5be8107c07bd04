"""Keys and values of texts, computed once and kept.

Internal: only names directly under `metapt_explore` are public.
"""
