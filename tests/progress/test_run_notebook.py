"""Progress in a notebook: one output a cell, drawn in its place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from metapt_explore.progress import notebook as run_notebook
from metapt_explore.progress.notebook import NotebookView, in_notebook
from metapt_explore.progress.state import Progress


class Shell:
    """What IPython's shell is to the view: events."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []
        self.events = SimpleNamespace(
            register=lambda name, callback: self.callbacks.append(callback),
            unregister=lambda name, callback: self.callbacks.remove(callback),
        )

    def end_cell(self, success: bool = True) -> None:
        for callback in list(self.callbacks):
            callback(SimpleNamespace(success=success))


class Output:
    """Keeps what was drawn, an entry for each output of a cell."""

    def __init__(self) -> None:
        self.cells: list[list[dict[str, str]]] = []

    def display(self, form: dict[str, str], raw: bool, display_id: bool) -> Any:
        drawn = [form]
        self.cells.append(drawn)
        return SimpleNamespace(update=lambda form, raw: drawn.append(form))


def test_a_cell_has_one_output_which_ends_as_what_was_done(monkeypatch: Any) -> None:
    monkeypatch.setattr(run_notebook, "DRAW_EVERY_S", 0.0)
    shell, output = Shell(), Output()
    progress = Progress(NotebookView(shell, output.display).show)
    progress.plan({"prompt/a": 1.0, "prompt/b": 3.0})
    progress.begin("prompt/a", "prompt of <b>", 4)
    for done in range(1, 5):
        progress.advance(done)
    progress.notice("memory & time")
    progress.finish("prompt/a")
    progress.begin("prompt/b", "prompt of c", 1)
    progress.advance(1)
    progress.finish("prompt/b")
    ((*before, drawn),) = output.cells
    assert "prompt of c" in drawn["text/html"] and 'value="1.000"' in drawn["text/html"]
    assert any("4 of 4" in form["text/plain"] for form in before)
    assert not any("<b>" in form["text/html"] for form in before), "names are text"
    shell.end_cell()
    last = output.cells[0][-1]
    assert last["text/plain"].startswith("2 stages in ") and "Note: memory &amp; time" in last["text/html"]
    assert "prompt of &lt;b&gt;: " in last["text/html"] and "<progress" not in last["text/html"]

    progress.finish("prompt/a")  # found, not computed
    shell.end_cell()
    assert len(output.cells) == 1, "a cell that computes nothing shows no bar"

    other = Progress(progress.tell)  # a whole run has a progress of its own, in front of the study's
    other.begin("texts", "texts", 1)
    other.advance(1)
    other.finish("texts")
    shell.end_cell()
    progress.finish("prompt/a")
    shell.end_cell()
    assert len(output.cells) == 2, "nor does it after a run"
    output.cells.pop()

    progress.begin("prompt/b", "prompt of c", 1)  # gone on with after a stop
    shell.end_cell()
    assert len(output.cells) == 2 and output.cells[1][-1]["text/plain"].startswith("1 stage in ")


def test_what_moves_fast_is_not_drawn_each_time(monkeypatch: Any) -> None:
    monkeypatch.setattr(run_notebook, "DRAW_EVERY_S", 3600.0)
    output = Output()
    progress = Progress(NotebookView(Shell(), output.display).show)
    progress.begin("a", "texts", 1000)
    for done in range(1000):
        progress.advance(done)
    assert len(output.cells[0]) == 2, "the empty output, and the stage at its beginning"


def test_a_notice_outside_of_any_stage_is_shown_at_once_and_stays() -> None:
    shell, output = Shell(), Output()
    progress = Progress(NotebookView(shell, output.display).show)
    progress.notice("runs through its own <forward> pass")
    assert "runs through its own &lt;forward&gt; pass" in output.cells[0][-1]["text/html"]
    shell.end_cell()
    assert output.cells[0][-1]["text/plain"] == "Note: runs through its own <forward> pass" and not shell.callbacks
    progress.begin("a", "texts", 2)
    shell.end_cell(success=False)
    assert output.cells[1][-1]["text/plain"].startswith("Stopped in stage 1, after ")
    assert "Note" not in output.cells[1][-1]["text/plain"], "it was told"


def test_this_is_no_notebook() -> None:
    assert not in_notebook()
