"""A study's scores as pages show them, whether they lie in a workspace or in a published record."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from metapt_explore.config.paper_numbers import FILE as PAPER_NUMBERS
from metapt_explore.dashboard.parts import messages
from metapt_explore.errors import UserError
from metapt_explore.reporting.notes import grounds_of, metric_of, notes_of, sample_notes, unfinished
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import StudyQuestion
from metapt_explore.reporting.report import answers
from metapt_explore.results.budgets import Budget, method_budgets
from metapt_explore.results.record import Record, scores_of
from metapt_explore.results.tables import curves_table, efficiency_table, results_table
from metapt_explore.statistics import Comparison
from metapt_explore.statistics.matrix import score_matrix
from metapt_explore.statistics.verdict import metric_name
from metapt_explore.storage.workspace import Workspace

#: Scores that a page compares by.
METRICS = ("accuracy", "macro_f1")


@dataclass(frozen=True, eq=False)
class StudyScores:
    """Scores of a study and what belongs to them.

    Attributes:
        record: Scores and facts; of a workspace those of `scores_of`, which leaves out what takes longer to read.
        stamp: A value that changes with them.
        workspace: Where they lie; None of a published record, where nothing can be computed or traced.
        chosen_metric: The score that is compared, where somebody chose one.
    """

    record: Record
    stamp: str
    workspace: Workspace | None = None
    chosen_metric: str | None = None

    @property
    def metric(self) -> str:
        """The score that is compared: what was chosen on the page, else what the study says."""
        return self.chosen_metric or metric_of(self.record)

    @property
    def metric_name(self) -> str:
        """What sentences call it."""
        return metric_name(self.metric)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.record.name

    @property
    def results(self) -> pd.DataFrame:
        """One row for each score; do not change it."""
        return self.record.results

    @property
    def prompts(self) -> list[str]:
        """Methods with a prompt, in the order of the study."""
        return self.record.methods

    @property
    def methods(self) -> list[str]:
        """Methods and baselines in the order of the study; what it does not list behind them."""
        listed = [
            entry if isinstance(entry, str) else entry["name"] for entry in self.record.study.get("baselines", [])
        ]
        return list(dict.fromkeys([*self.prompts, *listed, *map(str, self.results["method"])]))

    @property
    def rows(self) -> str:
        """What scores are on, in words: ``test`` as a rule."""
        return str(self.record.study["evaluation"].get("scored_on", "test")).replace("_", " ")

    def curves(self) -> pd.DataFrame:
        """Scores by tuning steps."""
        return self.record.curves if self.workspace is None else curves_table(self.workspace, self.name)

    def efficiency(self) -> pd.DataFrame:
        """Scores by the number of examples a class; empty where there is one number only."""
        if self.workspace is None or not self.record.study["evaluation"].get("more_shots"):
            return self.record.efficiency
        return efficiency_table(self.workspace, self.name)

    def budgets(self) -> list[Budget]:
        """What each method spent."""
        if self.workspace is None:
            return self.record.budgets
        return _budgets(str(self.workspace.folder), self.name, self.stamp)

    def row_passes(self) -> dict[str, float]:
        """Rows forward and backward of one score, with its share of pre-training, by method where it is known."""
        prompted = set(self.prompts)
        found: dict[str, float] = {}
        budgets: list[Budget] = []
        with suppress(UserError, *messages.DAMAGE):  # a prompt that is gone hides no score
            budgets = self.budgets()
        for budget in budgets:
            if budget["method"] in prompted:
                # One pre-training serves every task, and every data seed that goes with its initialisation seed.
                own = self.results[self.results["method"] == budget["method"]]
                of_one = len(own) / max(own["init_seed"].nunique(), 1)
                share = budget["pretraining_row_passes"] / of_one if of_one else 0.0
                found[budget["method"]] = budget["tuning_row_passes"] + share
        return found

    @property
    def matrix(self) -> pd.DataFrame:
        """What `score_matrix` says of all methods; do not change it."""
        return _matrix(self.stamp, self.metric, _scores=self)

    @property
    def answered(self) -> Answered:
        """The study's questions and what is found."""
        return _answered(self.stamp, self.metric, _scores=self)


@dataclass(frozen=True, eq=False)
class Answered:
    """A study's questions with their answers, the primary one first.

    Attributes:
        asked: The questions.
        answers: What is found, in the same order.
        joined: Under which names methods that differ in seeds only are compared together.
        notes: What a reader must know, the most important first.
    """

    asked: list[StudyQuestion]
    answers: list[Comparison]
    joined: dict[str, list[str]]
    notes: list[str]

    @property
    def primary(self) -> StudyQuestion | None:
        """The primary question, where both its methods have scores."""
        return next((question for question in self.asked if question.primary), None)

    def question(self, method: str, baseline: str) -> StudyQuestion | None:
        """The study's own question about two methods."""
        return next((q for q in self.asked if (q.method, q.baseline) == (method, baseline)), None)


def of_study(workspace: Workspace, name: str) -> StudyScores | None:
    """The scores of a study in a workspace; None where there are none yet.

    Raises:
        UserError: Where a file is damaged.
    """
    results = results_table(workspace, name)
    if results.empty:
        return None
    files = [workspace.study_folder(name) / file for file in ("study.yaml", PAPER_NUMBERS)]
    written = [file.stat().st_mtime_ns if file.exists() else 0 for file in files]  # the margin may have changed
    stamp = f"{workspace.folder} {name} {len(results)} {hash(tuple(results['artifact']))} {written}"
    return _of_study(str(workspace.folder), name, stamp)


@st.cache_resource(max_entries=16, show_spinner=False)
def _of_study(folder: str, name: str, stamp: str) -> StudyScores:
    workspace = Workspace(folder)
    return StudyScores(scores_of(workspace, name), stamp, workspace)


@st.cache_resource(max_entries=16, show_spinner=False)
def _budgets(folder: str, name: str, stamp: str) -> list[Budget]:
    workspace = Workspace(folder)
    return method_budgets(workspace, workspace.study_config(name))


@st.cache_resource(max_entries=16, show_spinner=False)
def _matrix(stamp: str, metric: str, *, _scores: StudyScores) -> pd.DataFrame:
    return score_matrix(_scores.results, _scores.methods, metric=metric, grounds=grounds_of(_scores.record))


def choose_metric(scores: StudyScores) -> StudyScores:
    """Asks for the score that is compared, where there are two; on every page of the study the same."""
    results = scores.results
    if "macro_f1" not in results or results["macro_f1"].isna().all():
        return scores
    chosen = st.segmented_control(
        "Compared by",
        METRICS,
        default=scores.metric,
        format_func=metric_name,
        key=f"metric_{scores.name}",
        persist_state="session",
        required=True,
        help="Macro F1 is the mean over classes, each counting alike: where a class is rare, accuracy hides how it "
        "fares. A study says `evaluation: {metric: macro_f1}`.",
    )
    return replace(scores, chosen_metric=str(chosen))


def _with_metric(record: Record, metric: str) -> Record:
    evaluation = {**record.study["evaluation"], "metric": metric}
    return replace(record, study={**record.study, "evaluation": evaluation})


@st.cache_resource(max_entries=16, show_spinner="Comparing …")
def _answered(stamp: str, metric: str, *, _scores: StudyScores) -> Answered:
    record = _with_metric(_scores.record, metric)
    notes = [*filter(None, [unfinished(record)]), *sample_notes(record), *notes_of(record)]
    return Answered(*answers(record), over_seeds(record.results, record.study).stands_for, notes)
