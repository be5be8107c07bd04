"""The report of a study, as Markdown and HTML.

Internal: only names directly under `metapt_explore` are public.
"""
