"""A new study on somebody's own texts, made on the Texts page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from looking import metrics, said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import BaselineConfig, SourceConfig, StudyConfig
from metapt_explore.dashboard.parts.new_labels import labels_of
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.new import SCALES, new_study, study_name
from metapt_explore.study.uploads import keep_upload

Open = Callable[..., AppTest]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    file = tmp_path / "my reviews.csv"
    things = ("camera with a long battery", "soup with fresh bread", "train to the old town", "film about a ship")
    rows = [
        f'"{word} {thing}, number {n} of {17 * n}",{int(word == "good")},{"ab"[n % 2]}'
        for n in range(15)
        for thing in things
        for word in ("good", "bad")
    ]
    file.write_text("review,stars,domain\n" + "\n".join(rows) + "\n,1,a\n", encoding="utf-8")
    return file


def template(at: AppTest) -> Any:
    """The field that says how a text is read."""
    (field,) = (field for field in at.text_area if "How a text is read" in field.label)
    return field


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StudyConfig, Any]]:
    found: list[tuple[StudyConfig, Any]] = []

    def enqueue(workspace: Workspace, study: StudyConfig, until: Any = "all") -> bool:
        workspace.save_study(study)
        found.append((study, until))
        return True

    monkeypatch.setattr(queue, "enqueue", enqueue)
    return found


def test_a_file_becomes_a_study(
    show: Open, tmp_path: Path, reviews: Path, asked: list[tuple[StudyConfig, Any]]
) -> None:
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(reviews)).run()
    assert not at.exception and not at.error
    assert at.selectbox(key=f"t{reviews}").value == "review"
    assert at.selectbox(key=f"label{reviews}").value == "stars"
    assert at.selectbox(key=f"group{reviews}").value == "domain"
    assert metrics(at)["Rows"] == "121" and metrics(at)["Blank"] == "1"
    assert "1; they will be dropped" in said(at, "markdown")
    assert at.radio(key="new_kind_of_tasks").value == "labels" and not said(at, "info").startswith("Few clusters")
    at.number_input(key="new_clusters").set_value(3)
    at.radio(key="new_scale").set_value(SCALES[1])
    assert at.number_input(key="new_length").value == 8 and at.selectbox(key="new_placement").value is None
    at.number_input(key="new_length").set_value(20)
    at.selectbox(key="new_placement").set_value("deep")
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    ((study, until),) = asked
    assert (study.prompt.length, study.prompt.placement) == (20, "deep")
    assert until == "clusters" and study.name == "my-reviews" and study.clustering("kmeans").n_clusters == 3
    assert study.texts.columns.label == "stars" and study.texts.columns.group == "domain"
    assert {n: (of.value, of.word) for n, of in study.auxiliary_tasks.labels.items()} == {
        "positive": ("1", "positive"), "negative": ("0", "negative"),
    }  # fmt: skip
    assert study.evaluation.init_seeds == [0, 1, 2, 3, 4] and study.labelling is None
    assert at.title[0].value == "Clusters", "the page that comes next is open"


def test_numbers_as_labels_are_asked_about_and_the_column_says_how_a_text_is_read(
    show: Open, tmp_path: Path, reviews: Path
) -> None:
    file = tmp_path / "news.csv"
    rows = [f"report {n} on {word},{value}" for n in range(20) for value, word in enumerate(("war", "sport", "trade"))]
    file.write_text("text,news_topic\n" + "\n".join(rows) + "\n", encoding="utf-8")
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert not at.exception
    assert "0, 1, 2: a number is no word" in said(at, "warning")
    assert template(at).value == "{text}\nNews topic:"
    at.text_input(key="new_path").set_value(str(reviews)).run()
    assert template(at).value == "{text}\nSentiment:", "another file, another guess"


def test_groupings_baselines_and_examples_are_chosen(
    show: Open, tmp_path: Path, reviews: Path, asked: list[tuple[StudyConfig, Any]]
) -> None:
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(reviews)).run()
    assert "the group column" in at.multiselect(key="new_algorithms_domain").options
    at.multiselect(key="new_algorithms_domain").set_value([]).run()
    assert at.button(key="create").disabled
    assert "Choose how texts are grouped" in said(at, "warning") and not asked
    at.multiselect(key="new_algorithms_domain").set_value(["hdbscan", "known_groups", "lda"]).run()
    at.number_input(key="new_clusters").set_value(5)
    at.selectbox(key="new_outliers").set_value("c_tf_idf")
    at.selectbox(key="new_embeddings").set_value("tfidf").run()
    assert any("The study uses TF-IDF with more dimensions" in str(box.value) for box in at.caption)
    offered = at.multiselect(key="new_baselines")
    assert offered.options == [kind.title for kind in BaselineConfig.kinds.values() if not kind.combines]
    offered.set_value(["tfidf", "setfit", "setfit_package", "static_embeddings"]).run()
    at.checkbox(key="new_together").check()
    at.selectbox(key="new_encoder_setfit").set_value("sentence-transformers/all-mpnet-base-v2")
    at.selectbox(key="new_model_static_embeddings").set_value("minishlab/potion-multilingual-128M").run()
    assert "'sentence-transformers/all-mpnet-base-v2' is not on this machine: the study downloads it." in said(
        at, "caption"
    )
    assert "32" not in at.multiselect(key="new_more_shots").options, "no class has so many texts"
    at.checkbox(key="new_own_task").uncheck().run()
    at.multiselect(key="new_more_shots").set_value([64, 1]).run()
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    ((study, _),) = asked
    grouped = [(c.name, c.algorithm, c.source) for c in study.clusterings]
    assert grouped == [
        ("hdbscan", "hdbscan", None), ("known_groups", "known_groups", None), ("lda", "lda", None),
        ("random", "random_groups", "hdbscan"),
    ]  # fmt: skip
    assert study.clustering("lda").n_clusters == 5 and study.embeddings.kind == "tfidf"
    assert study.clusterings[0].model_dump()["outliers"] == "c_tf_idf"
    learned = {m.name: m.clustering for m in study.methods if m.kind == "metapt"}
    assert learned == {
        "MetaPT hdbscan": "hdbscan", "MetaPT known groups": "known_groups", "MetaPT lda": "lda",
        "MetaPT random groups": "random", "MetaPT hdbscan and probe": "hdbscan",
    }  # fmt: skip
    probed = [m.name for m in study.methods if study.reading_of(m).has_probe]
    assert probed == ["PT and probe", "PPT and probe", "MetaPT hdbscan and probe"]
    assert [b.kind for b in study.baselines] == [
        "tfidf", "setfit", "setfit_package", "static_embeddings", "linear_probe", "average",
    ]  # fmt: skip
    _, setfit, package, static, _, together = (baseline.model_dump() for baseline in study.baselines)
    assert together["of"] == ["PPT and probe", "linear_probe"]
    assert setfit["encoder"] == "sentence-transformers/all-mpnet-base-v2" and package["encoder"] is None
    assert static["model"] == "minishlab/potion-multilingual-128M"
    assert study.evaluation.more_shots == [1, 64]


def test_no_group_column_no_known_groups(show: Open, tmp_path: Path, asked: list[tuple[StudyConfig, Any]]) -> None:
    file = tmp_path / "plain.csv"
    file.write_text(
        "text,label\n" + "".join(f"a line of text number {n},{n % 2}\n" for n in range(40)), encoding="utf-8"
    )
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert "the group column" not in at.multiselect(key="new_algorithms_None").options
    at.checkbox(key="new_control").uncheck()
    at.checkbox(key="new_probe").uncheck()
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    assert [m.name for m in asked[0][0].methods] == ["PT", "PPT", "MetaPT"]


def test_a_study_that_is_at_work_is_not_asked_for_twice(
    show: Open, tmp_path: Path, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "enqueue", lambda workspace, study, until: False)
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(reviews)).run()
    at.button(key="create").click().run()
    assert not at.exception and "'my-reviews' runs or waits for its turn" in said(at, "error")


def test_texts_without_labels_get_some(show: Open, tmp_path: Path, asked: list[tuple[StudyConfig, Any]]) -> None:
    file = tmp_path / "lines.jsonl"
    file.write_text("".join(f'{{"text": "a line of text, number {n}"}}\n' for n in range(60)), encoding="utf-8")
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    at.multiselect(key="new_formats").set_value([]).run()
    assert "the language model gives them some" in said(at, "caption")
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    assert asked[0][0].labelling is not None and asked[0][0].labelling.by == "zero_shot"


def test_texts_without_labels_are_tasks_themselves(
    show: Open, tmp_path: Path, asked: list[tuple[StudyConfig, Any]]
) -> None:
    file = tmp_path / "lines.jsonl"
    line = '{{"text": "A line of text, number {}. It goes on for a while. Then it ends here."}}\n'
    file.write_text("".join(map(line.format, range(60))), encoding="utf-8")
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    at.multiselect(key="new_formats").select("sentence_pair").run()
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    study = asked[0][0]
    file.write_text("".join(f'{{"text": "only one sentence, number {n}"}}\n' for n in range(60)), encoding="utf-8")
    at.switch_page("metapt_explore/dashboard/views/texts.py").run()
    at.text_input(key="new_path").set_value(str(file)).run()
    at.multiselect(key="new_formats").select("sentence_pair").run()
    assert "0 of 60 texts have three sentences" in said(at, "warning") and at.button(key="create").disabled
    assert [each.format for each in study.auxiliary_tasks.formats] == ["cluster_classes", "sentence_pair"]
    assert study.labelling is None and study.method("PPT").clusterings == study.method("MetaPT").clusterings


@pytest.mark.parametrize(
    ("content", "told"), [("text,label\nonly one field too many,1,2\n", "line 2"), ("", "is empty"), (None, "no file")]
)
def test_a_file_that_cannot_be_read_says_where(show: Open, tmp_path: Path, content: str | None, told: str) -> None:
    file = tmp_path / "bad.csv"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert not at.exception and told in said(at, "error")


def test_what_does_not_make_a_study_is_said_and_nothing_is_lost(
    show: Open, tmp_path: Path, reviews: Path, asked: list[tuple[StudyConfig, Any]]
) -> None:
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(reviews)).run()
    at.checkbox(key="new_own_task").uncheck().run()
    at.multiselect(key="new_tasks").set_value([]).run()
    assert "Choose a downstream task" in said(at, "warning")
    at.multiselect(key="new_tasks").set_value(["trec"]).run()
    template(at).set_value("no place for it").run()
    assert not at.exception and "{text} exactly once" in said(at, "warning") and not asked
    assert at.multiselect(key="new_tasks").value == ["trec"]


def test_without_the_starter_packages_the_command_is_shown(
    show: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metapt_explore.starter import texts as starter

    monkeypatch.setattr(starter, "installed_sets", lambda: [])
    at = show(tmp_path / "workspace", "texts")
    at.segmented_control(key="new_kind").set_value("a packaged set").run()
    assert not at.exception and "metapt setup" in [code.value for code in at.code]


# ------------------------------------------------------------------------------------ what it is made of


def test_an_upload_is_kept_once_under_a_plain_name(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    first = keep_upload(workspace, "../my texts (1).CSV", b"text\nhello\n")
    assert (
        first.parent == workspace.folder / "uploads" and first.name.startswith("my-texts-1-") and first.suffix == ".csv"
    )
    assert keep_upload(workspace, "../my texts (1).CSV", b"text\nhello\n") == first
    assert keep_upload(workspace, "../my texts (1).CSV", b"text\nother\n") != first


def test_an_upload_that_is_packed_keeps_both_suffixes(tmp_path: Path) -> None:
    kept = keep_upload(Workspace(tmp_path), "My Texts.CSV.gz", b"packed")
    assert kept.name.startswith("My-Texts-") and kept.name.endswith(".csv.gz")


def test_a_study_gets_a_name_that_is_free(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    labels = {"a": {"value": "a", "word": "one"}, "b": {"value": "b", "word": "two"}}
    workspace.save_study(new_study(study_name("täxts!", workspace), SourceConfig(file="x.csv"), labels, tasks=["trec"]))
    assert study_name("täxts!", workspace) == "t-xts--2"


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: scale.name)
def test_every_scale_is_a_study(scale: Any) -> None:
    labels = {"a": {"value": "a", "word": "one"}, "b": {"value": "b", "word": "two"}}
    study = new_study("x", SourceConfig(starter="vader"), labels, tasks=["trec", "subjectivity"], scale=scale)
    assert [method.kind for method in study.methods] == ["pt", "ppt", "metapt", "metapt"]
    with pytest.raises(UserError, match="at least two labels"):
        new_study("x", SourceConfig(starter="vader"), {"a": labels["a"]}, tasks=["trec"], scale=scale)


def test_classes_out_of_the_table() -> None:
    rows: list[dict[Any, Any]] = [
        {"value in the data": "1", "class": "bad", "word": "bad"},
        {"value in the data": "2", "class": float("nan"), "word": "bad"},
        {"value in the data": "5", "class": " good ", "word": "great"},
    ]
    assert labels_of(rows) == {"bad": {"value": "1", "word": "bad"}, "good": {"value": "5", "word": "great"}}
    with pytest.raises(UserError, match="Two values have the class 'bad'"):
        labels_of([*rows, {"value in the data": "3", "class": "bad", "word": "x"}])
    with pytest.raises(UserError, match="'so so' has no word"):
        labels_of([{"value in the data": "3", "class": "so so", "word": float("nan")}])


def test_a_relative_path_is_meant_from_where_the_server_runs(
    show: Open, tmp_path: Path, reviews: Path, asked: list[tuple[StudyConfig, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reviews.parent)
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(reviews.name).run()
    at.checkbox(key="new_own_task").uncheck().run()
    at.button(key="create").click().run()
    assert not at.exception and not at.error and asked[0][0].texts.file == str(reviews)
