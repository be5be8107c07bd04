"""Tables of scores, records of studies, and where a score comes from.

Internal: only names directly under `metapt_explore` are public.
"""
