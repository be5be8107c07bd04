"""Parts that pages share.

Internal: only names directly under `metapt_explore` are public.
"""
