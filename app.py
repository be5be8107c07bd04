"""The dashboard: ``streamlit run app.py``.

It reads the workspace folder ``$METAPT_WORKSPACE``, else ``./workspace``, and listens on localhost only
(``.streamlit/config.toml``). An installed package opens the same pages with ``metapt app``.
"""

from metapt_explore.dashboard.frame import show

if __name__ == "__main__":  # as Streamlit runs scripts; processes that it spawns import this file and open no page
    show()
