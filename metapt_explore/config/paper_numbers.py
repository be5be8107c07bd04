"""Numbers that others published, beside a study: read from ``published.yaml``, shown apart, in no statistic.

Such a file lies in the study's folder of a workspace, or in a record's folder (`metapt report STUDY --published FILE`
puts it there)::

    published:
      - method: PPT
        task: sst-2
        score: 90.1                 # in percent, as printed (a made-up number)
        std: 0.4
        source: Authors, venue and year, Table 2
        protocol: model and its size, 32 rows in all, other test set
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.limits import MOST_ENTRIES
from metapt_explore.config.names import Text
from metapt_explore.config.task import Strict
from metapt_explore.errors import UserError, did_you_mean

FILE = "published.yaml"


class PaperNumber(Strict):
    """A score as its source prints it."""

    method: Text = Field(description="what the source calls the method")
    task: Text = Field(description="one of the study's tasks, by its name")
    score: float = Field(ge=0, le=100, description="in percent, as printed")
    std: float | None = Field(None, ge=0, le=100, description="its standard deviation in points, as printed")
    metric: Literal["accuracy", "macro_f1"] = Field("accuracy", description="what the score is")
    source: Text = Field(description="paper and table, so that anyone finds it")
    protocol: Text = Field(description="what was otherwise than here: model and its size, shots, test set, selection")

    @field_validator("method", "task", "source", "protocol")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is blank: a number without it says nothing")
        return text

    @field_validator("score")
    @classmethod
    def _in_percent(cls, score: float) -> float:
        if 0 < score <= 1:
            raise ValueError(f"{score} looks like a share of 1: write it in percent, {100 * score:g}")
        return score


class PaperNumbers(Strict):
    """The content of ``published.yaml``."""

    published: list[PaperNumber] = Field(min_length=1, max_length=MOST_ENTRIES, description="one entry a number")

    @model_validator(mode="after")
    def _each_once(self) -> PaperNumbers:
        seen: set[tuple[str, ...]] = set()
        for number in self.published:
            key = (number.method, number.task, number.metric, number.source)
            if key in seen:
                raise ValueError(f"'{number.method}' on '{number.task}' of {number.source} stands twice")
            seen.add(key)
        return self

    def check_tasks(self, tasks: Collection[str], where: str) -> None:
        """Refuses numbers on tasks that a study does not have.

        Raises:
            UserError: Naming the entry and the nearest task.
        """
        for number in self.published:
            if number.task not in tasks:
                hint = did_you_mean(number.task, list(tasks))
                raise UserError(f"{where}: '{number.method}': the study has no task '{number.task}'. {hint}")


def read_paper_numbers(file: Path) -> list[dict[str, Any]]:
    """Reads a file of published numbers as plain values; none where there is no file.

    Raises:
        UserError: Where a key or a value is wrong.
    """
    from metapt_explore.config.load import parse
    from metapt_explore.config.reading import read_yaml

    if not file.is_file():
        return []
    numbers = parse(PaperNumbers, read_yaml(file), str(file)).published
    return [number.model_dump(exclude_none=True) for number in numbers]


def keep_paper_numbers(file: Path, folder: Path, tasks: Collection[str]) -> None:
    """Puts a file of published numbers beside a study, checked.

    Args:
        file: The file.
        folder: The study's folder, or a record's.
        tasks: The study's tasks.

    Raises:
        UserError: Where there is no such file, a value is wrong, or a task is none of the study's.
    """
    if not file.is_file():
        raise UserError(f"There is no file {file}.")
    numbers = PaperNumbers(published=[PaperNumber(**entry) for entry in read_paper_numbers(file)])
    numbers.check_tasks(tasks, str(file))
    if not (folder / FILE).exists() or not file.samefile(folder / FILE):
        (folder / FILE).write_bytes(file.read_bytes())
