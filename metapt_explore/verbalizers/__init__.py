"""From texts to templates, and from label words to classes.

Internal: only names directly under `metapt_explore` are public.
"""
