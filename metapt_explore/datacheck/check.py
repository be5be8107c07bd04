"""The whole check of one file, or of several that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metapt_explore.config import Columns, StudyConfig, TaskConfig
from metapt_explore.datacheck.labels import check_labels
from metapt_explore.datacheck.rows import Rows, check_overlap, check_parts, check_rows
from metapt_explore.models.text_lengths import MANY, cut_share, format_cut
from metapt_explore.results.cut_texts import BEGINNING_ONLY, tokenizer_and_limit
from metapt_explore.study.language_fit import study_misfits
from metapt_explore.texts.guess import guess_columns
from metapt_explore.texts.language import guess_language
from metapt_explore.texts.messages import Finding
from metapt_explore.texts.rows import written_out
from metapt_explore.texts.table_files import RawTable, read_raw


@dataclass(frozen=True)
class Checked:
    """What was found in a file.

    Attributes:
        rows: Its rows under their roles.
        guessed: Roles whose column was guessed.
        findings: What is wrong or odd, the file itself first.
    """

    rows: Rows
    guessed: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def labels(self) -> dict[str, int]:
        """Count of each label, the commonest first."""
        counts = {label: len(rows) for label, rows in self.rows.by_label.items() if label}
        return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))

    @property
    def language(self) -> str | None:
        """What most texts are written in, in English; None where that is not certain."""
        language = guess_language(
            [text for row, text in enumerate(written_out(self.rows.texts)) if not self.rows.blank(row)]
        )
        return language.name if language else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        raw = self.rows.raw
        return {
            "file": str(raw.path),
            "encoding": raw.encoding,
            "separator": raw.separator,
            "rows": len(raw.rows),
            "columns": self.rows.columns.model_dump(),
            "guessed": list(self.guessed),
            "labels": self.labels,
            "language": self.language,
            "findings": [finding.as_dict() for finding in self.findings],
        }


def check_file(
    path: Path, given: Columns | None = None, task: TaskConfig | None = None, *, encoding: str = ""
) -> Checked:
    """Checks one file.

    Args:
        path: CSV, TSV, JSON, JSONL, Parquet or an Excel workbook.
        given: Columns that are known; text, label and group are guessed where it does not name them (``text: ""``), a
            second text never is. Of a task's own data, what it says.
        task: A task whose data it is.
        encoding: How its text is written; told from its bytes where empty.

    Raises:
        UserError: If the file cannot be read, or has no such column.

    Example:
        >>> check_file(Path("reviews.csv")).findings[0].message  # doctest: +SKIP
        '3 rows have no text; studies leave such rows out and count them.'
    """
    raw = read_raw(path, encoding)
    if task is not None:
        known = {role: name for role, name in (given.model_dump() if given else {}).items() if name}
        of_task = {k: n for k, n in task.sources[0].columns.model_dump().items() if n in raw.columns}
        given = Columns(**{"text": "", **of_task, **known})
    columns, guessed = _columns(raw, given)
    rows = Rows(raw, columns)
    labels = check_labels(rows, task) if columns.label is not None else []
    return Checked(rows, guessed, (*raw.findings, *check_rows(rows), *labels))


def _columns(raw: RawTable, given: Columns | None) -> tuple[Columns, tuple[str, ...]]:
    table = raw.table
    named = {} if given is None else {role: name for role, name in given.model_dump().items() if name}
    rest = {name: values for name, values in table.items() if name not in named.values()}
    guess = guess_columns(rest) if rest else Columns()
    guesses = {role: name for role, name in guess.model_dump().items() if name and role not in named}
    if "text" in guesses and guesses["text"] not in table:
        del guesses["text"]
    return Columns(**{**guesses, **named}), tuple(guesses)


def check_files(
    paths: Sequence[Path],
    given: Columns | None = None,
    *,
    task: TaskConfig | None = None,
    against: Path | None = None,
    encoding: str = "",
) -> tuple[list[Checked], list[Finding]]:
    """Checks several files that belong together, such as train, dev and test, and what they have in common.

    Args:
        paths: The files, what is learned from first.
        given: As for `check_file`, the same for all.
        task: A task whose data they are.
        against: Pre-training texts: which of the rows are among them?
        encoding: As for `check_file`, the same for all.

    Returns:
        Each file's own findings, and those of all together.
    """
    checked = [check_file(path, given, task, encoding=encoding) for path in paths]
    joint_findings: list[Finding] = []
    if len(checked) > 1:
        stems = [path.stem for path in paths]
        names = stems if len(set(stems)) == len(stems) else [str(path) for path in paths]
        joint_findings += check_parts(dict(zip(names, (each.rows for each in checked), strict=True)))
    if against is not None:
        raw = read_raw(against)
        others = Rows(raw, _columns(raw, None)[0])
        for each in checked:
            joint_findings += check_overlap(each.rows, others)
    return checked, joint_findings


def check_cut(rows: Rows, study: StudyConfig) -> list[Finding]:
    """The share of texts that are cut; a warning where it is large. The study's model is not loaded, its tokenizer is.

    Args:
        rows: The rows.
        study: A study that will read them.

    Raises:
        UserError: Where the study's model has no tokenizer here.
    """
    tokenizer, limit = tokenizer_and_limit(study)
    texts = [text for row, text in enumerate(rows.texts) if not rows.blank(row)]
    cut = cut_share(texts, tokenizer, limit, of=rows.raw.path.name)
    if cut is None or not cut.share:
        return []
    if cut.share > MANY:
        return [Finding("warning", "cut", format_cut(cut), BEGINNING_ONLY)]
    return [Finding("note", "cut", format_cut(cut))]


def check_language(checked: Checked, study: StudyConfig) -> list[Finding]:
    """A warning where a model or a task of a study is English, and the texts are certainly not.

    Args:
        checked: The file.
        study: A study that will read it.
    """
    notice = study_misfits(study, checked.language)
    return [Finding("warning", "language", notice)] if notice else []
