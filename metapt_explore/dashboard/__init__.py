"""The script that `metapt app` starts; it lies apart from `views/`, which Streamlit would take for pages of its own.

Internal: only names directly under `metapt_explore` are public.
"""
