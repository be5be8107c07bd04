"""One validated tree per study, and one per downstream task; YAML in and out.

Internal: only names directly under `metapt_explore` are public.
"""

from metapt_explore.config.auxiliary_tasks import AuxiliaryTasksConfig
from metapt_explore.config.baselines import BaselineConfig
from metapt_explore.config.cluster_edit import ClusterEdit
from metapt_explore.config.clustering import (
    EditedClustering,
    HdbscanClustering,
    OnePool,
    RandomGroups,
    TextsConfig,
)
from metapt_explore.config.clustering_base import ClusteringConfig, CountedClustering
from metapt_explore.config.evaluation import NOT_ON_TEST, TASK_SETS, EvaluationConfig
from metapt_explore.config.families import Family, Placement
from metapt_explore.config.init import InitConfig
from metapt_explore.config.labelling import LabellingConfig
from metapt_explore.config.learners import (
    ClusterTasksMethod,
    LeapMethod,
    MAMLMethod,
    MetaPTMethod,
    MetaSGDMethod,
    TrajectoryMethod,
)
from metapt_explore.config.load import (
    EXAMPLES,
    PACKAGE_FOLDER,
    TASK_FILES,
    load_study,
    load_study_task,
    load_task,
    load_tasks,
    packaged_tasks,
    parse,
    readable_yaml,
    to_yaml,
)
from metapt_explore.config.method import MethodConfig, PretrainedMethod, PTMethod
from metapt_explore.config.model import EncoderConfig, ModelConfig, PromptConfig, VerbalizerConfig
from metapt_explore.config.pretraining import PretrainingConfig
from metapt_explore.config.reading import read_yaml
from metapt_explore.config.study import StudyConfig
from metapt_explore.config.task import (
    Columns,
    Label,
    LabelsConfig,
    PublishedSplits,
    SourceConfig,
    Strict,
    TaskConfig,
)
from metapt_explore.config.tuning import TuningConfig, shared_terms, tuning_terms

__all__ = [
    "EXAMPLES",
    "NOT_ON_TEST",
    "PACKAGE_FOLDER",
    "TASK_FILES",
    "TASK_SETS",
    "AuxiliaryTasksConfig",
    "BaselineConfig",
    "ClusterEdit",
    "ClusterTasksMethod",
    "ClusteringConfig",
    "Columns",
    "CountedClustering",
    "EditedClustering",
    "EncoderConfig",
    "EvaluationConfig",
    "Family",
    "HdbscanClustering",
    "InitConfig",
    "Label",
    "LabellingConfig",
    "LabelsConfig",
    "LeapMethod",
    "MAMLMethod",
    "MetaPTMethod",
    "MetaSGDMethod",
    "MethodConfig",
    "ModelConfig",
    "OnePool",
    "PTMethod",
    "Placement",
    "PretrainedMethod",
    "PretrainingConfig",
    "PromptConfig",
    "PublishedSplits",
    "RandomGroups",
    "SourceConfig",
    "Strict",
    "StudyConfig",
    "TaskConfig",
    "TextsConfig",
    "TrajectoryMethod",
    "TuningConfig",
    "VerbalizerConfig",
    "load_study",
    "load_study_task",
    "load_task",
    "load_tasks",
    "packaged_tasks",
    "parse",
    "read_yaml",
    "readable_yaml",
    "shared_terms",
    "to_yaml",
    "tuning_terms",
]
