"""The script that `metapt app` starts; it lies apart from `pages/`, which Streamlit would take for pages of its own."""
