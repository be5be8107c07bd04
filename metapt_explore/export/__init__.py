"""A prompt as a folder to take away: files, model card, classifying with it.

Internal: only names directly under `metapt_explore` are public.
"""
