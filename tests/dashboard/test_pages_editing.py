"""Searching and editing clusters on their page, and keeping what was edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import handmade
import pytest
from looking import charts, metrics, said
from pydantic import Field
from streamlit.testing.v1 import AppTest

from metapt_explore.config import ClusterEdit, MethodConfig, StudyConfig
from metapt_explore.config.learners import MetaPTMethod
from metapt_explore.dashboard.parts.cluster_reading import chosen_rows
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.extend import with_edited_clustering, with_method, with_sweep

Open = Callable[..., AppTest]
KEY = "clusters-0000000000000000"


def choose(at: AppTest, *clusters: int) -> AppTest:
    return at.multiselect(key=f"chosen_{KEY}").set_value(list(clusters)).run()


def test_a_search_rings_what_it_finds_and_lists_it(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "clusters")
    at.text_input(key="search").set_value("PHONE").run()
    assert not at.exception and not at.error
    assert "2 of 7 texts match" in said(at, "caption")
    assert at.dataframe[0].value[["text", "cluster"]].values.tolist() == [
        ["good phone", "0: phone"], ["bad phone", "0: phone"],
    ]  # fmt: skip
    assert charts(at)[0]["data"][-1]["name"] == "matches (2)"
    at.text_input(key="search").set_value("[.*").run()
    assert not at.exception and "0 of 7 texts" in said(at, "caption")


def test_what_is_chosen_on_the_map_is_read_by_its_rows() -> None:
    assert chosen_rows({"selection": {"points": [{"customdata": 4}, {"customdata": [2]}, {"x": 1.0}]}}) == [2, 4]
    assert chosen_rows(None) == [] and chosen_rows({}) == []


def test_a_merge_is_seen_at_once_and_taken_back(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "clusters")
    assert at.button(key=f"merge_{KEY}").disabled and at.button(key=f"split_{KEY}").disabled
    choose(at, 0, 1)
    at.button(key=f"merge_{KEY}").click().run()
    assert not at.exception and not at.error
    assert "an edit that is not saved" in said(at, "warning")
    assert at.multiselect(key=f"chosen_{KEY}").value == []
    frames = {tuple(frame.value.columns): frame.value for frame in at.dataframe}
    edits = next(frame for columns, frame in frames.items() if columns == ("edits, in order",))
    assert edits.iloc[:, 0].tolist() == ["merge 0, 1"]
    about = next(frame for columns, frame in frames.items() if "keywords" in columns)
    assert about["texts"].tolist() == [6] and about["cluster"].tolist()[0].startswith("0: ")
    # Before and after stand side by side: the merged cluster holds both.
    heat = next(chart for chart in charts(at) if chart["data"][0]["type"] == "heatmap")
    assert heat["data"][0]["text"] == [[1, 0, 0], [0, 3, 3]]
    assert metrics(at)["Texts in a cluster of both"] == "6"
    at.button(key="undo").click().run()
    assert not at.exception and "not saved" not in said(at, "warning")
    about = next(frame.value for frame in at.dataframe if "keywords" in frame.value.columns)
    assert about["texts"].tolist() == [3, 3]


def test_a_name_is_shown_as_it_is_and_a_cluster_left_out(show: Open, demo: Workspace) -> None:
    at = choose(show(demo.folder, "clusters"), 1)
    at.text_input(key=f"name_{KEY}").set_value("<b>books</b>").run()
    at.button(key=f"rename_{KEY}").click().run()
    choose(at, 0)
    at.button(key=f"exclude_{KEY}").click().run()
    assert not at.exception and not at.error
    about = next(frame.value for frame in at.dataframe if "keywords" in frame.value.columns)
    assert about["cluster"].tolist() == ["1: <b>books</b>"]
    assert [trace["name"] for trace in charts(at)[0]["data"]] == ["outliers", "1: &lt;b&gt;books&lt;/b&gt;"]


def test_a_split_without_embeddings_says_what_is_missing(show: Open, demo: Workspace) -> None:
    at = choose(show(demo.folder, "clusters"), 0)
    at.button(key=f"split_{KEY}").click().run()
    assert not at.exception
    assert "embeddings.safetensors" in said(at, "error") and "not saved" not in said(at, "warning")


def test_edits_are_kept_as_a_new_clustering_of_the_study(
    show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[StudyConfig, Any]] = []
    monkeypatch.setattr(queue, "enqueue", lambda workspace, study, until="all": asked.append((study, until)) or True)
    at = choose(show(demo.folder, "clusters"), 0, 1)
    at.button(key=f"merge_{KEY}").click().run()
    assert at.text_input(key=f"keep_as_{KEY}").value == "kmeans by hand"
    at.checkbox(key=f"keep_control_{KEY}").check().run()
    at.button(key="keep").click().run()
    assert not at.exception and not at.error
    (study, until), = asked  # fmt: skip
    assert until == "clusters"
    assert [c.name for c in study.clusterings] == ["kmeans", "kmeans by hand", "kmeans by hand at random"]
    assert study.clustering("kmeans by hand").edits == [ClusterEdit(merge=[0, 1])]
    assert [m.name for m in study.methods][-2:] == ["MetaPT kmeans by hand", "MetaPT kmeans by hand at random"]
    assert "not saved" not in said(at, "warning")


@pytest.mark.parametrize(("name", "told"), [("kmeans", "already"), ("  ", "a name")])
def test_a_name_that_does_not_do_is_refused(show: Open, demo: Workspace, name: str, told: str) -> None:
    at = choose(show(demo.folder, "clusters"), 0, 1)
    at.button(key=f"merge_{KEY}").click().run()
    at.text_input(key=f"keep_as_{KEY}").set_value(name).run()
    at.button(key="keep").click().run()
    assert told in said(at, "error") and "an edit" in said(at, "warning"), "nothing that was done is lost"


# ------------------------------------------------------------------------------------ the study itself


def test_a_study_that_grows_keeps_what_it_has(demo: Workspace) -> None:
    before, index = demo.study_config(handmade.NAME), demo.index(handmade.NAME)
    grown = with_edited_clustering(before, "kmeans", "mine", [ClusterEdit(exclude=[1])], control=True)
    demo.save_study(grown)
    assert demo.study_config(handmade.NAME) == grown and demo.index(handmade.NAME) == index
    # Another setting is another study.
    other = grown.model_copy(update={"pretraining": grown.pretraining.model_copy(update={"steps": 4})})
    demo.save_study(other)
    assert demo.index(handmade.NAME) == []


def test_a_study_that_loses_or_changes_something_starts_anew(demo: Workspace) -> None:
    before = demo.study_config(handmade.NAME)
    demo.save_study(before.model_copy(update={"methods": before.methods[:2]}))
    assert demo.index(handmade.NAME) == []


def test_a_method_on_an_edited_clustering_is_like_the_one_on_its_base(demo: Workspace) -> None:
    study = demo.study_config(handmade.NAME)
    own = [m.model_copy(update={"inner_lr": 0.5}) if m.kind == "metapt" else m for m in study.methods]
    grown = with_edited_clustering(study.model_copy(update={"methods": own}), "kmeans", "x", [ClusterEdit(split=0)])
    assert grown.method("MetaPT x").inner_lr == 0.5 and grown.method("MetaPT x").clusterings == ["x"]
    with pytest.raises(UserError, match="Nothing is edited"):
        with_edited_clustering(study, "kmeans", "y", [])


def test_other_numbers_of_clusters_are_asked_for(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    at = show(demo.folder, "clusters")
    assert at.button(key="sweep").disabled
    at.multiselect(key="counts_demo_kmeans").set_value([4, 8]).run()
    at.button(key="sweep").click().run()
    assert not at.exception and not at.error
    assert [c.name for c in demo.study_config(handmade.NAME).clusterings] == ["kmeans", "kmeans-4", "kmeans-8"]
    assert dict(queue.requests(demo))[handmade.NAME]["until"] == "clusters"
    queue.cancel(demo, handmade.NAME)
    at.run()
    at.button(key="ask_stability").click().run()
    assert dict(queue.requests(demo))[handmade.NAME]["until"] == "stability"


def test_a_sweep_knows_what_is_there(demo: Workspace) -> None:
    study = demo.study_config(handmade.NAME)
    grown = with_sweep(study, "kmeans", [2, 5], pretrain=True)
    assert [c.n_clusters for c in grown.clusterings] == [2, 5], "2 is what it has"
    assert grown.methods[-1].name == "MetaPT kmeans-5" and grown.methods[-1].clusterings == ["kmeans-5"]
    with pytest.raises(UserError, match="there already"):
        with_sweep(grown, "kmeans", [2, 5])
    edited = with_edited_clustering(study, "kmeans", "hand", [ClusterEdit(exclude=[1])])
    with pytest.raises(UserError, match="not told how many"):
        with_sweep(edited, "hand", [3])


def test_a_method_is_added_on_the_pretraining_page(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "pretraining")
    at.text_input(key="method_demo_name").set_value("exact")
    at.multiselect(key="method_demo_of").set_value(["kmeans"])
    at.selectbox(key="method_demo_order").set_value("exact")
    index = demo.index(handmade.NAME)
    submit = next(button for button in at.button if button.label == "Add it to the study")
    submit.click().run()
    assert not at.exception and not at.error and "is in the study" in said(at, "success")
    added = demo.study_config(handmade.NAME).methods[-1]
    assert (added.name, added.order, added.inner_lr) == ("exact", "exact", None)
    assert demo.index(handmade.NAME) == index, "what is there still answers what it answered"


def test_a_rate_of_inner_steps_is_kept_with_the_steps_that_it_is_for(show: Open, demo: Workspace) -> None:
    """Alone in a file it would be one of plain gradient steps, whatever the form showed beside it."""
    at = show(demo.folder, "pretraining")
    shown = at.selectbox(key="method_demo_inner_optimiser").value
    at.text_input(key="method_demo_name").set_value("long")
    at.multiselect(key="method_demo_of").set_value(["kmeans"])
    at.number_input(key="method_demo_inner_lr").set_value(0.05)
    next(button for button in at.button if button.label == "Add it to the study").click().run()
    assert not at.exception and not at.error
    config = demo.study_config(handmade.NAME)
    added = config.methods[-1]
    assert isinstance(added, MetaPTMethod) and (added.inner_lr, added.inner_optimiser) == (0.05, shown)
    assert added.inner_optimiser_among(config.pretraining) == shown


def test_the_form_for_a_method_has_the_fields_of_its_class(show: Open, demo: Workspace) -> None:
    def form(at: AppTest) -> set[str]:
        widgets = [*at.selectbox, *at.number_input, *at.checkbox, *at.multiselect]
        return {str(w.key).removeprefix("method_demo_") for w in widgets if str(w.key).startswith("method_demo_")}

    at = show(demo.folder, "pretraining")
    assert {"kind", "learner", "of", "order", "inner_steps", "inner_lr", "outer_lr", "task_weights"} <= form(at)
    at.selectbox(key="method_demo_learner").set_value("reptile").run()
    assert "inner_steps" in form(at) and "order" not in form(at)
    at.selectbox(key="method_demo_kind").set_value("pt").run()
    assert form(at) == {"kind", "extra_tuning"} and not at.exception


def test_the_form_for_a_method_knows_a_new_learner(
    show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lookahead(MetaPTMethod):
        title = "Lookahead"
        learner: Literal["lookahead"]
        pull: float = Field(0.5, ge=0, le=1, description="how far the slow prompt follows")

    monkeypatch.setattr(MethodConfig, "kinds", {**MethodConfig.kinds, "lookahead": Lookahead})
    at = show(demo.folder, "pretraining")
    at.selectbox(key="method_demo_learner").set_value("lookahead").run()
    pull = at.number_input(key="method_demo_pull")
    assert (pull.value, pull.min, pull.max, pull.help) == (0.5, 0, 1, "how far the slow prompt follows")
    assert "method_demo_order" not in [widget.key for widget in at.selectbox] and not at.exception


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ({"name": "PPT", "kind": "ppt"}, "already"),
        ({"name": "x", "kind": "metapt"}, "needs `clustering`"),
        ({"name": "x", "kind": "metapt", "clustering": "kmaens"}, "Did you mean 'kmeans'"),
        ({"name": "x", "kind": "metapt", "clustering": "kmeans", "learner": "reptile", "order": "exact"}, "reptile"),
    ],
)
def test_a_method_that_does_not_fit_is_refused(demo: Workspace, method: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        with_method(demo.study_config(handmade.NAME), method)
