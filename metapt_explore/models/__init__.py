"""Frozen language models: one file a family, and what they share.

Internal: only names directly under `metapt_explore` are public.
"""
