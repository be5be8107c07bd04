"""What a run tells while it works: state, terminal, notebook.

Internal: only names directly under `metapt_explore` are public.
"""
