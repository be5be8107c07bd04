"""The few-shot comparison: tasks, seeds, tuning, scoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.fixed_recipe import FixedRecipe
from metapt_explore.config.limits import MOST_ENTRIES, MOST_SEARCHED, MOST_VALUES, Count, Rate, Seed, Size
from metapt_explore.config.names import Text
from metapt_explore.config.task import Strict
from metapt_explore.config.task_terms import TaskTerms, check_task_terms, with_task_terms
from metapt_explore.config.tuning import SelectBy

#: Seven customary benchmarks of few-shot prompt tuning, and seven tasks whose texts come with the starter packages.
TASK_SETS = {
    "benchmark": ["sst-2", "sst-5", "mr", "cr", "subj", "trec-6", "agnews"],
    "starter": ["imdb", "airline", "subjectivity", "trec", "sms_spam", "satire", "newsgroups"],
}


#: Note on the scores of a study with `scored_on: other_seeds`.
NOT_ON_TEST = (
    "Scores are on dev rows of the other data seeds, for choosing among recipes: no test row was looked at. Test "
    "what is chosen once."
)


#: Steps after which learning rates are halved, where neither rates nor steps are given.
DEFAULT_HALVING = (5, 10)


class EvaluationConfig(Strict):
    """The few-shot comparison.

    Example:
        >>> EvaluationConfig(tasks=["trec"], steps=8).halving_steps
        [5]
        >>> EvaluationConfig(tasks=["trec"], learning_rates=[0.01]).halving_steps
        []
    """

    #: Brief YAML has them always: without them `halving_steps` would mean something else.
    always_written: ClassVar = ("learning_rates",)

    tasks: list[Text] = Field(
        min_length=1,
        max_length=MOST_ENTRIES,
        description="names of packaged task files, or paths of YAML files; `benchmark` or `starter`: a set of seven. "
        "`{task: own.yaml, shots: all, max_tokens: 256}` says what holds for one task",
    )
    task_terms: list[TaskTerms] = Field(
        default=[], max_length=MOST_ENTRIES, description="what entries of `tasks` say of one task beside its name"
    )
    shots: Count = Field(
        16, description="examples per class in train, and in dev; all: every training row of each task's files"
    )
    more_shots: list[Size] = Field(
        default=[],
        max_length=MOST_SEARCHED,
        description="the same prompts are tuned on so many examples per class, too (label efficiency)",
    )
    data_seeds: list[Seed] = Field(
        default=[13, 21, 42, 87, 100], min_length=1, max_length=MOST_VALUES, description="few-shot samples"
    )
    init_seeds: list[Seed] = Field(
        default=[0],
        min_length=1,
        max_length=MOST_VALUES,
        description="starts, each with complete pre-trainings of its own",
    )
    pairing: Literal["crossed", "paired"] = Field(
        "crossed",
        description="crossed: every initialisation seed on every data seed; paired: the i-th initialisation seed on "
        "the i-th data seed (beginning again where they are fewer), so that each score has a pre-training of its own",
    )
    learning_rates: list[Rate] = Field(
        default=[0.001, 0.004, 0.016, 0.064],
        min_length=1,
        max_length=MOST_SEARCHED,
        description="step sizes of tuning (Adam), searched on dev for every method; where neither they nor "
        "`halving_steps` are given, halved after 5 and 10 steps. A prompt that was not pre-trained wants the higher "
        "ones: without them PT is worse than it need be",
    )
    steps: int = Field(
        30, ge=0, le=100_000, description="tuning steps; 0: only starts are scored, which ranks recipes in no time"
    )
    halving_steps: list[Size] = Field(
        default=[],
        max_length=MOST_VALUES,
        description="after each of these steps the half of a data seed's learning rates with the higher dev loss drops "
        "out (successive halving): four rates, halved at 5 and 10 of 30 steps, cost 50 steps instead of 120",
    )
    proximal: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="pull towards the start: each tuning step moves the prompt back by learning rate × this share",
    )
    batch_size: Count = Field(16, description="few-shot rows of a tuning step")
    curve_steps: list[Size] = Field(
        default=[0, 1, 2, 5, 10, 20, 30], max_length=MOST_VALUES, description="steps at which dev and test are scored"
    )
    scored_on: Literal["test", "other_seeds"] = Field(
        "test",
        description="other_seeds: for choosing among recipes. No test row is looked at; scored are the dev rows "
        "of the other data seeds (at most `test_rows`), which neither tuned the prompt nor chose its rate and step",
    )
    curve_rows: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="test rows, label-balanced, that curves are drawn over; all when absent. Start and chosen step are "
        "always scored on all",
    )
    select_by: SelectBy = Field(
        "loss",
        description="dev score that chooses learning rate and step; accuracy on a few rows is mostly ties and luck; "
        "one_se: the fewest steps whose dev loss is within a standard error of the lowest; last: nothing is chosen, "
        "the last step of one learning rate is kept (where dev has too few rows to choose by)",
    )
    fixed_recipe: FixedRecipe | None = Field(
        None,
        description="for those of `more_shots` at which dev has too few rows: nothing is chosen, the last of so many "
        "steps at one learning rate is kept",
    )
    soup: int = Field(
        1,
        ge=1,
        le=1000,
        description="the tuned prompt is the mean of so many, those of the rates and steps with the lowest dev loss "
        "(model soups)",
    )
    shuffle_labels: bool = Field(
        False,
        description="control: few-shot rows get one another's labels, so that there is nothing to learn and no method "
        "can be better; a comparison that says otherwise is broken",
    )
    margin: float = Field(
        0.02, gt=0, lt=1, description="the smallest difference in the score that matters; less is 'no difference'"
    )
    metric: Literal["accuracy", "macro_f1"] = Field(
        "accuracy", description="score that comparisons, intervals and verdicts are of; both are always shown"
    )
    test_rows: int | None = Field(
        400, ge=1, le=1_000_000_000, description="test rows, label-balanced as far as they go; all when absent"
    )

    @model_validator(mode="before")
    @classmethod
    def _rates_by_default(cls, given: Any) -> Any:
        if isinstance(given, dict) and not given.keys() & {"learning_rates", "halving_steps"}:
            steps = given.get("steps", cls.model_fields["steps"].default)
            if isinstance(steps, int):
                return {**given, "halving_steps": [step for step in DEFAULT_HALVING if step < steps]}
        return given

    @model_validator(mode="before")
    @classmethod
    def _tasks_and_their_terms(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(tasks := given.get("tasks"), str):
            given = {**given, "tasks": TASK_SETS.get(tasks, tasks)}
        return with_task_terms(given) if isinstance(given, dict) and isinstance(given.get("tasks"), list) else given

    @field_validator("halving_steps")
    @classmethod
    def _in_order(cls, steps: list[int]) -> list[int]:
        if any(step < 1 for step in steps) or steps != sorted(set(steps)):
            raise ValueError("steps begin at 1 and ascend")
        return steps

    @field_validator("data_seeds", "init_seeds", "learning_rates", "more_shots")
    @classmethod
    def _no_repeats(cls, values: list[float]) -> list[float]:
        if len(set(values)) != len(values):
            raise ValueError("a value stands twice")
        return values

    @model_validator(mode="after")
    def _terms_are_of_tasks(self) -> EvaluationConfig:
        check_task_terms(self)
        return self

    @property
    def tasks_at_more_shots(self) -> list[str]:
        """Tasks that are scored at `more_shots`, too: those without a number of their own."""
        own = {terms.task for terms in self.task_terms if terms.shots is not None}
        return [task for task in self.tasks if task not in own]

    @model_validator(mode="after")
    def _more_shots_are_others(self) -> EvaluationConfig:
        for shots in self.more_shots:
            if shots < 1 or shots == self.shots:
                raise ValueError(f"more_shots: {shots} is {'less than 1' if shots < 1 else 'evaluation.shots already'}")
        return self

    @model_validator(mode="after")
    def _pairs_use_every_data_seed(self) -> EvaluationConfig:
        if self.pairing == "paired" and len(self.init_seeds) < len(self.data_seeds):
            raise ValueError(
                f"`pairing: paired` gives each initialisation seed one data seed: with {len(self.init_seeds)} of them, "
                f"{len(self.data_seeds) - len(self.init_seeds)} data seeds are never used"
            )
        return self

    @model_validator(mode="after")
    def _soups_go_by_loss(self) -> EvaluationConfig:
        if self.soup > 1 and self.select_by != "loss":
            raise ValueError("`soup` takes the prompts with the lowest dev losses: it goes with `select_by: loss`")
        return self

    @model_validator(mode="after")
    def _the_last_step_is_of_one_rate(self) -> EvaluationConfig:
        if self.select_by == "last" and len(self.learning_rates) > 1:
            raise ValueError(
                "`select_by: last` chooses nothing on dev: give one learning rate, as in `learning_rates: [0.016]`"
            )
        return self

    @model_validator(mode="after")
    def _the_fixed_recipe_is_of_fewer_shots(self) -> EvaluationConfig:
        recipe = self.fixed_recipe
        if recipe is None:
            return self
        if recipe.holds_at(self.shots):
            raise ValueError(
                f"fixed_recipe: with `shots: {self.shots}` it would hold for the study's own scores; there `select_by: "
                "last` with one learning rate does that. Make `shots` the largest number and the others `more_shots`"
            )
        if not any(recipe.holds_at(shots) for shots in self.more_shots):
            raise ValueError(f"fixed_recipe: none of `more_shots` is {recipe.up_to} or less, so it would never be used")
        return self

    @property
    def baselines_select_by(self) -> str:
        """Dev score that baselines choose by, ``loss`` or ``accuracy``.

        Prompts know "the fewest steps" and "the last step"; baselines have other grids and take the lowest loss.
        """
        return self.select_by if self.select_by == "accuracy" else "loss"

    @model_validator(mode="after")
    def _halving_is_within_reach(self) -> EvaluationConfig:
        late = [step for step in self.halving_steps if step >= self.steps]
        if late:
            raise ValueError(f"halving_steps: {late[0]} is not before the last of {self.steps} steps")
        return self

    @model_validator(mode="after")
    def _there_are_other_seeds(self) -> EvaluationConfig:
        if self.scored_on == "other_seeds" and (self.pairing != "paired" or len(self.data_seeds) < 2):
            raise ValueError("`scored_on: other_seeds` goes with `pairing: paired` and several data seeds")
        return self

    def data_seeds_of(self, init_seed: int) -> list[int]:
        """Data seeds that the prompts of one initialisation seed are tuned on.

        Example:
            >>> config = EvaluationConfig(tasks=["trec"], data_seeds=[13, 21], init_seeds=[0, 1, 2], pairing="paired")
            >>> [config.data_seeds_of(seed) for seed in config.init_seeds]
            [[13], [21], [13]]
        """
        if self.pairing == "crossed":
            return self.data_seeds
        return [self.data_seeds[self.init_seeds.index(init_seed) % len(self.data_seeds)]]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Initialisation and data seed of every score of a method on a task: the units of the comparison."""
        return [(init, data) for init in self.init_seeds for data in self.data_seeds_of(init)]

    @property
    def scored_rows(self) -> str:
        """What scores are on, in words."""
        return self.scored_on.replace("_", " ")

    @property
    def rates_running(self) -> list[int]:
        """How many learning rates are tuned on at each step.

        Example:
            >>> rates = [0.001, 0.01, 0.1]
            >>> EvaluationConfig(tasks=["trec"], learning_rates=rates, steps=4, halving_steps=[1, 2]).rates_running
            [3, 2, 1, 1]
        """
        rates, running = len(self.learning_rates), []
        for step in range(1, self.steps + 1):
            running.append(rates)
            if step in self.halving_steps:
                rates = -(-rates // 2)
        return running

    def of_baseline(self, options: Mapping[str, Any]) -> EvaluationConfig:
        """This evaluation with the steps and learning rates of a baseline."""
        halving = options.get("halving_steps", [])
        looked_at = sorted({*self.curve_steps, *self.halving_steps})
        settings = {"steps": options["steps"], "learning_rates": options["learning_rates"], "halving_steps": halving}
        return self.model_copy(update={**settings, "curve_steps": looked_at})

    @property
    def scored_steps(self) -> list[int]:
        """Steps at which prompts are scored: 0, those of `curve_steps` and `halving_steps` in reach, and the last."""
        inside = {step for step in (*self.curve_steps, *self.halving_steps) if 0 <= step <= self.steps}
        return sorted(inside | {0, self.steps})


class AgreementConfig(Strict):
    """Gradient agreement between auxiliary and downstream tasks (`diagnostics/agreement.py`), on request."""

    rows: int = Field(
        64, ge=2, le=1_000_000, description="rows of one draw from an auxiliary task, equally many of each label"
    )
    draws: int = Field(
        8, ge=1, le=10_000, description="draws from each auxiliary task: noise is told from signal by them"
    )
