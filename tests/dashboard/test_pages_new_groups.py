"""The form of a new study before its last button: usable tasks, kind of tasks, what is in the way, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from looking import charts, said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig
from metapt_explore.jobs import queue
from metapt_explore.seeds import stream
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]

TOPICS = {
    "Rechnung": "Rechnung Gutschrift Lastschrift Betrag Mahnung Konto zahlen Euro",
    "Störung": "Router Modem Leitung Empfang Update Kabel Fehler langsam",
    "Vertrag": "Vertrag Laufzeit Datum Umzug Anbieter beenden kündigen Widerruf",
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[StudyConfig]:
    found: list[StudyConfig] = []

    def enqueue(workspace: Workspace, study: StudyConfig, until: Any = "all") -> bool:
        found.append(study)
        return True

    monkeypatch.setattr(queue, "enqueue", enqueue)
    return found


@pytest.fixture
def inquiries(tmp_path: Path) -> Path:
    """Three hundred rows with semicolons and a byte order mark; labels are the topics, but for a tenth."""
    order = stream(0, "inquiries")
    lines = ["Nachricht;Thema"]
    for row in range(300):
        topic = list(TOPICS)[row % 3]
        words = " ".join(order.choice(TOPICS["Vertrag" if row % 10 == 0 else topic].split(), 5).tolist())
        lines.append(f"Guten Tag, {words} und {order.integers(10_000)} bitte helfen;{topic}")
    file = tmp_path / "Anfragen.csv"
    file.write_text("\n".join([*lines, ";Störung", lines[1]]), encoding="utf-8-sig")
    return file


def bars(at: AppTest) -> dict[str, int]:
    (chart,) = charts(at)
    return {bar["x"][place]: int(text) for bar in chart["data"] for place, text in enumerate(bar["text"])}


def test_topics_as_labels_go_from_upload_to_a_study_by_one_button(
    show: Open, tmp_path: Path, inquiries: Path, asked: list[StudyConfig]
) -> None:
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(inquiries)).run()
    assert not at.exception and not at.error
    assert at.radio(key="new_kind_of_tasks").value == "cluster_classes"
    assert "labels make few tasks" in said(at, "info") and "set aside for the comparison" in said(at, "info")
    assert list(bars(at)) == ["2", "3", "4", "6", "8", "12", "16", "24", "32"] and bars(at)["4"] == 4
    assert at.multiselect(key="new_tasks").value == [], "no film reviews beside labels of one's own"
    assert at.number_input(key="new_shots").value == 16
    times = list(at.radio(key="new_scale").proto.captions)
    assert all("About " in time for time in times) and times[2].endswith(" h.")
    clusters = at.number_input(key="new_clusters").value
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    (study,) = asked
    (of_clusters,) = study.auxiliary_tasks.cluster_classes
    assert of_clusters.template == "{text}\nThema:", "as the labels are read"
    assert study.clusterings[0].n_clusters == clusters
    (task,) = study.evaluation.tasks
    own = Path(task)
    assert own.name == "task.yaml" and study.texts.file == str(own.parent / "texts.jsonl")


def test_labels_can_teach_with_lower_bounds_and_their_lack_is_said(show: Open, tmp_path: Path, inquiries: Path) -> None:
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(inquiries)).run()
    before = at.number_input(key="new_clusters").value
    at.radio(key="new_kind_of_tasks").set_value("labels").run()
    at.number_input(key="new_min_per_label").set_value(20).run()
    assert not at.exception and "MetaPT needs several" in said(at, "warning") and sum(bars(at).values()) == 0
    at.number_input(key="new_min_per_label").set_value(1)
    at.number_input(key="new_min_size").set_value(3).run()
    assert max(bars(at).values()) > 1
    at.number_input(key="new_min_per_label").set_value(90).run()
    assert "A task needs 90 texts of each label" in said(at, "warning") and at.button(key="create").disabled
    at.radio(key="new_kind_of_tasks").set_value("cluster_classes").run()
    assert not at.button(key="create").disabled and at.number_input(key="new_clusters").value == before


def test_few_examples_have_a_fixed_recipe_and_too_many_are_said(
    show: Open, tmp_path: Path, inquiries: Path, asked: list[StudyConfig]
) -> None:
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(inquiries)).run()
    at.number_input(key="new_shots").set_value(90).run()
    assert at.button(key="create").disabled and "90 examples a class" in said(at, "warning")
    at.number_input(key="new_shots").set_value(1).run()
    assert "choosing by them would be luck" in said(at, "caption")
    at.number_input(key="new_clusters").set_value(5).run()
    at.number_input(key="new_shots").set_value(2).run()
    assert at.number_input(key="new_clusters").value == 5, "what a user chose stays"
    at.button(key="create").click().run()
    assert not at.exception and asked[0].evaluation.select_by == "last" and asked[0].clusterings[0].n_clusters == 5


def test_a_file_that_is_too_small_is_said_before_anything_starts(show: Open, tmp_path: Path) -> None:
    file = tmp_path / "small.csv"
    file.write_text(
        "text,label\n" + "".join(f"a small number of texts {n},{'ab'[n % 2]}\n" for n in range(10)), encoding="utf-8"
    )
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert not at.exception and not at.error
    assert "at least 20" in said(at, "warning") and at.button(key="create").disabled
    assert "packaged tasks are taken" in said(at, "info")
