"""Models and texts that come inside packages, for a first run without a hub.

Internal: only names directly under `metapt_explore` are public.
"""
