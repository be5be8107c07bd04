"""Engines: where the cells of a study are made when it is not this process alone that makes them.

Internal: only names directly under `metapt_explore` are public.
"""
