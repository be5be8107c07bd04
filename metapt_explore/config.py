"""One validated tree per study, and one per downstream task; YAML in and out.

Unknown keys are refused and the nearest valid key is named. Paths in a YAML file are relative to
the folder of that file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from metapt_explore.errors import UserError, nearest

PACKAGE_FOLDER = Path(__file__).parent
EXAMPLES = PACKAGE_FOLDER / "examples"
TASK_FILES = PACKAGE_FOLDER / "fewshot" / "tasks"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# ---------------------------------------------------------------------------------------- sources


class Columns(Strict):
    """Which column of a source holds what."""

    text: str = "text"
    label: str | None = None
    group: str | None = None


class SourceConfig(Strict):
    """Where rows come from: exactly one of a starter set, a file and a hub data set."""

    starter: str | None = Field(None, description="name of a starter set, see `metapt starters`")
    file: str | None = Field(None, description="CSV, TSV, JSONL or Parquet file")
    hub: str | None = Field(None, description="data set name for datasets.load_dataset")
    subset: str | None = Field(None, description="configuration name of a hub data set")
    split: str = Field("train", description="split of a hub data set")
    revision: str | None = Field(None, description="commit or tag of a hub data set")
    columns: Columns = Columns()

    @model_validator(mode="after")
    def _exactly_one(self) -> SourceConfig:
        given = [key for key in ("starter", "file", "hub") if getattr(self, key) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"give exactly one of starter, file and hub (found {found})")
        return self

    @property
    def name(self) -> str:
        """What the source is called in messages and reports."""
        return self.starter or self.file or self.hub or ""


class Label(Strict):
    """One class: the value it has in the data and the word that stands for it."""

    value: str
    word: str

    @field_validator("value", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float | bool) else value


class LabelsConfig(Strict):
    """A template and the classes read at its end (the verbalizer).

    `labels` maps a class name to its label word, or to `{value: ..., word: ...}` where the data
    call the class by another value. Words are written without a leading space.
    """

    template: str = "{text}\nSentiment:"
    labels: dict[str, Label]

    @field_validator("labels", mode="before")
    @classmethod
    def _short_form(cls, labels: Any) -> Any:
        if not isinstance(labels, dict):
            return labels
        full = {}
        for name, entry in labels.items():
            if isinstance(entry, str):
                entry = {"value": str(name), "word": entry}
            elif isinstance(entry, dict):
                entry = {"value": str(name), **entry}
            full[str(name)] = entry
        return full

    @model_validator(mode="after")
    def _check(self) -> LabelsConfig:
        if self.template.count("{text}") != 1:
            raise ValueError("the template must hold {text} exactly once")
        if len(self.labels) < 2:
            raise ValueError("at least two labels are needed")
        for attribute in ("value", "word"):
            seen: dict[str, str] = {}
            for name, label in self.labels.items():
                entry = getattr(label, attribute)
                if entry in seen:
                    raise ValueError(f"labels '{seen[entry]}' and '{name}' have the same {attribute} '{entry}'")
                seen[entry] = name
        return self


# ------------------------------------------------------------------------------------ task files


class PublishedSplits(Strict):
    """Splits that exist as files; `{seed}` in a file name stands for the data seed."""

    train: SourceConfig
    dev: SourceConfig
    test: SourceConfig


class TaskConfig(LabelsConfig):
    """A downstream task: one YAML file, no Python.

    Either `data` (train, dev and test are sampled from it) or `splits` (published splits).
    """

    name: str
    title: str = ""
    sentiment: bool = Field(False, description="shares its label space with the pre-training text")
    data: SourceConfig | None = None
    splits: PublishedSplits | None = None
    source_note: str = Field("", description="licence and citation of the data")

    @model_validator(mode="after")
    def _one_kind_of_data(self) -> TaskConfig:
        if (self.data is None) == (self.splits is None):
            raise ValueError("give either data or splits")
        return self

    @property
    def sources(self) -> list[SourceConfig]:
        """Every source the task reads."""
        if self.data is not None:
            return [self.data]
        assert self.splits is not None
        return [self.splits.train, self.splits.dev, self.splits.test]


# ----------------------------------------------------------------------------------------- study


class ModelConfig(Strict):
    """The frozen language model."""

    name: str = Field("smollm2-135m", description="starter model, a folder, or a hub name")
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    max_text_tokens: int = Field(64, ge=1)
    rows_per_pass: int = Field(64, ge=1, description="rows of one forward and backward pass (memory)")
    text_state_gib: float = Field(4.0, ge=0, description="memory for cached text states")


class EncoderConfig(Strict):
    """The sentence encoder whose embeddings are clustered."""

    name: str = Field("minilm", description="starter encoder, a folder, or a hub name")
    revision: str | None = None
    max_tokens: int = Field(128, ge=1)
    batch_size: int = Field(64, ge=1)


class TextsConfig(SourceConfig):
    """The pre-training texts."""

    limit: int | None = Field(None, ge=1, description="rows to keep, sampled; all when absent")
    min_words: int = Field(3, ge=1, description="shorter texts are dropped and counted")
    labelled_only: bool = Field(False, description="drop rows without a label before sampling")
    near_duplicate: float = Field(
        0.7,
        gt=0,
        le=1,
        description="overlap of word triples from which a text counts as nearly equal to a dev or test row",
    )


Algorithm = Literal["kmeans", "hdbscan", "one_pool", "random_groups", "known_groups"]


class ClusteringConfig(Strict):
    """One grouping of the texts. `random_groups` copies the sizes of the clustering named in `like`."""

    name: str
    algorithm: Algorithm
    n_clusters: int = Field(6, ge=2, description="kmeans")
    min_cluster_size: int = Field(15, ge=2, description="hdbscan")
    min_samples: int | None = Field(None, ge=1, description="hdbscan; min_cluster_size when absent")
    dimensions: int = Field(50, ge=2, description="principal components before clustering")
    like: str | None = None

    @model_validator(mode="after")
    def _random_needs_like(self) -> ClusteringConfig:
        if (self.algorithm == "random_groups") != (self.like is not None):
            raise ValueError("`like` (the clustering whose sizes are copied) goes with random_groups, and only with it")
        return self


class AuxiliaryTasksConfig(LabelsConfig):
    """Which clusters become auxiliary tasks, and how their rows are read."""

    min_size: int = Field(32, ge=2, description="labelled rows a cluster needs to become a task")
    min_per_label: int = Field(8, ge=1, description="rows of each label a cluster needs to become a task")


class PromptConfig(Strict):
    """Shape, place and start of the soft prompt."""

    length: int = Field(8, ge=1)
    placement: Literal["suffix"] = "suffix"
    start: Literal["random", "vocabulary"] = "vocabulary"


class PretrainingConfig(Strict):
    """Settings shared by every pre-training method; the number of backbone passes is the same for all."""

    steps: int = Field(60, ge=1, description="outer steps")
    meta_batch_size: int = Field(4, ge=1, description="auxiliary tasks per outer step")
    support_size: int = Field(8, ge=2, description="rows per task for the inner step")
    query_size: int = Field(8, ge=2, description="rows per task for the outer gradient")
    inner_lr: float = Field(0.1, gt=0)
    outer_lr: float = Field(0.01, gt=0)
    checkpoint_every: int = Field(5, ge=1)


class MethodConfig(Strict):
    """One row of the comparison."""

    name: str
    kind: Literal["pt", "ppt", "metapt"]
    clustering: str | None = Field(None, description="metapt: whose clusters are the tasks; ppt: the pool's rows")
    start: Literal["random", "vocabulary"] | None = Field(None, description="overrides prompt.start (pt only)")

    @model_validator(mode="after")
    def _fits_kind(self) -> MethodConfig:
        if self.kind == "metapt" and self.clustering is None:
            raise ValueError("a metapt method needs `clustering`")
        if self.kind == "pt" and self.clustering is not None:
            raise ValueError("a pt method has no pre-training and takes no `clustering`")
        if self.kind != "pt" and self.start is not None:
            raise ValueError("`start` belongs to pt; pre-trained methods all begin from prompt.start")
        return self


class EvaluationConfig(Strict):
    """The few-shot comparison."""

    tasks: list[str] = Field(min_length=1, description="names of packaged task files, or paths of YAML files")
    shots: int = Field(16, ge=1, description="examples per class in train, and in dev")
    data_seeds: list[int] = Field(default=[13, 21, 42, 87, 100], min_length=1)
    init_seeds: list[int] = Field(default=[0], min_length=1)
    learning_rates: list[float] = Field(default=[0.001, 0.003], min_length=1)
    steps: int = Field(30, ge=1)
    batch_size: int = Field(16, ge=1)
    curve_steps: list[int] = Field(
        default=[0, 1, 2, 5, 10, 20, 30], description="steps at which dev and test are scored"
    )
    select_by: Literal["loss", "accuracy"] = Field(
        "loss",
        description="dev score that chooses learning rate and step; accuracy on a few rows is mostly ties and luck",
    )
    test_rows: int | None = Field(400, ge=1, description="test rows, label-balanced as far as they go; all when absent")

    @field_validator("data_seeds", "init_seeds")
    @classmethod
    def _no_repeats(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands twice")
        return seeds

    @property
    def scored_steps(self) -> list[int]:
        """Steps at which prompts are scored: 0, those of `curve_steps` within reach, and the last."""
        inside = {step for step in self.curve_steps if 0 <= step <= self.steps}
        return sorted(inside | {0, self.steps})


class StudyConfig(Strict):
    """Everything that a study computes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    title: str = ""
    seed: int = 0
    model: ModelConfig = ModelConfig()
    encoder: EncoderConfig = EncoderConfig()
    texts: TextsConfig
    clusterings: list[ClusteringConfig] = Field(min_length=1)
    auxiliary_tasks: AuxiliaryTasksConfig
    prompt: PromptConfig = PromptConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    methods: list[MethodConfig] = Field(min_length=1)
    evaluation: EvaluationConfig

    @model_validator(mode="after")
    def _names(self) -> StudyConfig:
        for kind, names in (
            ("clustering", [c.name for c in self.clusterings]),
            ("method", [m.name for m in self.methods]),
            ("task", self.evaluation.tasks),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{kind} '{name}' stands twice")
        known = [c.name for c in self.clusterings]
        for index, clustering in enumerate(self.clusterings):
            if clustering.like is not None and clustering.like not in known[:index]:
                raise ValueError(
                    f"clustering '{clustering.name}': like: '{clustering.like}' is not a clustering listed before it"
                )
        for method in self.methods:
            if method.clustering is not None and method.clustering not in known:
                raise ValueError(
                    f"method '{method.name}': no clustering '{method.clustering}'. {nearest(method.clustering, known)}"
                )
        return self

    def clustering(self, name: str) -> ClusteringConfig:
        """Returns the clustering of that name, or says which exist."""
        return _by_name(self.clusterings, name, "clustering")

    def method(self, name: str) -> MethodConfig:
        """Returns the method of that name, or says which exist."""
        return _by_name(self.methods, name, "method")


Named = TypeVar("Named", ClusteringConfig, MethodConfig)


def _by_name(entries: list[Named], name: str, kind: str) -> Named:
    for entry in entries:
        if entry.name == name:
            return entry
    raise UserError(f"The study has no {kind} '{name}'. {nearest(name, [entry.name for entry in entries])}")


# ------------------------------------------------------------------------------------ YAML in, out

Config = TypeVar("Config", bound=Strict)


def parse(model: type[Config], tree: Any, where: str) -> Config:
    """Validates a tree of plain values.

    Args:
        model: The configuration class.
        tree: What was read from YAML or written in Python.
        where: The file or object named in the message.

    Raises:
        UserError: With a line for each wrong key; an unknown key names the nearest valid one.
    """
    if not isinstance(tree, dict):
        raise UserError(f"{where}: expected a mapping of keys to values, found {type(tree).__name__}.")
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        lines = [_explain(model, dict(problem)) for problem in error.errors()]
        raise UserError(f"{where}: " + "\n  ".join(lines)) from None


def _explain(model: type[BaseModel], problem: dict[str, Any]) -> str:
    path = [part for part in problem["loc"]]
    key = ".".join(str(part) for part in path)
    if problem["type"] == "extra_forbidden":
        valid = _fields_at(model, path[:-1])
        return f"unknown key '{key}'. {nearest(str(path[-1]), valid)}"
    if problem["type"] == "missing":
        return f"key '{key}' is missing."
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message}." if key else f"{message}."


