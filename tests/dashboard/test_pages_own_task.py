"""Compare on own labels, on the form; template and label words of the own task, on the Pre-training page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from looking import said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import Columns, LabelsConfig, load_task
from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.new import new_study
from metapt_explore.study.own_task import Sizes, plan_own_task
from metapt_explore.study.own_task_files import write_own_task

Open = Callable[..., AppTest]
WORDS = {"bug": {"value": "bug", "word": "bug"}, "praise": {"value": "praise", "word": "praise"}}


def own_study(workspace: Workspace) -> str:
    """A study on its own labels; returns its task."""
    texts = {"text": [f"message {n} on item {n * 7}" for n in range(80)], "label": ["bug", "praise"] * 40}
    labels = LabelsConfig(template="{text}\nLabel:", labels=WORDS)
    own = plan_own_task(texts, Columns(label="label"), labels, name="mine", sizes=Sizes(4))
    written = write_own_task(workspace, own, texts)
    study = new_study("mine", written.texts, WORDS, tasks=[str(written.file)])
    auxiliary = study.auxiliary_tasks.model_copy(update={"template": labels.template})
    workspace.save_study(study.model_copy(update={"auxiliary_tasks": auxiliary}))
    return str(written.file)


def test_another_template_is_used_by_the_task_and_in_pretraining(
    show: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    before = own_study(workspace)
    asked: list[Any] = []
    monkeypatch.setattr(queue, "enqueue", lambda workspace, study, until: asked.append(until) or True)
    at = show(workspace.folder, "pretraining", "mine")
    assert not at.exception and not at.error
    at.button(key="ask_ranking").click().run()
    assert asked == ["template_ranking"]
    (field,) = (field for field in at.text_area if "How a text is read" in field.label)
    assert field.value == "{text}\nLabel:" and "use_mine" not in {button.key for button in at.button}
    field.set_value("{text} without slot {text}").run()
    at.button(key="use_mine").click().run()
    assert not at.exception and "the template must hold {text} exactly once" in said(at, "error")
    (field,) = (field for field in at.text_area if "How a text is read" in field.label)
    field.set_value("{text}\nIt is about:").run()
    at.button(key="use_mine").click().run()
    assert not at.exception and not at.error
    study = workspace.study_config("mine")
    (now,) = study.evaluation.tasks
    assert now != before and Path(now).parent == Path(before).parent and Path(before).exists()
    assert load_task(now).template == study.auxiliary_tasks.template == "{text}\nIt is about:"
    assert load_task(now).splits == load_task(before).splits


def test_a_file_of_pairs_becomes_a_study_on_its_own_labels(
    show: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(queue, "enqueue", lambda workspace, study, until: asked.append(study) or True)
    file = tmp_path / "nli.csv"
    rows = [
        f"the {place} {n} runs past mill {n * 3},{what} number {m},{label}"
        for n in range(40)
        for place, what in (("river", "it is wet"), ("road", "it is paved"))
        for m, label in enumerate(("entailment", "neutral", "contradiction"))
    ]
    file.write_text("\n".join(["premise,hypothesis,label", *rows]) + "\n", encoding="utf-8")
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert not at.exception and not at.error
    assert (at.selectbox(key=f"t{file}").value, at.selectbox(key=f"text_pair{file}").value) == ("premise", "hypothesis")
    assert any("set aside for the comparison" in info.value for info in at.info)
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    (study,) = asked
    words = {name: label.word for name, label in study.auxiliary_tasks.labels.items()}
    assert words == {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}
    own = load_task(study.evaluation.tasks[0])
    assert own.pairs and own.template == study.auxiliary_tasks.template and own.labels == study.auxiliary_tasks.labels
    assert own.splits is not None and study.texts.file is not None
    left = Path(study.texts.file).read_text(encoding="utf-8")
    aside = [
        line
        for part in (own.splits.train, own.splits.test)
        for line in Path(str(part.file)).read_text(encoding="utf-8").splitlines()
    ]
    assert len(aside) >= 3 * 3 * study.evaluation.shots and not any(line in left for line in aside)
