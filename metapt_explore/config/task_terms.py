"""What one task of a study has of its own: number of examples, length of its texts. Published sets need it.

In a study they stand where the task is named, ``tasks: [sst2, {task: own.yaml, shots: all, max_tokens: 256}]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from metapt_explore.config.limits import Count
from metapt_explore.config.names import Text
from metapt_explore.config.task import Strict, TaskConfig
from metapt_explore.errors import did_you_mean

if TYPE_CHECKING:
    from metapt_explore.config.evaluation import EvaluationConfig
    from metapt_explore.config.study import StudyConfig

#: Every training row that a task's files hold.
ALL = "all"


class TaskTerms(Strict):
    """What holds for one task of a study.

    Example:
        >>> TaskTerms(task="own.yaml", shots="all").shots
        'all'
    """

    task: Text = Field(description="as in `tasks`: a packaged task, or a YAML file")
    shots: Count | Literal["all"] | None = Field(
        None,
        description="examples per class of this task; all: every training row of its files, however many each class "
        "has. Such a task is scored at this number only, not at `more_shots`",
    )
    dev_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="with `shots: all` and one source for train and dev: the share of each class's rows that is dev; "
        "a task with a dev file of its own takes all of that",
    )
    max_tokens: Count | None = Field(
        None, description="longer texts of this task are cut (else at `model.max_text_tokens`)"
    )

    @model_validator(mode="after")
    def _says_something(self) -> TaskTerms:
        if self.shots is None and self.max_tokens is None:
            raise ValueError(f"'{self.task}': give `shots` or `max_tokens`, or the name alone")
        if self.dev_share is not None and self.shots != ALL:
            raise ValueError(f"'{self.task}': `dev_share` goes with `shots: all`; else dev has as many rows as train")
        return self


def with_task_terms(given: dict[str, Any]) -> dict[str, Any]:
    """Settings of an evaluation with the entries of `tasks` taken apart: names, and what else they say.

    Args:
        given: The settings as they were read; `tasks` is a list.

    Example:
        >>> with_task_terms({"tasks": ["trec", {"task": "own.yaml", "shots": "all"}]})
        {'tasks': ['trec', 'own.yaml'], 'task_terms': [{'task': 'own.yaml', 'shots': 'all'}]}
        >>> with_task_terms({"tasks": ["trec"], "shots": "all"})
        {'tasks': ['trec'], 'task_terms': [{'task': 'trec', 'shots': 'all'}]}
    """
    tasks, every = given["tasks"], given.get("shots") == ALL
    entries = [entry for entry in tasks if isinstance(entry, dict) and "task" in entry]
    if not entries and not every:
        return given
    if wrong := [entry["task"] for entry in entries if not isinstance(entry["task"], str)]:
        raise ValueError(f"tasks: `task` is the name of a packaged task or a YAML file, not {wrong[0]!r}")
    names = [entry["task"] if isinstance(entry, dict) and "task" in entry else entry for entry in tasks]
    listed = given.get("task_terms")
    terms = [*(listed if isinstance(listed, list) else []), *(entry for entry in entries if len(entry) > 1)]
    for term in terms:
        if not isinstance(term, TaskTerms) and not (isinstance(term, dict) and isinstance(term.get("task"), str)):
            raise ValueError(f"task_terms: each is a mapping that names its `task`, not {term!r}")
    changed = {key: value for key, value in given.items() if not (every and key == "shots")}
    if every:
        own = {_name(term): _plain(term) for term in terms}
        terms = [{"task": name, "shots": ALL} | own.pop(name, {}) for name in names if isinstance(name, str)]
        terms += own.values()
    return {**changed, "tasks": names, **({"task_terms": terms} if terms else {})}


def _name(term: Any) -> Any:
    return term["task"] if isinstance(term, dict) else term.task


def _plain(term: Any) -> dict[str, Any]:
    return dict(term) if isinstance(term, dict) else term.model_dump(exclude_none=True)


def check_task_terms(evaluation: EvaluationConfig) -> None:
    """Refuses terms of tasks that are none of the study's, and numbers that would be scored twice.

    Raises:
        ValueError: Naming the task.
    """
    names = [terms.task for terms in evaluation.task_terms]
    for name in names:
        if name not in evaluation.tasks:
            raise ValueError(f"task_terms: no task '{name}'. {did_you_mean(name, evaluation.tasks)}")
        if names.count(name) > 1:
            raise ValueError(f"task_terms: '{name}' stands twice")
    if evaluation.more_shots and not evaluation.tasks_at_more_shots:
        raise ValueError("more_shots: every task has `shots` of its own, so none is scored at another number")


def task_with_terms(task: TaskConfig, terms: Sequence[TaskTerms], source: str) -> TaskConfig:
    """A task with what the study says of it.

    Args:
        task: The task file.
        terms: The study's `evaluation.task_terms`.
        source: What the study calls the task.
    """
    own = next((each for each in terms if each.task == source), None)
    if own is None:
        return task
    return task.model_copy(update={"shots": own.shots, "dev_share": own.dev_share, "max_tokens": own.max_tokens})


def evaluation_of(study: StudyConfig, task: TaskConfig, shots: int | None = None) -> EvaluationConfig:
    """The evaluation of one task: at its own number of examples per class, where it has one.

    A task of `shots: all` keeps the study's number, which none of its rows goes by.

    Args:
        study: The study.
        task: One of its tasks.
        shots: One of `evaluation.more_shots`; the task's own when None.
    """
    evaluation = study.at_shots(shots).evaluation
    if shots is None and isinstance(task.shots, int):
        return evaluation.model_copy(update={"shots": task.shots})
    return evaluation


def study_of(study: StudyConfig, task: TaskConfig, shots: int | None = None) -> StudyConfig:
    """The study as one task has it: its number of examples (see `evaluation_of`), and the length of its texts."""
    own: dict[str, Any] = {"evaluation": evaluation_of(study, task, shots)}
    if task.max_tokens is not None:
        own["model"] = study.model.model_copy(update={"max_text_tokens": task.max_tokens})
    return study.at_shots(shots).model_copy(update=own)


def format_shots(evaluation: Mapping[str, Any]) -> str:
    """How many examples prompts are tuned on, in words.

    Args:
        evaluation: Settings of an evaluation as plain values, where they are not the defaults.

    Example:
        >>> own = {"task": "a/own.yaml", "shots": "all"}
        >>> format_shots({"tasks": ["trec", "a/own.yaml"], "task_terms": [own]})
        '16 examples a class (own: every training row)'
        >>> format_shots({"tasks": ["a/own.yaml"], "task_terms": [own]})
        'every training row'
    """
    usual, terms = _examples(evaluation.get("shots", 16)), evaluation.get("task_terms", [])
    own = {each["task"]: _examples(each["shots"]) for each in terms if each.get("shots") is not None}
    if own and len(own) == len(evaluation["tasks"]):
        if len(set(own.values())) == 1:
            return next(iter(own.values()))
        return ", ".join(f"{examples} of {_short(task)}" for task, examples in own.items())
    others = ", ".join(f"{_short(task)}: {examples}" for task, examples in own.items())
    return usual + (f" ({others})" if others else "")


def _examples(shots: int | str) -> str:
    return "every training row" if shots == ALL else f"{shots} example{'s' * (shots != 1)} a class"


def _short(task: str) -> str:
    name = task.replace("\\", "/").rsplit("/", 1)[-1]
    return name.removesuffix(".yaml").removesuffix(".yml")
