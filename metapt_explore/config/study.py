"""Everything that a study computes: one validated tree."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field, PositiveFloat, field_validator, model_validator

from metapt_explore.config.baselines import BaselineConfig, check_calibration, check_names
from metapt_explore.config.diagnostics import AgreementConfig
from metapt_explore.config.labelling import LabellingConfig
from metapt_explore.config.start import StartConfig
from metapt_explore.config.sweep import expand_sweeps
from metapt_explore.config.task import UNNAMED, LabelsConfig, SourceConfig, Strict, check_pairs, in_data_folder
from metapt_explore.config.topics import TopicsConfig
from metapt_explore.errors import UserError, nearest

Placement = Literal["suffix", "prefix", "encoder", "decoder"]
Family = Literal["causal", "encoder_decoder", "masked", "sentence"]


class ModelConfig(Strict):
    """The frozen language model."""

    name: str = Field("smollm2-135m", description="starter model, a folder, or a hub name")
    revision: str | None = Field(None, description="commit or tag of a hub model")
    family: Family | None = Field(None, description="what kind of model it is; read from its files when absent")
    sentinel: bool | None = Field(
        None,
        description="encoder-decoders: whether <extra_id_0> stands for the answer, as in T5's own training text; "
        "where the tokenizer has it when absent (false suits Flan-T5)",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    max_text_tokens: int = Field(64, ge=1)
    pass_memory_gib: float | None = Field(
        None, gt=0, description="memory of one forward and backward pass; 1 on a CPU, 40 % of a GPU when absent"
    )
    rows_per_pass: int | None = Field(None, ge=1, description="at most so many rows in a pass, whatever fits")
    text_state_gib: float = Field(4.0, ge=0, description="memory for cached text states")
    second_tier_gib: float = Field(
        8.0, ge=0, description="behind it: host memory where the model is on a GPU, else disk (in the user's cache)"
    )


class EncoderConfig(Strict):
    """The sentence encoder whose embeddings are clustered."""

    name: str = Field("minilm", description="starter encoder, a folder, or a hub name")
    revision: str | None = None
    max_tokens: int = Field(128, ge=1)
    batch_size: int = Field(64, ge=1)


class TextsConfig(SourceConfig):
    """The pre-training texts."""

    limit: int | None = Field(None, ge=1, description="rows to keep, sampled; all when absent")
    balanced: bool = Field(
        False, description="the sample holds as many rows of each label as they reach; rows without one are dropped"
    )
    min_words: int = Field(3, ge=1, description="shorter texts are dropped and counted")
    labelled_only: bool = Field(False, description="drop rows without a label before sampling")
    near_duplicate: float = Field(
        0.7,
        gt=0,
        le=1,
        description="overlap of word triples from which a text counts as nearly equal to a dev or test row",
    )


Algorithm = Literal["kmeans", "minibatch_kmeans", "hdbscan", "lda", "one_pool", "random_groups", "known_groups"]
#: Groupings that draw random numbers.
SEEDED = ("kmeans", "minibatch_kmeans", "lda", "random_groups")


class ClusteringConfig(Strict):
    """One grouping of the texts. `random_groups` copies the sizes of the clustering named in `like`."""

    name: str
    algorithm: Algorithm
    n_clusters: int = Field(
        6, ge=2, description="kmeans, minibatch_kmeans; lda: topics; a list makes a clustering of each (`sweep.py`)"
    )
    min_cluster_size: int = Field(15, ge=2, description="hdbscan")
    min_samples: int | None = Field(None, ge=1, description="hdbscan; min_cluster_size when absent")
    dimensions: int = Field(50, ge=2, description="principal components before clustering")
    like: str | None = None
    seed: int | None = Field(None, ge=0, description="another seed for this clustering alone; the study's when absent")

    @model_validator(mode="after")
    def _seed_is_used(self) -> ClusteringConfig:
        if self.seed is not None and self.algorithm not in SEEDED:
            raise ValueError(f"`seed` changes nothing: {self.algorithm} draws no random numbers")
        return self

    @model_validator(mode="after")
    def _random_needs_like(self) -> ClusteringConfig:
        if (self.algorithm == "random_groups") != (self.like is not None):
            raise ValueError("`like` (the clustering whose sizes are copied) goes with random_groups, and only with it")
        return self


class AuxiliaryTasksConfig(LabelsConfig):
    """Which clusters become auxiliary tasks, and how their rows are read."""

    classes: Literal["labels", "clusters"] = Field(
        "labels",
        description="what a task tells apart: its cluster's texts by their labels, or clusters (no label needed, "
        "CACTUs and SUPMER)",
    )
    n_tasks: int = Field(8, ge=1, description="clusters as classes: tasks to draw")
    min_size: int = Field(32, ge=2, description="labelled rows a cluster needs to become a task")
    min_per_label: int = Field(8, ge=1, description="rows of each label a cluster needs to become a task")
    softness: float = Field(
        0.0,
        ge=0,
        le=2,
        description="a row also belongs to the clusters whose centres are so little (cosine similarity) less like it "
        "than the best one; 0: to its own only",
    )

    @model_validator(mode="after")
    def _a_row_has_one_word(self) -> AuxiliaryTasksConfig:
        if self.softness and self.classes == "clusters":
            raise ValueError("`softness` goes with `classes: labels`: with clusters as classes a row has one cluster")
        return self


class PromptConfig(Strict):
    """Shape, place and start of the soft prompt."""

    length: int = Field(8, ge=1)
    placement: Placement | None = Field(
        None,
        description="suffix: text, prompt, template; prefix: prompt, text, template (the classic layout); encoder, "
        "decoder: in front of that part's tokens; the first that the model's family can do when absent",
    )
    start: StartConfig = Field(
        StartConfig(kind="vocabulary"),
        description="random, vocabulary, labels, {text: ...}, {file: ...}, {peft: ...} or {artifact: ...}",
    )


class VerbalizerConfig(Strict):
    """How classes are read from what the model says."""

    decode: Literal["label_words", "whole_vocabulary"] = Field(
        "label_words",
        description="what label words compete with: one another, or every token (as in PPT's code; another word is a "
        "wrong answer)",
    )
    read: Literal["words", "prototypes", "mixed", "automatic"] = Field(
        "words",
        description="downstream: label words; class prototypes of the few-shot rows; half of each; label words chosen "
        "from the few-shot rows",
    )
    calibration: Literal["none", "batch_mean", "content_free"] = Field(
        "none",
        description="downstream: takes off what the model says of the scored rows on average, or of texts that say "
        "nothing",
    )
    content_free: list[str] = Field(["N/A", "nothing", "..."], min_length=1, description="texts that say nothing")
    automatic_words: int = Field(1, ge=1, description="automatic: label words for each class")

    @property
    def sentence(self) -> str:
        """How classes are read, for whoever looks at the scores; empty for the plain way.

        Example:
            >>> VerbalizerConfig(calibration="batch_mean").sentence
            'Calibrated by the mean over the scored rows, which looks at all test texts (not at their labels).'
        """
        parts = {
            "whole_vocabulary": "Label words compete with the whole vocabulary: another word is a wrong answer.",
            "prototypes": "Classes are read by prototypes of the few-shot rows.",
            "mixed": "Classes are read half by label words, half by prototypes of the few-shot rows.",
            "automatic": f"Each data seed chose {self.automatic_words} label word(s) a class on its few-shot rows.",
            "batch_mean": "Calibrated by the mean over the scored rows, which looks at all test texts (not at their "
            "labels).",
            "content_free": "Calibrated by texts that say nothing.",
        }
        return " ".join(parts[key] for key in (self.decode, self.read, self.calibration) if key in parts)

    @model_validator(mode="after")
    def _fits_together(self) -> VerbalizerConfig:
        if self.decode == "whole_vocabulary" and (
            self.read not in ("words", "automatic") or self.calibration != "none"
        ):
            raise ValueError("`decode: whole_vocabulary` goes with label words and without calibration")
        if self.calibration != "none" and self.read in ("prototypes", "mixed"):
            raise ValueError(f"`calibration` goes with label words, not with `read: {self.read}`")
        return self


class PretrainingConfig(Strict):
    """Settings shared by every pre-training method; the number of backbone passes is the same for all."""

    steps: int = Field(60, ge=1, description="outer steps")
    meta_batch_size: int = Field(4, ge=1, description="auxiliary tasks per outer step")
    support_size: int = Field(8, ge=2, description="rows per task for the inner step")
    query_size: int = Field(8, ge=2, description="rows per task for the outer gradient")
    inner_lr: float = Field(0.03, gt=0)
    outer_lr: float = Field(0.01, gt=0)
    checkpoint_every: int = Field(5, ge=1)


SelectBy = Literal["loss", "accuracy", "one_se"]


class TuningConfig(Strict):
    """How one method is tuned, where that is not what `evaluation` says; reports flag the difference."""

    learning_rates: list[PositiveFloat] | None = Field(None, min_length=1)
    steps: int | None = Field(None, ge=1)
    proximal: float | None = Field(None, ge=0)
    select_by: SelectBy | None = None
    soup: int | None = Field(None, ge=1)


#: Settings of methods that are pre-trained.
PRETRAINED_ONLY = ("outer_lr", "average_last", "topics")


class MethodConfig(Strict):
    """One row of the comparison."""

    name: str
    kind: Literal["pt", "ppt", "metapt"]
    clustering: str | list[str] | None = Field(
        None, description="metapt: whose clusters are the tasks (several: those of all); ppt: the pool's rows"
    )
    without: list[int] = Field(
        default=[], description="clusters that are left out of its tasks (`docs/why.md`: which cluster helps?)"
    )
    only: list[int] = Field(default=[], description="clusters that its tasks are made of; all when absent")
    start: StartConfig | None = Field(None, description="overrides prompt.start (pt only)")
    extra_tuning: bool = Field(
        False,
        description="pt: tunes on for as many rows as the others spend on pre-training; dev still chooses the step",
    )
    learner: Literal["maml", "reptile", "meta_sgd"] = Field(
        "maml", description="metapt: how the prompt is meta-learned"
    )
    order: Literal["first", "exact"] = Field(
        "first", description="maml, meta_sgd: exact differentiates through the inner steps, at more passes a step"
    )
    inner_steps: int = Field(1, ge=1, description="metapt: gradient steps on each task's support rows")
    inner_lr: PositiveFloat | None = Field(None, description="metapt: overrides pretraining.inner_lr")
    outer_lr: PositiveFloat | None = Field(None, description="ppt, metapt: overrides pretraining.outer_lr")
    average_last: float = Field(
        0.0, ge=0, le=1, description="ppt, metapt: the prompt is the mean over this share of the last outer steps"
    )
    pooled_weight: float = Field(
        0.0, ge=0, le=1, description="maml: share of the pooled objective in the outer gradient; it costs no pass"
    )
    task_weights: Literal["equal", "loss", "agreement"] = Field(
        "equal",
        description="maml: tasks of an episode count equally, by their query loss, or by how far their gradient agrees "
        "with the others'",
    )
    topics: TopicsConfig | None = Field(
        None, description="ppt, metapt: part of each outer step tells clusters apart, instead of labels (`topics.py`)"
    )
    tuning: TuningConfig | None = Field(None, description="overrides of evaluation for this method")
    verbalizer: VerbalizerConfig | None = Field(
        None, description="how this method's classes are read, where that is not the study's way; reports flag it"
    )

    @field_validator("clustering")
    @classmethod
    def _clusterings_differ(cls, clustering: str | list[str] | None) -> str | list[str] | None:
        if not isinstance(clustering, list):
            return clustering
        if not clustering or len(set(clustering)) != len(clustering):
            raise ValueError("the list is empty" if not clustering else "a clustering stands twice")
        return clustering if len(clustering) > 1 else clustering[0]

    @property
    def clusterings(self) -> list[str]:
        """The clusterings that its tasks are made of.

        Example:
            >>> MethodConfig(name="MetaPT", kind="metapt", clustering="kmeans").clusterings
            ['kmeans']
        """
        return [self.clustering] if isinstance(self.clustering, str) else list(self.clustering or [])

    @model_validator(mode="after")
    def _fits_kind(self) -> MethodConfig:
        if self.kind == "metapt" and self.clustering is None:
            raise ValueError("a metapt method needs `clustering`")
        if self.kind == "pt" and self.clustering is not None:
            raise ValueError("a pt method has no pre-training and takes no `clustering`")
        if (self.without or self.only) and self.clustering is None:
            raise ValueError("`without` and `only` name clusters and go with `clustering`")
        if self.topics is not None and (self.without or self.only):
            raise ValueError(
                "`without` and `only` go without `topics`, which would still tell the left-out clusters apart"
            )
        if self.without and self.only:
            raise ValueError("give `without` or `only`, not both")
        if self.kind != "pt" and self.extra_tuning:
            raise ValueError("`extra_tuning` belongs to pt: the other methods spend these rows on pre-training")
        if self.kind != "pt" and self.start is not None:
            raise ValueError("`start` belongs to pt; pre-trained methods all begin from prompt.start")
        refused = {"pt": PRETRAINED_ONLY, "ppt": (), "metapt": ()}[self.kind]
        if self.kind != "metapt":
            refused = ("learner", "order", "inner_steps", "inner_lr", "pooled_weight", "task_weights", *refused)
        for key in refused:
            if self.is_set(key):
                raise ValueError(f"`{key}` belongs to {'pre-trained' if key in PRETRAINED_ONLY else 'metapt'} methods")
        if self.learner != "maml" and (self.is_set("pooled_weight") or self.is_set("task_weights")):
            raise ValueError("`pooled_weight` and `task_weights` go with `learner: maml`")
        if self.learner == "reptile" and self.order == "exact":
            raise ValueError("reptile has no `order: exact`: it never differentiates through its inner steps")
        return self

    def is_set(self, key: str) -> bool:
        """Whether a setting differs from its default."""
        return bool(getattr(self, key) != type(self).model_fields[key].default)


#: Seven customary benchmarks of few-shot prompt tuning, and seven tasks whose texts come with the starter packages.
TASK_SETS = {
    "benchmark": ["sst-2", "sst-5", "mr", "cr", "subj", "trec-6", "agnews"],
    "starter": ["imdb", "airline", "subjectivity", "trec", "sms_spam", "satire", "newsgroups"],
}


#: What is to be said of scores of a study that is `scored_on: other_seeds`.
NOT_ON_TEST = (
    "Scores are on dev rows of the other data seeds, for choosing among recipes: no test row was looked at. Test "
    "what is chosen once."
)


class EvaluationConfig(Strict):
    """The few-shot comparison."""

    tasks: list[str] = Field(
        min_length=1,
        description="names of packaged task files, or paths of YAML files; `benchmark` or `starter`: a set of seven",
    )
    shots: int = Field(16, ge=1, description="examples per class in train, and in dev")
    more_shots: list[int] = Field(
        default=[], description="the same prompts are tuned on so many examples per class, too (label efficiency)"
    )
    data_seeds: list[int] = Field(default=[13, 21, 42, 87, 100], min_length=1)
    init_seeds: list[int] = Field(default=[0], min_length=1)
    pairing: Literal["crossed", "paired"] = Field(
        "crossed",
        description="crossed: every initialisation seed on every data seed; paired: the i-th initialisation seed on "
        "the i-th data seed (beginning again where they are fewer), so that each score has a pre-training of its own",
    )
    learning_rates: list[PositiveFloat] = Field(default=[0.001, 0.003], min_length=1)
    steps: int = Field(30, ge=1)
    halving_steps: list[int] = Field(
        default=[],
        description="after each of these steps the half of a data seed's learning rates with the higher dev loss drops "
        "out (successive halving): four rates, halved at 5 and 10 of 30 steps, cost 50 steps instead of 120",
    )
    proximal: float = Field(
        0.0,
        ge=0,
        description="pull towards the start: each tuning step moves the prompt back by learning rate × this share",
    )
    batch_size: int = Field(16, ge=1)
    curve_steps: list[int] = Field(
        default=[0, 1, 2, 5, 10, 20, 30], description="steps at which dev and test are scored"
    )
    scored_on: Literal["test", "other_seeds"] = Field(
        "test",
        description="other_seeds: for choosing among recipes. No test row is looked at; scored are the dev rows "
        "of the other data seeds (at most `test_rows`), which neither tuned the prompt nor chose its rate and step",
    )
    curve_rows: int | None = Field(
        None,
        ge=1,
        description="test rows, label-balanced, that curves are drawn over; all when absent. Start and chosen step are "
        "always scored on all",
    )
    select_by: SelectBy = Field(
        "loss",
        description="dev score that chooses learning rate and step; accuracy on a few rows is mostly ties and luck; "
        "one_se: the fewest steps whose dev loss is within a standard error of the lowest",
    )
    soup: int = Field(
        1,
        ge=1,
        description="the tuned prompt is the mean of so many, those of the rates and steps with the lowest dev loss "
        "(model soups)",
    )
    shuffle_labels: bool = Field(
        False,
        description="control: few-shot rows get one another's labels, so that there is nothing to learn and no method "
        "can be better; a comparison that says otherwise is broken",
    )
    margin: float = Field(
        0.02, gt=0, lt=1, description="the smallest difference in accuracy that matters; less is 'no difference'"
    )
    test_rows: int | None = Field(400, ge=1, description="test rows, label-balanced as far as they go; all when absent")

    @field_validator("tasks", mode="before")
    @classmethod
    def _sets_of_tasks(cls, tasks: Any) -> Any:
        return TASK_SETS.get(tasks, tasks) if isinstance(tasks, str) else tasks

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
        rates, found = len(self.learning_rates), []
        for step in range(1, self.steps + 1):
            found.append(rates)
            if step in self.halving_steps:
                rates = -(-rates // 2)
        return found

    @property
    def scored_steps(self) -> list[int]:
        """Steps at which prompts are scored: 0, those of `curve_steps` and `halving_steps` in reach, and the last."""
        inside = {step for step in (*self.curve_steps, *self.halving_steps) if 0 <= step <= self.steps}
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
    labelling: LabellingConfig | None = Field(None, description="labels for texts that have none")
    auxiliary_tasks: AuxiliaryTasksConfig
    prompt: PromptConfig = PromptConfig()
    verbalizer: VerbalizerConfig = VerbalizerConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    methods: list[MethodConfig] = Field(min_length=1)
    baselines: list[BaselineConfig] = Field([], description="other ways to use the same few-shot rows")
    evaluation: EvaluationConfig
    agreement: AgreementConfig = Field(AgreementConfig(), description="looked into on request (`docs/why.md`)")

    @model_validator(mode="before")
    @classmethod
    def _sweeps(cls, tree: Any) -> Any:
        return expand_sweeps(tree)

    @model_validator(mode="after")
    def _baselines_fit(self) -> StudyConfig:
        check_names(self.baselines, [method.name for method in self.methods])
        check_calibration(self.baselines, self.verbalizer.decode)
        if self.baselines and self.evaluation.scored_on != "test":
            raise ValueError("`evaluation.scored_on: other_seeds` goes without `baselines`: they are scored on test")
        return self

    @model_validator(mode="after")
    def _own_tuning_fits_together(self) -> StudyConfig:
        for method in self.methods:
            if method.tuning is not None:
                own = method.tuning.model_dump(exclude_none=True)
                try:
                    EvaluationConfig.model_validate({**self.evaluation.model_dump(), **own})
                except ValueError as error:
                    reason = str(error).splitlines()[1 if len(str(error).splitlines()) > 1 else 0].strip()
                    raise ValueError(f"method '{method.name}': tuning: {reason}") from None
        return self

    @model_validator(mode="after")
    def _methods_compete_with_the_same_words(self) -> StudyConfig:
        for method in self.methods:
            if method.verbalizer is not None and method.verbalizer.decode != self.verbalizer.decode:
                raise ValueError(
                    f"method '{method.name}': `verbalizer.decode` belongs to the study: prompts are pre-trained by "
                    "it, too"
                )
        return self

    @model_validator(mode="after")
    def _texts_fit_the_template(self) -> StudyConfig:
        check_pairs(self.auxiliary_tasks, self.texts)
        for source in (self.texts, self.labelling.train if self.labelling else None):
            if source is not None and in_data_folder(source.file):
                raise ValueError(UNNAMED.format(file=source.file))
        return self

    @model_validator(mode="after")
    def _labels_come_from_one_place(self) -> StudyConfig:
        labelling, auxiliary = self.labelling, self.auxiliary_tasks
        if auxiliary.classes == "labels" and auxiliary.n_tasks != type(auxiliary).model_fields["n_tasks"].default:
            raise ValueError(
                "`auxiliary_tasks.n_tasks` goes with `classes: clusters`; else every cluster that is large enough is a "
                "task"
            )
        if auxiliary.classes == "clusters":
            if labelling is not None:
                raise ValueError("`labelling` and `auxiliary_tasks.classes: clusters` exclude one another")
            for method in self.methods:
                if method.kind != "pt" and method.clustering is None:
                    raise ValueError(
                        f"method '{method.name}' needs `clustering`: with `auxiliary_tasks.classes: clusters` its rows "
                        "get their words from clusters"
                    )
                if method.topics is not None:
                    raise ValueError(
                        f"method '{method.name}': `topics` goes with `auxiliary_tasks.classes: labels`: with "
                        "`clusters` all tasks tell clusters apart"
                    )
                if method.without or method.only:
                    raise ValueError(
                        f"method '{method.name}': `without` and `only` go with `auxiliary_tasks.classes: labels`: with "
                        "`clusters` a task is made of several clusters"
                    )
        if labelling is None:
            return self
        if self.texts.labelled_only and labelling.which == "unlabelled":
            raise ValueError(
                "texts.labelled_only drops the texts that `labelling` is for; leave one of them out (or ask for "
                "`labelling: {which: all}`, to see how often found labels are the data's own)"
            )
        if isinstance(labelling.cutoff, dict):
            for name in labelling.cutoff:
                if name not in auxiliary.labels:
                    raise ValueError(f"labelling.cutoff: no class '{name}'. {nearest(name, list(auxiliary.labels))}")
        if labelling.train is not None:
            check_pairs(auxiliary, labelling.train)
        return self

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
            if method.topics is not None and ("{text_pair}" in method.topics.template) != self.auxiliary_tasks.pairs:
                raise ValueError(
                    f"method '{method.name}': topics.template and auxiliary_tasks.template must both hold "
                    "{text_pair}, or neither"
                )
            if method.topics is not None and self.pretraining.meta_batch_size < 2:
                raise ValueError(f"method '{method.name}': `topics` needs pretraining.meta_batch_size of two or more")
            for name in [*method.clusterings, *(method.topics.clusterings if method.topics else [])]:
                if name not in known:
                    raise ValueError(f"method '{method.name}': no clustering '{name}'. {nearest(name, known)}")
        return self

    def at_shots(self, shots: int | None) -> StudyConfig:
        """The same study with another number of examples per class; None is its own."""
        if shots is None or shots == self.evaluation.shots:
            return self
        return self.model_copy(update={"evaluation": self.evaluation.model_copy(update={"shots": shots})})

    def reading_of(self, method: MethodConfig) -> VerbalizerConfig:
        """How a method's classes are read downstream."""
        return method.verbalizer or self.verbalizer

    @property
    def reading_sentences(self) -> list[str]:
        """How classes are read, for whoever looks at the scores; nothing of what is read the plain way."""
        own = [(m.name, m.verbalizer.sentence or "Read by label words.") for m in self.methods if m.verbalizer]
        return [*filter(None, [self.verbalizer.sentence]), *(f"{name}: {sentence}" for name, sentence in own)]

    def clustering(self, name: str) -> ClusteringConfig:
        """Returns the clustering of that name, or says which exist."""
        return _by_name(self.clusterings, name, "clustering")

    def method(self, name: str) -> MethodConfig:
        """Returns the method of that name, or says which exist."""
        return _by_name(self.methods, name, "method")

    def baseline(self, name: str) -> BaselineConfig:
        """Returns the baseline of that name, or says which exist."""
        return _by_name(self.baselines, name, "baseline")


Named = TypeVar("Named", ClusteringConfig, MethodConfig, BaselineConfig)


def _by_name(entries: list[Named], name: str, kind: str) -> Named:
    for entry in entries:
        if entry.name == name:
            return entry
    raise UserError(f"The study has no {kind} '{name}'. {nearest(name, [entry.name for entry in entries])}")
