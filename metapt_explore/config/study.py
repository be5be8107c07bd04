"""Everything that a study computes: one validated tree."""

from __future__ import annotations

from statistics import median_high
from typing import Any

from pydantic import Field, model_validator

from metapt_explore.config.auxiliary_tasks import AuxiliaryTasksConfig
from metapt_explore.config.baselines import AnyBaseline, BaselineConfig, check_study_baselines, refuse_baseline
from metapt_explore.config.clustering import AnyClustering, TextsConfig
from metapt_explore.config.clustering_base import ClusteringConfig
from metapt_explore.config.embeddings import AnyEmbeddings, EncoderEmbeddings
from metapt_explore.config.evaluation import AgreementConfig, EvaluationConfig
from metapt_explore.config.labelling import LabellingConfig
from metapt_explore.config.learners import AnyMethod, MetaPTMethod
from metapt_explore.config.limits import MOST_ENTRIES, MOST_SCORES, Seed
from metapt_explore.config.method import MethodConfig, PretrainedMethod
from metapt_explore.config.model import EncoderConfig, ModelConfig, PromptConfig, VerbalizerConfig
from metapt_explore.config.names import FolderName, Text, by_name
from metapt_explore.config.pretraining import GRADIENT_LR, InnerOptimiser, PretrainingConfig
from metapt_explore.config.support import sized, with_support
from metapt_explore.config.sweep import expand_sweeps
from metapt_explore.config.task import UNNAMED, Strict, check_pairs, in_data_folder
from metapt_explore.errors import did_you_mean

#: Lists that a study may leave out.
LISTS = ("clusterings", "methods", "baselines")


