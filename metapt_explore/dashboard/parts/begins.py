"""The Few-shot page's part on starts that each data seed makes of its own few-shot rows."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import drawing
from metapt_explore.results.begins import begins_table


def show_begins(results: pd.DataFrame) -> None:
    """A table of the starts; nothing where every data seed begins from its method's prompt as it is.

    Args:
        results: What `results_table` returned.
    """
    table = begins_table(results)
    if table.empty:
        return
    st.header("Where tuning began")
    drawing.show_table(table, key="begins", hide_index=True)
    st.caption(
        "These methods do not begin every data seed from the same prompt: each start is made with the training rows of "
        "its own data seed. Dev and test rows have no part in it. Of a mixture the three heaviest starts are named, "
        "with their weights."
    )
