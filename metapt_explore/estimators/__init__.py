"""Estimators in scikit-learn's habit: a prompt that is fitted, predicts, is saved and loaded again.

They build a study of their arguments and rows and have its stages computed; there is no second way to learn.

Internal: only names directly under `metapt_explore` are public.
"""
