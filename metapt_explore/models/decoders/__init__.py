"""Passes through decoder-only models: plain, and written by hand.

Internal: only names directly under `metapt_explore` are public.
"""