def _fields_at(model: type[BaseModel], path: list[str | int]) -> list[str]:
    """Names of the fields that are valid where `path` leads, as far as types tell."""
    from typing import get_args

    for part in path:
        if isinstance(part, int):
            continue
        if part not in model.model_fields:
            continue
        pending = [model.model_fields[part].annotation]
        while pending:
            annotation = pending.pop()
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                model = annotation
                break
            pending.extend(get_args(annotation))
    return list(model.model_fields)


def read_yaml(path: Path) -> Any:
    """Reads a YAML file, or says why it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; a YAML file is expected.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {str(error).splitlines()[0]} {_line_of(error)}".rstrip()) from None


def _line_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"(line {mark.line + 1}, column {mark.column + 1})" if mark else ""


def load_study(source: str | Path | dict[str, Any]) -> StudyConfig:
    """Reads a study.

    Args:
        source: A YAML file, the name of a packaged example such as ``tour``, or a dictionary.

    Raises:
        UserError: Where the file, a key or a value is wrong.

    Example:
        >>> load_study("tour").name
        'tour'
    """
    if isinstance(source, dict):
        return parse(StudyConfig, source, "study")
    path = Path(source)
    if not path.suffix and not path.exists():
        path = EXAMPLES / f"{source}.yaml"
        if not path.exists():
            examples = [file.stem for file in EXAMPLES.glob("*.yaml")]
            raise UserError(f"There is no file or packaged example '{source}'. {nearest(str(source), examples)}")
    tree = _absolute_files(read_yaml(path), path.parent)
    if isinstance(tree, dict) and isinstance(evaluation := tree.get("evaluation"), dict):
        tasks = evaluation.get("tasks")
        if isinstance(tasks, list):
            evaluation["tasks"] = [
                str((path.parent / task).resolve()) if str(task).endswith((".yaml", ".yml")) else task for task in tasks
            ]
    return parse(StudyConfig, tree, str(path))


def load_task(source: str | Path) -> TaskConfig:
    """Reads a downstream task.

    Args:
        source: The name of a packaged task, such as ``trec``, or a YAML file.

    Raises:
        UserError: Where there is no such task, or a key or value is wrong.

    Example:
        >>> sorted(load_task("sms_spam").labels)
        ['ham', 'spam']
    """
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        path = TASK_FILES / f"{source}.yaml"
        if not path.exists():
            names = packaged_tasks()
            raise UserError(
                f"There is no packaged task '{source}'. {nearest(str(source), names)} A path ends in .yaml."
            )
    return parse(TaskConfig, _absolute_files(read_yaml(path), path.parent), str(path))


def packaged_tasks() -> list[str]:
    """Names of the task files inside the package."""
    return sorted(file.stem for file in TASK_FILES.glob("*.yaml"))


def _absolute_files(tree: Any, folder: Path) -> Any:
    """Makes every `file:` entry absolute, so that a study can be run from anywhere."""
    if isinstance(tree, dict):
        return {
            key: str((folder / value).resolve())
            if key == "file" and isinstance(value, str)
            else _absolute_files(value, folder)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [_absolute_files(entry, folder) for entry in tree]
    return tree


def to_yaml(config: Strict) -> str:
    """Writes a configuration as YAML that `load_study` or `load_task` reads back to an equal one."""
    tree = config.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)
