"""Every page over an empty and over a finished workspace."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import handmade
import pytest
import tiny
import yaml
from looking import PAGES, TITLES, charts, decoded, metrics, said, tab
from streamlit.testing.v1 import AppTest
from waiting import LIMIT

from metapt_explore.config import MethodConfig, StudyConfig, load_study
from metapt_explore.jobs import queue
from metapt_explore.results.tables import results_table, summary_table
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]
CLUSTERS = "clusters-0000000000000000"
#: Means of the methods in the workspace written by hand, the worst first.
LEVELS = [("PT", 55.0), ("PPT", 60.0), ("MetaPT", 72.5)]


# ----------------------------------------------------------------------------------------- empty


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_workspace_says_what_to_do_next(show: Open, tmp_path: Path, page: str) -> None:
    at = show(tmp_path / "none", page)
    assert not at.exception and not at.error
    assert at.title[0].value == TITLES[PAGES.index(page)]
    told = said(at, "info", "markdown")
    assert "metapt run STUDY.yaml" in told and "tour" in told
    assert not (tmp_path / "none").exists()


def test_one_click_starts_the_tour(show: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, str]] = []

    def start(workspace: Workspace, study: StudyConfig, until: str) -> bool:
        asked.append((workspace.folder, study.name))
        write_json(workspace.study_folder(study.name) / "job.json", {"status": "starting", "began": time.time()})
        return True

    monkeypatch.setattr(queue, "enqueue", start)
    at = show(tmp_path, "start")
    at.button(key="start_tour").click().run()
    assert asked == [(tmp_path, "tour")]
    assert not at.exception and not at.error
    assert at.selectbox(key="study").value == "tour"
    assert at.button(key="start_tour").disabled and not at.button(key="cancel").disabled
    assert at.dataframe[0].value["status"].tolist() == ["starting"]


def test_without_the_starter_the_tour_button_is_off_and_the_command_shown(
    show: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metapt_explore.models import setup as setup_starter

    opened = show(tmp_path, "start")
    assert not opened.button(key="start_tour").disabled
    monkeypatch.setattr(setup_starter, "is_set_up", lambda: False)
    at = opened.run()
    assert at.button(key="start_tour").disabled
    assert "metapt setup" in [code.value for code in at.code]


@pytest.mark.parametrize(
    ("path", "told"),
    [("", "Write the path"), ("nowhere.yaml", "no file nowhere.yaml"), ("toor", "Did you mean 'tour'?")],
)
def test_a_wrong_study_path_is_explained(show: Open, tmp_path: Path, path: str, told: str) -> None:
    at = show(tmp_path, "start")
    at.text_input(key="study_path").set_value(path)
    at.button(key="start_study").click().run()
    assert not at.exception
    assert told in said(at, "error")


def test_a_study_file_is_started_by_its_path(
    show: Open, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def start(workspace: Workspace, study: StudyConfig, until: str) -> bool:
        asked.append(study.name)
        workspace.save_study(study)
        return True

    monkeypatch.setattr(queue, "enqueue", start)
    at = show(tmp_path, "start")
    at.text_input(key="study_path").set_value(str(world / "tiny.yaml"))
    at.button(key="start_study").click().run()
    assert asked == ["tiny"] and not at.error
    assert "no longer part" not in said(at, "info")
    # A file is taken as it is: who added a method on a page hears that the file has it not, and where it is.
    config = load_study(world / "tiny.yaml")
    more = MethodConfig(name="PT from labels", kind="pt", init="labels")
    Workspace(tmp_path).save_study(config.model_copy(update={"methods": [*config.methods, more]}))
    at.text_input(key="study_path").set_value(str(world / "tiny.yaml"))
    at.button(key="start_study").click().run()
    kept = Workspace(tmp_path).study_folder("tiny") / "study.before-1.yaml"
    assert "no longer part of the study: PT from labels. The study as it was, " in said(at, "info")
    assert f" is {kept};" in said(at, "info") and "PT from labels" in kept.read_text(encoding="utf-8")
    at.text_input(key="study_path").set_value("nowhere.yaml")
    at.button(key="start_study").click().run()
    assert "no longer part" not in said(at, "info")


def test_an_old_name_in_a_study_file_is_told_once(
    show: Open, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "enqueue", lambda workspace, study, until: workspace.save_study(study) is None)
    file = tmp_path / "older.yaml"
    file.write_text(yaml.safe_dump(tiny.study_tree(world, prompt={"length": 3, "start": "labels"})), encoding="utf-8")
    at = show(tmp_path / "w", "start")
    at.text_input(key="study_path").set_value(str(file))
    at.button(key="start_study").click().run()
    assert not at.error and said(at, "info").count("is now called") == 1
    assert Workspace(tmp_path / "w").study_config("tiny").prompt.init.kind == "labels"


# -------------------------------------------------------------------------------------- finished


@pytest.mark.parametrize("page", PAGES)
def test_pages_over_the_real_pipelines_files(show: Open, copied: Workspace, page: str) -> None:
    at = show(copied.folder, page)
    assert not at.exception and not at.error
    assert at.title[0].value == TITLES[PAGES.index(page)]
    assert at.query_params == {"study": "tiny"}


def test_scores_over_the_real_pipelines_files(show: Open, copied: Workspace) -> None:
    at = tab(show(copied.folder, "fewshot"), "scores", "Start and worst")
    shown, true = at.dataframe[0].value, summary_table(results_table(copied, "tiny"))
    assert shown[["task", "method", "seeds"]].equals(true[["task", "method", "seeds"]])
    assert shown["mean"].tolist() == pytest.approx((100 * true["mean"]).round(1).tolist())
    assert tab(at, "scores", "All scores").dataframe[0].value.equals(results_table(copied, "tiny"))
    assert tab(at, "scores", "Seeds").selectbox(key="spread_task").options == ["mean over tasks", "mood", "question"]


def test_the_real_pipelines_map_holds_every_text(show: Open, copied: Workspace) -> None:
    at = show(copied.folder, "clusters")
    texts = next(entry for entry in copied.index("tiny") if entry["kind"] == "texts")
    kept = copied.artifact(texts["id"]).summary["kept"]
    assert sum(len(trace["text"]) for trace in charts(at)[0]["data"]) == kept
    at.selectbox(key="clustering").set_value("topics").run()
    assert not at.exception and metrics(at)["Adjusted Rand index"] == "1.00"


def test_the_real_pipelines_curves_hold_every_step(show: Open, copied: Workspace) -> None:
    at = show(copied.folder, "pretraining")
    assert sum(len(trace["x"]) for trace in charts(at)[0]["data"]) == 3 * 4 * 2  # lines, steps, tasks a step
    at.selectbox(key="method").set_value("PPT").run()
    assert decoded(charts(at)[0]["data"][0]["x"]) == [0, 1, 2, 3]
    assert metrics(at)["Outer steps"] == "4 of 4"


def test_start_lists_studies(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "start")
    assert at.dataframe[0].value.to_dict("records") == [
        {"study": "demo", "status": "finished", "progress": "100 %", "finished scores": "3 of 3"}
    ]
    assert "finished" in said(at, "success")
    assert at.button(key="resume").disabled and at.button(key="cancel").disabled


def test_clusters_show_map_keywords_quality_and_texts(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "clusters")
    shown = metrics(at)
    assert shown["Silhouette"] == "0.43" and shown["Outliers"] == "14.3 %"
    texts, keywords = (frame.value for frame in at.dataframe)
    assert keywords["keywords"].tolist() == ["phone, <b>screen</b>", "book"]
    assert keywords["auxiliary task"].tolist() == ["yes", "no: 2 labelled rows, min_size is 3"]
    assert texts["text"].tolist() == ["good phone", "bad phone", handmade.EVIL]
    map_, sizes = charts(at)
    assert [trace["name"] for trace in map_["data"]] == ["outliers", "0: phone", "1: book"]
    assert decoded(map_["data"][1]["x"]) == pytest.approx([0.0, 0.1, 0.2])
    assert [bar["x"] for bar in sizes["data"]] == [[1, 1], [2, 1], [0, 1]]
    at.selectbox(key=f"cluster_demo_{CLUSTERS}").set_value(-1).run()
    assert at.dataframe[0].value["text"].tolist() == ["hm"]


def test_texts_show_what_became_of_them(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "texts")
    shown = metrics(at)
    assert shown["Texts kept"] == "7" and shown["Dropped"] == "4"
    dropped, source, leaks = (frame.value for frame in at.dataframe)
    assert shown["Rows"] == "12" and shown["Duplicates"] == "2" and shown["Words, median (longest)"] == "6 (14)"
    assert source["texts"].tolist() == [5, 4, 3]
    assert dropped["texts"].tolist() == [3, 1]
    assert leaks["text"].tolist() == ["leaked text"]


def test_texts_are_never_read_as_markup(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "clusters")
    written = said(at, "markdown", "caption", "info", "warning", "error", "success")
    assert "script" not in written and "alert" not in written
    hover = charts(at)[0]["data"][1]["text"][0]
    assert hover.startswith('&lt;script&gt;alert("x")&lt;/script&gt;') and "<script" not in hover


def test_pretraining_shows_the_losses_of_each_method(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "pretraining")
    assert at.selectbox(key="method").options == ["PPT", "MetaPT"]
    meta = charts(at)[0]
    assert [note["text"] for note in meta["layout"]["annotations"]] == ["0: phone", "1: book"]
    assert decoded(meta["data"][2]["y"]) == pytest.approx([0.7, 0.6, 0.5])
    assert metrics(at) == {
        "Status": "finished",
        "Outer steps": "3 of 3",
        "Row passes": "1,920",
        "Diagnostic rows": "480",
        "Time": "12 s",
        "Rows a second": "160.0",
    }
    at.selectbox(key="method").set_value("PPT").run()
    assert not at.exception
    assert decoded(charts(at)[0]["data"][0]["y"]) == pytest.approx([0.7, 0.6, 0.5])


def test_fewshot_shows_table_curves_spread_and_caution(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "fewshot")
    assert "MetaPT scores highest on trec: 72.5 % on test" in said(at, "markdown")
    assert "this proves nothing" in said(at, "warning")
    (means,) = charts(at)
    assert [trace["y"][0] for trace in means["data"]] == [f"{n}  <b>{m}</b>" for n, m in LEVELS]
    matrix = at.dataframe[0].value.set_index("method")
    assert matrix["mean rank"].tolist() == ["3.0", "2.0", "1.0"] and matrix.loc["PT", "trec"].startswith("55.0 (")
    summary = tab(at, "scores", "Start and worst").dataframe[0].value
    # PT has 0.50 and 0.60: mean 55, sample standard deviation 100 * 0.1 / sqrt 2 = 7.07, worst 50.
    assert summary.iloc[0].to_dict() == {
        "task": "trec", "method": "PT", "start": 40.0, "mean": 55.0, "macro_f1": 55.0, "std": 7.1, "worst": 50.0,
        "seeds": 2,
    }  # fmt: skip
    assert len(tab(at, "scores", "All scores").dataframe[0].value) == 6
    labels = [button.proto.label for button in at.get("download_button")]
    assert labels.count("Download as CSV") == 1 and labels.count("Data of this figure") == 1
    curves, spread, cost = (charts(tab(at, "scores", name))[1] for name in ("Curves", "Seeds", "Cost"))
    # Two scores of 6 s each and half a pre-training of 12 s.
    assert cost["data"][1]["x"] == [12.0] and cost["data"][1]["y"] == pytest.approx([55.0])
    lines = {t["name"]: t for t in curves["data"] if t["mode"] == "lines+markers"}
    assert lines["MetaPT"]["y"] == pytest.approx([40.0, 45.0, 72.5])
    pairs = next(t for t in spread["data"] if t["name"] == "same seeds")
    assert pairs["x"] == pytest.approx([50.0, 55.0, 70.0, None, 60.0, 65.0, 75.0, None])


def test_the_chosen_study_stays_on_every_page(show: Open, demo: Workspace) -> None:
    other = demo.study_folder("other")
    write_json(other / "index.json", [])
    (other / "study.yaml").write_text(
        (demo.study_folder("demo") / "study.yaml").read_text(encoding="utf-8").replace("name: demo", "name: other", 1),
        encoding="utf-8",
    )
    at = show(demo.folder, "start", study="other")
    assert at.selectbox(key="study").value == "other"
    assert at.selectbox(key="study").options == ["demo", "other"]
    at.switch_page("metapt_explore/dashboard/views/fewshot.py").run()
    assert at.query_params == {"study": "other"}
    assert "not there yet" in said(at, "info")
    at.selectbox(key="study").set_value("demo").run()
    assert at.query_params == {"study": "demo"} and len(charts(at)) == 1


def test_pages_do_not_import_torch(demo: Workspace) -> None:
    app = Path(__file__).parents[2] / "app.py"
    program = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        f"at = AppTest.from_file({str(app)!r}, default_timeout={LIMIT})\n"
        f"for page in {PAGES}:\n"
        "    at.switch_page(f'metapt_explore/dashboard/views/{page}.py').run()\n"
        "    assert not at.exception\n"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    environment = {**os.environ, "METAPT_WORKSPACE": str(demo.folder)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, encoding="utf-8"
    )
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_a_probe_is_shown_when_there_is_one(show: Open, copied: Workspace, world: Path) -> None:
    assert "Template ranking" not in " ".join(each.value for each in show(copied.folder, "fewshot").header)
    Study(world / "tiny.yaml", copied).rank_templates("mood")
    at = tab(show(copied.folder, "fewshot"), "scores", "Templates")
    assert not at.exception and not at.error
    assert at.header[-1].value == "Template ranking of mood"
    dots = [trace for trace in charts(at)[-1]["data"] if trace["name"] == "calibrated"]
    table = at.dataframe[-1].value
    table = table[table["not readable because"] == ""]  # words that the tiny tokenizer cannot read are not drawn
    assert len(decoded(dots[0]["x"])) == len(table) and table["rank"].tolist() == list(range(1, len(table) + 1))
    assert decoded(dots[0]["x"]) == pytest.approx(table["accuracy, calibrated (%)"].tolist(), abs=0.06)


def test_a_damaged_probe_does_not_hide_the_scores(show: Open, copied: Workspace, world: Path) -> None:
    artifact = Study(world / "tiny.yaml", copied).rank_templates("mood")
    (artifact.folder / "summary.json").write_text("{}", encoding="utf-8")
    at = show(copied.folder, "fewshot")
    assert not at.exception and artifact.id in said(at, "error")
    assert "scores highest" in said(at, "markdown")
