"""Task formats: rows of auxiliary tasks made from raw documents, one format a file. No model is read.

Internal: only names directly under `metapt_explore` are public.
"""
