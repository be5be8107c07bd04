"""Pre-training of prompts: the loop, meta-learners, episodes, budgets.

Internal: only names directly under `metapt_explore` are public.
"""
