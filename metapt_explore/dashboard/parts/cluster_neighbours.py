"""The texts nearest to one text, in all dimensions of the embeddings rather than on the map."""

from __future__ import annotations

from contextlib import suppress

import pandas as pd
import streamlit as st

from metapt_explore.clusters.neighbours import nearest
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.dashboard.parts.cluster_view import View, vectors_of
from metapt_explore.errors import UserError

#: Neighbours that are listed.
SHOWN = 15


def row_key(view: View) -> str:
    """Session key of the text whose neighbours are listed."""
    return f"near_{view.artifact.id}"


def row_of(view: View) -> int | None:
    """The text whose neighbours are listed; None where nobody chose one."""
    row = st.session_state.get(row_key(view))
    return None if row is None or not 0 <= int(row) < len(view.written) else int(row)


def rows_near(view: View) -> list[int]:
    """The chosen text and its neighbours; none where there is no chosen text."""
    row = row_of(view)
    if row is None:
        return []
    with suppress(UserError):  # said where neighbours are listed
        return [row, *map(int, nearest(vectors_of(view.artifact), row, SHOWN)[0])]
    return [row]


def show(view: View) -> None:
    """A box for the text's row, and its neighbours with their similarity."""
    st.number_input(
        "Row of the text",
        0,
        len(view.written) - 1,
        value=None,
        key=row_key(view),
        placeholder="or choose a text in the list of texts",
        help="Nearest by cosine similarity of the embeddings: what clusters are made from.",
    )
    row = row_of(view)
    if row is None:
        st.caption("Choose a text by its row, or click a line of the list of texts.")
        return
    st.text(str(view.written["text"].loc[row])[:600])
    with messages.guard():
        rows, similarity = nearest(vectors_of(view.artifact), row, SHOWN)
        of = view.points.set_index("row")["cluster"].map(view.names)
        table = pd.DataFrame(
            {
                "text": view.written["text"].loc[rows].to_numpy(),
                "similarity": similarity.round(3),
                "cluster": of.loc[rows].to_numpy(),
                "row": rows,
            }
        )
        drawing.show_table(table, key="nearest", hide_index=True, height=400)
        same = int((of.loc[rows] == of.loc[row]).sum())
        st.caption(
            messages.plain(
                f"{same} of these {len(rows)} lie in its own cluster, {of.loc[row]}. They are ringed on the map: where "
                "they lie far from it, two dimensions were too few."
            )
        )
