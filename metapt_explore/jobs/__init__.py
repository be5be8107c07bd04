"""Studies that wait and run: state, queue, worker, processes.

Internal: only names directly under `metapt_explore` are public.
"""
