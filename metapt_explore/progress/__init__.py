"""Progress of a run: state, terminal, notebook.

Internal: only names directly under `metapt_explore` are public.
"""
