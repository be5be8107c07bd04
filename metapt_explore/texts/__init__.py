"""Reading texts: file formats, columns, labels, duplicates, leaks.

Internal: only names directly under `metapt_explore` are public.
"""
