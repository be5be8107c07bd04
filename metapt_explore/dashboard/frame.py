"""The dashboard's frame: page title, navigation and choice of study.

`streamlit run app.py` shows it in the repository, `metapt app` where the package is installed.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from metapt_explore.dashboard.parts import banner, job, messages, shared, study_choice

FOLDER = Path(__file__).parent / "views"
#: What no theme option says: contrast, focus, sizes of headings, touch.
STYLE = Path(__file__).parent / "style.css"
#: Loads a page anew that Streamlit's own fault has emptied.
RECOVERY = Path(__file__).parent / "recovery.html"

#: File, title and address of each page, in the order of the story.
PAGES = (
    ("start", "Start", None),
    ("texts", "Texts", "texts"),
    ("clusters", "Clusters", "clusters"),
    ("pretraining", "Pre-training", "pretraining"),
    ("fewshot", "Few-shot", "fewshot"),
    ("compare", "Compare", "compare"),
    ("errors", "Errors", "errors"),
    ("lens", "Prompt lens", "lens"),
    ("export", "Export", "export"),
)


def show() -> None:
    """Draws the side bar and the page that was chosen."""
    pages = [
        st.Page(FOLDER / f"{name}.py", title=title, url_path=address, default=address is None)
        for name, title, address in PAGES
    ]
    chosen = st.navigation(pages)
    # Set here: the browser's tab and history then say which page it is.
    st.set_page_config(page_title=f"{chosen.title} · metapt_explore", layout="wide")
    st.html(STYLE)
    with st.sidebar, messages.guard():
        workspace = shared.open_workspace()
        shared.keep_workers(str(workspace.folder))
        study_choice.pick_study(workspace)
        job.badge(workspace)
        st.html(RECOVERY, unsafe_allow_javascript=True)  # a file of ours, no foreign text in it
    with messages.guard():
        page = next(name for name, _, address in PAGES if (address or "") == chosen.url_path)
        banner.show(shared.open_workspace(), page)
    chosen.run()
