"""What is wrong with somebody's file, row by row, and how to repair it.

Internal: only names directly under `metapt_explore` are public.
"""
