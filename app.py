"""The dashboard's frame: page title, navigation, and which study is looked at.

Run it with ``streamlit run app.py``; it reads the workspace folder ``$METAPT_WORKSPACE``, else ``./workspace``.
"""

from __future__ import annotations

import streamlit as st

from metapt_explore.pages import job, shared

st.set_page_config(page_title="metapt_explore", layout="wide")

PAGES = [
    st.Page("metapt_explore/pages/start.py", title="Start", default=True),
    st.Page("metapt_explore/pages/texts.py", title="Texts", url_path="texts"),
    st.Page("metapt_explore/pages/clusters.py", title="Clusters", url_path="clusters"),
    st.Page("metapt_explore/pages/pretraining.py", title="Pre-training", url_path="pretraining"),
    st.Page("metapt_explore/pages/fewshot.py", title="Few-shot", url_path="fewshot"),
    st.Page("metapt_explore/pages/compare.py", title="Compare", url_path="compare"),
    st.Page("metapt_explore/pages/lens.py", title="Prompt lens", url_path="lens"),
    st.Page("metapt_explore/pages/take_away.py", title="Take away", url_path="take_away"),
]

chosen = st.navigation(PAGES)
with st.sidebar, shared.guard():
    workspace = shared.open_workspace()
    shared.keep_workers(str(workspace.folder))
    shared.pick_study(workspace)
    job.badge(workspace)
chosen.run()
