"""Soft prompts: initial values, files, the lens, health.

Internal: only names directly under `metapt_explore` are public.
"""
