"""What a stage is: one class in one file, listed in `registry.STAGES`.

An instance is one question of one study: bound to the pipeline and to its own parameters (a task, a method, a seed).
Parents are stages, too, so the id of any stage is known before anything is computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from metapt_explore.config import StudyConfig, TaskConfig
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.cost.own_cost import OwnCost
from metapt_explore.errors import UserError
from metapt_explore.progress.state import Progress
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.storage.studies import IndexEntry, Subject
from metapt_explore.storage.workspace import Workspace

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone
    from metapt_explore.models.study_model import StudyModel
    from metapt_explore.stages.steps import Listed, Step

#: Which model a stage runs: none, the sentence encoder, or the language model.
Needs = Literal["nothing", "encoder", "model"]
#: The part of a run that a stage belongs to, in order; ``request`` is no part of a run.
Part = Literal["texts", "clusters", "prompts", "scores", "request"]
PARTS: tuple[Part, ...] = ("texts", "clusters", "prompts", "scores")


class Pipeline(Protocol):
    """What a stage sees of the study that it belongs to.

    Attributes:
        config: The study.
        tasks: Its downstream tasks by name.
        workspace: Where artifacts lie.
        progress: Told what is going on.
        model: The language model.
        known: Questions by stage, remembered while files must not change; None outside of that.
    """

    config: StudyConfig
    tasks: dict[str, TaskConfig]
    workspace: Workspace
    progress: Progress
    model: StudyModel
    known: dict[tuple[str, ...], Question] | None

    @property
    def goes_on(self) -> bool:
        """Whether a run continues if one part fails."""
        ...

    def task(self, name: str) -> TaskConfig:
        """The task of that name, or says which exist."""
        ...

    def seed(self, init_seed: int | None) -> int:
        """An initialisation seed of the study; its first when None."""
        ...

    def refuse(self, identifier: str) -> None:
        """Raises if the stage of that id has failed in this run."""
        ...


@dataclass(frozen=True, eq=False)
class Stage(ABC):
    """One question of a study, and how it is answered.

    Class facts:
        kind: Kind of its artifacts.
        listed: What the study's list calls them, if not the kind.
        version: Raised whenever what it writes changes.
        needs: The largest model that it may run; see `uses`.
        part: The part of a run that asks for it.
        least_work: Lower bound of its share of a run's work, in tokens; with 0 a stage without work is not planned.
        is_score: Whether it is a score of a method or baseline.
        keeps_states: Whether the states of its texts stay in memory.
        finds_recorded: Whether a run may use what was read from a source earlier if the source is gone now.
    """

    kind: ClassVar[str]
    listed: ClassVar[str] = ""
    version: ClassVar[int] = 1
    needs: ClassVar[Needs] = "nothing"
    part: ClassVar[Part]
    least_work: ClassVar[float] = 100.0
    is_score: ClassVar[bool] = False
    keeps_states: ClassVar[bool] = False
    finds_recorded: ClassVar[bool] = False

    pipeline: Pipeline

    @classmethod
    @abstractmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Stage]:
        """The stages of this kind that a study asks for; computes nothing and looks at no file."""

    @classmethod
    def requested(cls, pipeline: Pipeline, *args: Any, **kwargs: Any) -> Stage:
        """The stage that `Study.request` makes, by names: of tasks, methods and seeds."""
        return cls(pipeline, *args, **kwargs)

    @property
    @abstractmethod
    def key(self) -> str:
        """What progress calls it, such as ``clusters/kmeans``; unique within a study."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What people call it."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Settings that the answer depends on."""

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """What it is made from, by role."""
        return {}

    @property
    def only_listed(self) -> Collection[str]:
        """Roles of parents that are listed but not made, because nothing reads them any more."""
        return ()

    def inputs(self) -> dict[str, Any]:
        """Hashes of what comes from outside of the workspace.

        Raises:
            UserError: Where a file cannot be read.
        """
        limit = {} if self.text_limit is None else {"max_text_tokens": self.text_limit}
        return {**self.pipeline.model.identity, **limit} if self.uses == "model" else {}

    def check(self) -> None:  # noqa: B027
        """Checks the finished parents before it is computed.

        Raises:
            UserError: If it cannot be computed from them.
        """

    @abstractmethod
    def compute(self, out: ArtifactWriter) -> None:
        """Computes the answer; parents are finished."""

    def subject(self) -> Subject:
        """What it is about, as the study's list says."""
        return {}

    @property
    def listed_as(self) -> str:
        """What the study's list calls it; scores at other shots have a name of their own."""
        return self.listed or self.kind

    @property
    def uses(self) -> Needs:
        """The model that it runs with these parameters."""
        return self.needs

    @property
    def text_limit(self) -> int | None:
        """Tokens of a text that the model reads, if not `model.max_text_tokens`."""
        return None

    @property
    def units(self) -> int:
        """Steps that its progress is told in; parents are finished."""
        return 1

    @property
    def score(self) -> str:
        """Name of the score (``MetaPT on mood``)."""
        return ""

    def work(self, reckoning: Reckoning) -> Work:
        """What it sends through models."""
        return Work()

    def own_cost(self, reckoning: Reckoning) -> OwnCost:
        """What it takes beside models."""
        return OwnCost()

    def share(self, reckoning: Reckoning) -> float:
        """Its share of a run's work, in tokens through the language model."""
        return max(self.least_work, self.work(reckoning).tokens(reckoning.tail))

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """What is in a finished artifact, in a few words for a tree of them."""
        return ""

    @classmethod
    def step(cls, listed: Listed) -> Step | None:
        """Its step in a study's overview; None if it has none."""
        return None

    # -------------------------------------------------------------------------- what follows from that

    @property
    def study(self) -> StudyConfig:
        """The study."""
        return self.pipeline.config

    @cached_property
    def question(self) -> Question:
        """The question: all that the answer depends on.

        Raises:
            UserError: Where something that it depends on cannot be read.
        """
        known = self.pipeline.known
        if known is None or self.part == "request":
            return self._ask()
        plain = [value for value in vars(self).values() if isinstance(value, str | int | tuple)]
        asked = (self.listed_as, self.key, repr(self.subject()), repr(plain))
        if asked not in known:
            known[asked] = self._ask()
        return known[asked]

    def _ask(self) -> Question:
        config, parents = self.config(), {role: parent.id for role, parent in self.parents.items()}
        try:
            inputs = self.inputs()
        except UserError as error:
            recorded = self._recorded_inputs(config, parents)
            if recorded is None:
                raise
            self.pipeline.progress.notice(f"{error} What was read of it before is used.")
            inputs = recorded
        return Question(self.kind, self.title, self.version, config, parents, inputs)

    def _recorded_inputs(self, config: dict[str, Any], parents: dict[str, str]) -> dict[str, Any] | None:
        """Hashes of a source as an earlier run read it; None if no run did, or outside of a run."""
        if not (self.finds_recorded and self.pipeline.goes_on):
            return None
        wanted = {"kind": self.listed_as, **self.subject()}
        for entry in reversed(self.pipeline.workspace.index(self.study.name)):
            if wanted.items() <= entry.items():
                artifact = self.pipeline.workspace.artifact(entry["id"])
                stage = artifact.stage
                known = [stage.get(key) for key in ("version", "config", "parents")]
                if known == [self.version, config, parents] and artifact.is_whole:
                    return dict(stage["inputs"])
        return None

    @property
    def id(self) -> str:
        """Id of its artifact."""
        return self.question.id

    @property
    def artifact(self) -> Artifact:
        """Its artifact, whatever its status."""
        return self.pipeline.workspace.artifact(self.id)

    @property
    def is_there(self) -> bool:
        """Whether it is computed and whole."""
        return self.artifact.is_whole

    def entry(self) -> IndexEntry:
        """What the study's list says of it."""
        return {"kind": self.listed_as, "id": self.id, "title": self.title, **self.subject()}

    def parent(self, role: str) -> Artifact:
        """The artifact of a parent."""
        parent = self.parents[role]
        return parent.artifact if isinstance(parent, Stage) else parent

    def maybe_parent(self, role: str) -> Artifact | None:
        """The artifact of a parent that not every stage of the kind has."""
        return self.parent(role) if role in self.parents else None

    def backbone(self) -> Backbone:
        """The language model."""
        limit, model = self.text_limit, self.pipeline.model
        return model.backbone if limit is None else model.reading(limit)

    def advance(self, done: int) -> None:
        """Tells that so many of its units are finished; may raise to stop."""
        self.pipeline.progress.advance(done)


def called_at(name: str, shots: int | None) -> str:
    """A name; with the number of examples if it is not the study's own.

    Example:
        >>> called_at("trec", None), called_at("trec", 1)
        ('trec', 'trec at 1 shot')
    """
    return name if shots is None else f"{name} at {shots} shot{'s' * (shots != 1)}"


def listed_at(kind: str, shots: int | None) -> str:
    """What the study's list calls a kind at a number of examples."""
    return kind if shots is None else f"{kind} at other shots"


def each_shots(pipeline: Pipeline) -> Sequence[int | None]:
    """Numbers of examples that a study scores at; None is its own."""
    return (None, *pipeline.config.evaluation.more_shots)


def tasks_at(pipeline: Pipeline, shots: int | None) -> list[TaskConfig]:
    """The tasks that are scored at a number of examples; those with `shots` of their own at no other."""
    return [task for task in pipeline.tasks.values() if shots is None or task.shots is None]


def of_shots(subject: Subject, shots: int | None) -> Subject:
    """The subject; with the number of examples if it is not the study's own."""
    return subject if shots is None else {**subject, "shots": shots}