class StudyConfig(Strict):
    """Everything that a study computes."""

    name: FolderName = Field(description="its folder's name in a workspace")
    title: Text = Field("", description="what reports are headed with")
    seed: Seed = Field(0, description="of the sample of texts, the clusters and the drawn splits")
    model: ModelConfig = Field(ModelConfig(), description="the frozen language model")
    encoder: EncoderConfig = Field(EncoderConfig(), description="the sentence encoder")
    embeddings: AnyEmbeddings = Field(EncoderEmbeddings(kind="encoder"), description="what clusters are made from")
    texts: TextsConfig = Field(description="what is pre-trained on")
    clusterings: list[AnyClustering] = Field(
        [], max_length=MOST_ENTRIES, description="how texts are grouped, each once; pt, ppt need none"
    )
    labelling: LabellingConfig | None = Field(None, description="labels for texts that have none")
    auxiliary_tasks: AuxiliaryTasksConfig = Field(description="what pre-training tells apart, and which clusters do")
    prompt: PromptConfig = Field(PromptConfig(), description="the soft prompt")
    verbalizer: VerbalizerConfig = Field(VerbalizerConfig(), description="how classes are read")
    pretraining: PretrainingConfig = Field(PretrainingConfig(), description="shared by all pre-trained methods")
    methods: list[AnyMethod] = Field(
        [], max_length=MOST_ENTRIES, description="prompts that are compared; may be left out beside baselines"
    )
    baselines: list[AnyBaseline] = Field(
        [], max_length=MOST_ENTRIES, description="other ways to use the same few-shot rows"
    )
    evaluation: EvaluationConfig = Field(description="tasks, seeds, tuning")
    agreement: AgreementConfig = Field(AgreementConfig(), description="gradients of tasks, looked into on request")

    @model_validator(mode="before")
    @classmethod
    def _sweeps(cls, tree: Any) -> Any:
        if isinstance(tree, dict):
            # A key whose entries are all commented out counts as left out.
            tree = {key: value for key, value in tree.items() if key not in LISTS or value is not None}
        return with_support(expand_sweeps(tree))

    @model_validator(mode="after")
    def _something_is_compared(self) -> StudyConfig:
        if not self.methods and not self.baselines:
            raise ValueError("`methods` and `baselines` are both empty: list what is to be scored")
        return self

    @model_validator(mode="after")
    def _can_be_computed(self) -> StudyConfig:
        evaluation = self.evaluation
        pairs = len(evaluation.init_seeds) * (len(evaluation.data_seeds) if evaluation.pairing == "crossed" else 1)
        scores = (len(self.methods) + len(self.baselines)) * len(evaluation.tasks) * pairs
        scores *= 1 + len(evaluation.more_shots)
        if scores > MOST_SCORES:
            raise ValueError(
                f"methods and baselines × tasks × pairs of seeds × numbers of shots make {scores:,} scores; "
                f"{MOST_SCORES:,} at most"
            )
        return self

    @model_validator(mode="after")
    def _baselines_fit(self) -> StudyConfig:
        check_study_baselines(self)
        if self.baselines and self.evaluation.scored_on != "test":
            raise ValueError("`evaluation.scored_on: other_seeds` goes without `baselines`: they are scored on test")
        return self

    @model_validator(mode="after")
    def _own_tuning_fits_together(self) -> StudyConfig:
        for method in self.methods:
            if method.tuning is not None:
                overrides = method.tuning.of_evaluation
                try:
                    EvaluationConfig.model_validate({**self.evaluation.model_dump(), **overrides})
                except ValueError as error:
                    reason = str(error).splitlines()[1 if len(str(error).splitlines()) > 1 else 0].strip()
                    raise ValueError(f"method '{method.name}': tuning: {reason}") from None
        return self

    @model_validator(mode="after")
    def _added_vectors_are_token_vectors(self) -> StudyConfig:
        for method in self.methods:
            if method.added_vectors and self.prompt.placement == "deep":
                raise ValueError(
                    f"method '{method.name}': `tuning.demonstrations` does not go with `prompt.placement: deep`, where "
                    "a vector's place is part of it; `init: demonstrations` does (kind pt)"
                )
        return self

    @model_validator(mode="after")
    def _adam_is_first_order(self) -> StudyConfig:
        for method in self.methods:
            if not isinstance(method, MetaPTMethod) or not method.second_order:
                continue
            if method.inner_optimiser_among(self.pretraining) == "adam":
                raise ValueError(
                    f"method '{method.name}': `order: exact` goes with `inner_optimiser: gradient`; steps of Adam are "
                    "first order"
                )
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
        if self.auxiliary_tasks.labels:
            check_pairs(self.auxiliary_tasks, self.texts)
        elif self.texts.columns.text_pair is not None:
            raise ValueError("formats made of sentences and clusters need single texts: leave out columns.text_pair")
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
                if method.pretrained and not method.clusterings:
                    raise ValueError(
                        f"method '{method.name}' needs `clustering`: with `auxiliary_tasks.classes: clusters` its rows "
                        "get their words from clusters"
                    )
                if method.topic_tasks is not None:
                    raise ValueError(
                        f"method '{method.name}': `topics` goes with `auxiliary_tasks.classes: labels`: with "
                        "`clusters` all tasks tell clusters apart"
                    )
                if isinstance(method, PretrainedMethod) and (method.without or method.only):
                    raise ValueError(
                        f"method '{method.name}': `without` and `only` go with `auxiliary_tasks.classes: labels`: with "
                        "`clusters` a task is made of several clusters"
                    )
        if labelling is None:
            return self
        if not auxiliary.labels:
            raise ValueError(
                "`labelling` finds the labels of an entry of `auxiliary_tasks` that tells them apart (`format: "
                "labels`, without `texts` and `unified`), of which there is none"
            )
        if self.texts.labelled_only and labelling.which == "unlabelled":
            raise ValueError(
                "texts.labelled_only drops the texts that `labelling` is for; leave one of them out (or ask for "
                "`labelling: {which: all}`, to see how often found labels are the data's own)"
            )
        if isinstance(labelling.cutoff, dict):
            for name in labelling.cutoff:
                if name not in auxiliary.labels:
                    raise ValueError(
                        f"labelling.cutoff: no class '{name}'. {did_you_mean(name, list(auxiliary.labels))}"
                    )
        if labelling.train is not None:
            check_pairs(auxiliary, labelling.train)
        return self

    @model_validator(mode="after")
    def _formats_go_with_methods(self) -> StudyConfig:
        auxiliary, known = self.auxiliary_tasks, [c.name for c in self.clusterings]
        for each in auxiliary.cluster_classes:
            for name in each.clusterings:
                if name not in known:
                    raise ValueError(
                        f"auxiliary_tasks '{each.called}': no clustering '{name}'. {did_you_mean(name, known)}"
                    )
        for method in self.methods if auxiliary.formats else ():
            if method.topic_tasks is not None:
                raise ValueError(
                    f"method '{method.name}': `topics` goes with one kind of auxiliary tasks; in a list of formats "
                    "write an entry `format: cluster_classes`"
                )
            if isinstance(method, PretrainedMethod) and (method.without or method.only):
                raise ValueError(f"method '{method.name}': `without` and `only` go with one kind of auxiliary tasks")
            for each in auxiliary.cluster_classes:
                if method.pretrained and not method.clusterings and not each.clusterings:
                    raise ValueError(
                        f"method '{method.name}' needs `clustering`, or auxiliary_tasks '{each.called}' does: its "
                        "classes are clusters"
                    )
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
            if clustering.source is not None and clustering.source not in known[:index]:
                raise ValueError(
                    f"clustering '{clustering.name}': like: '{clustering.source}' is not a clustering listed before it"
                )
        for method in self.methods:
            topics = method.topic_tasks
            if topics is not None and ("{text_pair}" in topics.template) != self.auxiliary_tasks.pairs:
                raise ValueError(
                    f"method '{method.name}': topics.template and auxiliary_tasks.template must both hold "
                    "{text_pair}, or neither"
                )
            if topics is not None and self.pretraining.meta_batch_size < 2:
                raise ValueError(f"method '{method.name}': `topics` needs pretraining.meta_batch_size of two or more")
            for name in [*method.clusterings, *(topics.clusterings if topics else [])]:
                if name not in known:
                    raise ValueError(f"method '{method.name}': no clustering '{name}'. {did_you_mean(name, known)}")
        return self

    @property
    def pretrains(self) -> bool:
        """Whether any method is pre-trained: else no auxiliary task is made."""
        return any(method.pretrained for method in self.methods)

    def at_shots(self, shots: int | None) -> StudyConfig:
        """The same study with another number of examples per class, and support rows that match; None is its own."""
        if shots is None or shots == self.evaluation.shots:
            return self
        sizes = sized(self.pretraining, self.auxiliary_tasks, shots)
        evaluation = self.evaluation.model_copy(update={"shots": shots})
        return self.model_copy(update={"evaluation": evaluation, "pretraining": sizes})

    def reading_of(self, method: MethodConfig) -> VerbalizerConfig:
        """How a method's classes are read downstream."""
        return method.verbalizer or self.verbalizer

    def pretraining_of(self, method: MethodConfig) -> PretrainingConfig:
        """Settings of a method's pre-training: its own where it has some, else the shared ones; how inner steps go.

        Example:
            >>> from metapt_explore.config import load_study
            >>> study = load_study("tour")
            >>> shared = study.pretraining.model_copy(update={"inner_lr": None})
            >>> study = study.model_copy(update={"pretraining": shared})
            >>> study.evaluation.learning_rates, study.pretraining_of(study.method("MetaPT")).inner_lr
            ([0.003], 0.003)
        """
        shared, keys = self.pretraining, ("inner_lr", "outer_lr", "average_last")
        given = {key: value for key in keys if (value := getattr(method, key, None)) is not None}
        optimiser = method.inner_optimiser_among(shared) if isinstance(method, MetaPTMethod) else "gradient"
        settings = shared.model_copy(update={**given, "inner_optimiser": optimiser})
        return settings.model_copy(update={"inner_lr": settings.inner_lr or self.inner_lr(optimiser)})

    def inner_lr(self, optimiser: InnerOptimiser) -> float:
        """Rate of inner steps where a method has none of its own.

        A step of Adam is as long as one of tuning: the middle one of its learning rates, of two the larger.

        Args:
            optimiser: How the steps are taken.
        """
        middle = median_high(self.evaluation.learning_rates)
        return self.pretraining.inner_lr or (middle if optimiser == "adam" else GRADIENT_LR)

    @property
    def reading_sentences(self) -> list[str]:
        """How classes are read, as sentences shown with the scores; none for plain label words."""
        methods_by_sentence: dict[str, list[str]] = {}
        for method in self.methods:
            if method.verbalizer:
                methods_by_sentence.setdefault(method.verbalizer.sentence or "Read by label words.", []).append(
                    method.name
                )
        of_methods = [f"{', '.join(names)}: {sentence}" for sentence, names in methods_by_sentence.items()]
        return [*filter(None, [self.verbalizer.sentence]), *of_methods]

    def clustering(self, name: str) -> ClusteringConfig:
        """Returns the clustering of that name, or says which exist."""
        return by_name(self.clusterings, name, "clustering")

    def method(self, name: str) -> MethodConfig:
        """Returns the method of that name, or says which exist."""
        refuse_baseline(self.baselines, name)
        return by_name(self.methods, name, "method")

    def baseline(self, name: str) -> BaselineConfig:
        """Returns the baseline of that name, or says which exist."""
        return by_name(self.baselines, name, "baseline")
