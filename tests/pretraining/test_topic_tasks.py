"""Topic tasks in an outer step: gradients by hand, draws, words, and a whole study with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from test_methods import BENT, CLOSE, CONFIG, LABELS, TASKS, TEXTS, backbone, plain_loss_by, task_of  # noqa: F401
from torch import Tensor

from metapt_explore.auxiliary_tasks.topic_words import choose_topic_words, topic_candidates
from metapt_explore.config import LabelsConfig, MethodConfig, StudyConfig, parse
from metapt_explore.config.sweep import expand_sweeps
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.episode_bank import PretrainingTexts
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.loop import pretrain
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.pretraining.state import TrainingCallbacks
from metapt_explore.pretraining.topics import Topics
from metapt_explore.reporting.background_sections import terms_of
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.record import record_of
from metapt_explore.statistics import fairness_flags
from metapt_explore.storage.artifact import ArtifactWriter
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

TOPIC_LABELS = LabelsConfig(template="{text} Type :", labels={"0": "camera", "1": "book", "2": "music"})
TOPICS = Topics({4: {str(c): list(range(27 * c, 27 * c + 26)) for c in range(3)}}, 0.34)


def with_topics(name: str) -> PretrainingTask:
    return replace(task_of(name), topics=TOPICS)


@pytest.fixture(scope="module")
def losses(world: Path, backbone: CausalBackbone) -> list[Any]:  # noqa: F811
    """Mean loss of rows by the first and by the topic pattern."""
    return [plain_loss_by(world, backbone, labels) for labels in (LABELS, TOPIC_LABELS)]


def objective_of(backbone: CausalBackbone) -> PromptObjective:  # noqa: F811
    pattern, other = (backbone.pattern(labels, "test") for labels in (LABELS, TOPIC_LABELS))
    return PromptObjective(
        backbone, backbone.bank(TEXTS, pattern), pattern, others=[(backbone.bank(TEXTS, other), other)]
    )


@pytest.mark.parametrize("name", ["first-order", "exact"])
def test_maml_over_both_kinds_equals_the_written_out_algorithm(
    name: str,
    backbone: CausalBackbone,  # noqa: F811
    losses: list[Any],
) -> None:
    pretraining_task = with_topics(name)
    learner, objective = make_learner(pretraining_task), objective_of(backbone)
    episode = learner.draw(1)
    assert episode.patterns == [0, 0, 1] and episode.tasks[2] == 4
    prompt = backbone.embedding[20:23].clone()
    gradients, records = learner.gradient({"prompt": prompt}, episode, objective)

    leaf = prompt.clone().requires_grad_(True)
    total = torch.zeros(())
    for i, pattern in enumerate(episode.patterns):
        loss = losses[pattern]
        support = loss(leaf, episode.support[i], episode.support_labels[i])
        (inner,) = torch.autograd.grad(support, leaf, create_graph=name == "exact", retain_graph=True)
        total = total + loss(leaf - 0.7 * inner, episode.query[i], episode.query_labels[i]) / 3
    (expected,) = torch.autograd.grad(total, leaf)
    torch.testing.assert_close(gradients["prompt"], expected, **(BENT if name == "exact" else CLOSE))
    assert sum(record["query"] for record in records) / 3 == pytest.approx(float(total.detach()), rel=1e-4)
    assert objective.row_passes == pytest.approx(pretraining_task.method.row_passes_per_step(CONFIG))


def test_pooled_rows_of_both_kinds_count_equally(backbone: CausalBackbone, losses: list[Any]) -> None:  # noqa: F811
    learner, objective = make_learner(with_topics("ppt")), objective_of(backbone)
    episode = learner.draw(3)
    prompt = backbone.embedding[20:23].clone()
    gradients, _ = learner.gradient({"prompt": prompt}, episode, objective)
    leaf = prompt.clone().requires_grad_(True)
    total, rows = torch.zeros(()), 0
    for i, pattern in enumerate(episode.patterns):
        for part, labels in ((episode.support, episode.support_labels), (episode.query, episode.query_labels)):
            total = total + len(part[i]) * losses[pattern](leaf, part[i], labels[i])
            rows += len(part[i])
    # As many rows as a meta-step: 3 tasks × (4 + 6), a third of them of topics.
    assert rows == 30 == objective.row_passes and sum(map(len, (episode.support[1], episode.query[1]))) == 10
    (expected,) = torch.autograd.grad(total / rows, leaf)
    torch.testing.assert_close(gradients["prompt"], expected, **CLOSE)


def test_draws_of_topics_leave_those_of_labels_alone() -> None:
    with_them = make_learner(with_topics("first-order"))
    fewer = replace(task_of("first-order"), config=CONFIG.model_copy(update={"meta_batch_size": 2}))
    for step in range(4):
        both, alone = with_them.draw(step), make_learner(fewer).draw(step)
        assert (both.tasks[:2], both.support[:2], both.query[:2]) == (alone.tasks, alone.support, alone.query)
        rows = [*both.support[2], *both.query[2]]
        assert len(set(rows)) == len(rows) == 10
        for row, label in zip(both.support[2], both.support_labels[2], strict=True):
            assert row in TOPICS.tasks[4][str(label)]
        assert both == with_them.draw(step)
    assert with_them.draw(0).support[2] != with_them.draw(1).support[2]


class Stop:
    def __init__(self, after: int) -> None:
        self.after, self.calls = after, 0

    def __call__(self, step: int) -> None:
        self.calls += 1
        if self.calls == self.after:
            raise Cancelled("stop")


def test_a_stopped_pretraining_goes_on_to_the_same_bits(backbone: CausalBackbone, tmp_path: Path) -> None:  # noqa: F811
    pretraining_task = with_topics("first-order")
    patterns = [backbone.pattern(labels, "test") for labels in (LABELS, TOPIC_LABELS)]
    start = backbone.embedding[20:23].clone()

    def learn(folder: str, on_step: Any) -> Tensor:
        out = ArtifactWriter(tmp_path / folder)
        callbacks = TrainingCallbacks(out.metric, on_step, on_step, out)
        source, learner = PretrainingTexts(TEXTS, patterns[0], patterns[1:]), make_learner(pretraining_task)
        outcome = pretrain(learner, pretraining_task, start, backbone=backbone, source=source, callbacks=callbacks)
        return outcome.learned["prompt"]

    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole = learn("whole", lambda step: None)
    for after in (7, 9):
        with pytest.raises(Cancelled):
            learn("parts", Stop(after))
    assert torch.equal(learn("parts", lambda step: None), whole)


def test_words_of_clusters() -> None:
    clusters = [
        {"cluster": -1, "name": "outliers", "keywords": ["noise"]},
        {"cluster": 0, "name": "0: like, toy", "keywords": ["like", "toy"]},
        {"cluster": 1, "name": "1: like, film", "keywords": ["like", "film"]},
        {"cluster": 2, "name": "2", "keywords": []},
    ]
    candidates = topic_candidates(clusters, named=False)
    assert candidates == {0: ["toy", "like"], 1: ["film", "like"], 2: []}
    # Where the data name a group, its name comes first; words of several tokens only where no other is free.
    home = {"cluster": 0, "name": "0: Home & garden", "keywords": ["lamp"]}
    named = topic_candidates([home], named=True)
    assert named == {0: ["home & garden", "home", "garden", "lamp"]}
    garden = {"cluster": 1, "name": "1: garden", "keywords": ["lamp", "rose"]}
    assert topic_candidates([home, garden], named=True) == {
        0: ["home & garden", "home", "garden", "lamp"],
        1: ["garden", "rose", "lamp"],
    }

    def tokens(word: str) -> list[int]:
        return [hash(part) for part in word.split()]

    assert choose_topic_words(candidates, tokens) == ["toy", "film", "2"]
    assert choose_topic_words(named, tokens) == ["home"]
    assert choose_topic_words({0: ["a"], 1: ["a"], 2: ["b c"]}, tokens) == ["a", "1", "b c"]
    assert choose_topic_words({0: ["1"], 1: []}, tokens) == ["1", "group 1"]


METHODS: list[dict[str, Any]] = [
    {"name": "PPT", "kind": "ppt"},
    {"name": "PPT topics", "kind": "ppt", "topics": {"clustering": "topics", "template": "{text} Type :"}},
    {
        "name": "MetaPT topics",
        "kind": "metapt",
        "clustering": "kmeans",
        "topics": {"clustering": ["topics", "kmeans"], "template": "{text} Type :", "share": 0.5},
    },
]


@pytest.fixture(scope="module")
def done(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("topics")
    evaluation = {"tasks": [str(world / "mood.yaml")], "data_seeds": [1]}
    pretraining = {"meta_batch_size": 4}
    tree = tiny.study_tree(world, methods=METHODS, evaluation=evaluation, pretraining=pretraining)
    Study(parse(StudyConfig, tree, "test"), folder).run()
    return folder


def test_a_study_with_topics(done: Path) -> None:
    workspace = Workspace(done)
    prompts = {e["method"]: workspace.artifact(e["id"]) for e in workspace.index("tiny") if e["kind"] == "prompt"}
    # The groups that the data name are called by their names.
    assert sorted(prompts["PPT topics"].summary["topic_words"][0]) == ["book", "camera", "kitchen", "music"]
    assert len(prompts["MetaPT topics"].summary["topic_words"]) == 2
    passes = {name: prompt.summary["row_passes"] for name, prompt in prompts.items()}
    assert set(passes.values()) == {4 * 4 * 8}
    tasks = set(prompts["MetaPT topics"].metrics["task"])
    assert {4, 5} < tasks
    record = record_of(workspace, "tiny")
    flags = {flag.rule: flag.sentence for flag in fairness_flags([terms_of(budget) for budget in record.budgets])}
    assert "50 % topics of topics + kmeans" in flags["auxiliary"] and "one kind of task" in flags["auxiliary"]


def test_texts_behind_topics_are_counted(done: Path) -> None:
    for method in ("PPT topics", "MetaPT topics"):
        texts = lineage(Workspace(done), "tiny", method, "mood", data_seed=1, init_seed=0).texts()
        drawn = Counter()
        for task, times in zip(texts["auxiliary_task"], texts["drawn"], strict=True):
            drawn["topics" if task in ((1,) if method.startswith("PPT") else (4, 5)) else "labels"] += int(times)
        # 4 outer steps, half of 4 × (4 + 4) rows each.
        assert drawn == {"topics": 64, "labels": 64}
        of_topics = texts[texts["class"].astype(str).str.startswith("cluster ")]
        assert int(of_topics["drawn"].sum()) == 64


def test_too_few_clusters_are_found_before_anything_is_pretrained(world: Path, tmp_path: Path) -> None:
    method = {"name": "PPT topics", "kind": "ppt", "topics": {"clustering": "kmeans", "min_rows": 1000}}
    study = Study(parse(StudyConfig, tiny.study_tree(world, methods=[method]), "test"), tmp_path)
    with pytest.raises(UserError, match="method 'PPT topics': topics: 0 of 4 clusters have 1000 rows"):
        study.run()
    assert not [e for e in Workspace(tmp_path).index("tiny") if e["kind"] == "prompt"]


def test_topics_of_a_sweep() -> None:
    sweep = [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": [2, 3]}]
    methods = [{"name": "M", "kind": "metapt", "clustering": "kmeans", "topics": {"clustering": ["kmeans", "own"]}}]
    written = expand_sweeps({"clusterings": sweep, "methods": methods})["methods"]
    assert [(m["name"], m["clustering"], m["topics"]["clustering"]) for m in written] == [
        ("M-2", "kmeans-2", ["kmeans-2", "own"]),
        ("M-3", "kmeans-3", ["kmeans-3", "own"]),
    ]


def test_what_does_not_fit_is_said(world: Path) -> None:
    def refused(message: str, method: dict[str, Any], **changes: Any) -> None:
        with pytest.raises(UserError, match=message):
            parse(StudyConfig, tiny.study_tree(world, methods=[method], **changes), "test")

    topics = {"clustering": "kmeans"}
    refused("belongs to ppt and metapt", {"name": "PT", "kind": "pt", "topics": topics})
    refused("no clustering 'kmean'", {"name": "PPT", "kind": "ppt", "topics": {"clustering": "kmean"}})
    refused(
        "meta_batch_size of two", {"name": "P", "kind": "ppt", "topics": topics}, pretraining={"meta_batch_size": 1}
    )
    refused("hold .text. exactly once", {"name": "P", "kind": "ppt", "topics": {**topics, "template": "Topic:"}})
    left_out = {"name": "M", "kind": "metapt", "clustering": "kmeans", "without": [0], "topics": topics}
    refused("still tell the left-out clusters apart", left_out)
    refused(
        "may hold .mask. once", {"name": "P", "kind": "ppt", "topics": {**topics, "template": "{text} {mask} {mask}"}}
    )
    refused("must both hold", {"name": "P", "kind": "ppt", "topics": {**topics, "template": "{text} {text_pair} :"}})
    refused("stands twice", {"name": "P", "kind": "ppt", "topics": {"clustering": ["kmeans", "kmeans"]}})
    assert MethodConfig(name="P", kind="ppt", topics=topics).is_set("topics")
    assert TASKS
