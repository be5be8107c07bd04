"""Script of the dashboard in an installed package; `app.py` does the same in the repository."""

from metapt_explore.dashboard.frame import show

if __name__ == "__main__":  # as Streamlit runs scripts; whoever imports all modules opens no page
    show()
