"""Why scores came out so: agreement of gradients, clusters left out.

Internal: only names directly under `metapt_explore` are public.
"""
