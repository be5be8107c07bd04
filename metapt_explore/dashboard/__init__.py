"""The script that `metapt app` starts; it lies outside `views/`, whose files Streamlit would take for pages.

Internal: only names directly under `metapt_explore` are public.
"""
