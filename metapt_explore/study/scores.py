"""The stages from prompts to scores: few-shot evaluations of the methods, and baselines."""

from __future__ import annotations

from functools import partial
from typing import Any

from metapt_explore.config import BaselineConfig, MethodConfig, TaskConfig
from metapt_explore.cost.baselines import baseline_key
from metapt_explore.fewshot.scoring import BY_WORDS
from metapt_explore.pretraining.budget import outer_steps, tuning_of
from metapt_explore.results.tables import OTHER_SHOTS
from metapt_explore.stages import prompt as prompt_stages
from metapt_explore.stages.baseline import UNITS, baseline_recipe
from metapt_explore.stages.fewshot_probe import probe_recipe
from metapt_explore.stages.hidden_states import UNITS as VIEWS_UNITS
from metapt_explore.stages.hidden_states import views_key, views_recipe
from metapt_explore.stages.prompt_init import find_init
from metapt_explore.stages.texts import Recipe
from metapt_explore.stages.topics import check_topics
from metapt_explore.storage.artifact import Artifact, Question
from metapt_explore.study.cells import fewshot_key, stage_of
from metapt_explore.study.pipeline import StudyPipeline


class StudyScores(StudyPipeline):
    """The stages that need a prompt or give a score, each made when it is first asked for."""

    def prompt(self, method: str, init_seed: int | None = None) -> Artifact:
        """The prompt of a method for one initialisation seed (the first of the study when absent)."""
        init_seed = self._seed(init_seed)
        chosen = self.config.method(method)
        steps = outer_steps(chosen, self.config.pretraining) if chosen.pretrained else 1
        if chosen.topic_tasks is not None:
            clusterings = [self.clusters(name) for name in chosen.topic_tasks.clusterings]
            check_topics(chosen, clusterings, self.tasks_of(chosen))
        recipe = self.prompt_recipe(chosen, init_seed)
        return self._make(f"prompt/{method}/{init_seed}", recipe, steps, method=method, init_seed=init_seed)

    def prompt_recipe(self, method: MethodConfig, init_seed: int) -> Recipe:
        """The question of `prompt`, and how it is answered."""
        pretrained = method.pretrained
        return prompt_stages.prompt_recipe(
            self.config,
            method,
            init_seed,
            self.texts() if pretrained else None,
            self.tasks_of(method) if pretrained else None,
            self.labels() if pretrained else None,
            find_init(self.config, method, self.workspace, self.model.identity["model"]),
            self.model.identity,
            self.placement,
            self._load,
            self._advance,
            [self.clusters(name) for name in method.topic_tasks.clusterings] if method.topic_tasks else [],
        )

    def fewshot(self, method: str, task: str, init_seed: int | None = None, shots: int | None = None) -> Artifact:
        """Few-shot evaluation of one prompt on one task, over the data seeds that go with its initialisation seed.

        Args:
            method: The method.
            task: One of the study's tasks.
            init_seed: The initialisation seed (the first of the study when absent).
            shots: One of `evaluation.more_shots`, where that is asked for.
        """
        init_seed = self._seed(init_seed)
        of_task, prompt = self._task(task), self.prompt(method, init_seed)
        recipe = self.fewshot_recipe(method, of_task, init_seed, prompt, shots)
        of: dict[str, Any] = {"method": method, "task": task, "init_seed": init_seed}
        of |= {} if shots is None else {"shots": shots}
        at_shots = self.config.at_shots(shots)
        steps = tuning_of(self.config.method(method), at_shots, len(of_task.labels)).steps
        key = fewshot_key(method, task, init_seed, shots)
        if self._probes(method):
            there = self.workspace.artifact(recipe[0].id).is_whole
            self.views(task, shots, only_enter=there)
            by_words = self._words_recipe(method, of_task, init_seed, prompt, shots)
            if there:
                self._enter(by_words[0], "tuning", **of)
            else:
                self._make(key.replace("fewshot/", "tuning/", 1), by_words, steps, kind="tuning", **of)
        return self._make(key, recipe, steps, kind=None if shots is None else OTHER_SHOTS, **of)

    def fewshot_recipe(
        self, method: str, task: TaskConfig, init_seed: int, prompt: Artifact, shots: int | None = None
    ) -> Recipe:
        """The question of `fewshot`, and how it is answered."""
        by_words = self._words_recipe(method, task, init_seed, prompt, shots)
        if not self._probes(method):
            return by_words
        study, chosen = self.config.at_shots(shots), self.config.method(method)
        return probe_recipe(
            by_words[0],
            self.workspace.artifact(by_words[0].id),
            self.config.reading_of(chosen),
            task,
            tuning_of(chosen, study, len(task.labels)),
            init_seed,
            self.split(task.name, shots),
            self.workspace.artifact(self._views_recipe(task.name, shots)[0].id),
            self._load,
            self._advance,
        )

    def _words_recipe(
        self, method: str, task: TaskConfig, init_seed: int, prompt: Artifact, shots: int | None
    ) -> Recipe:
        """The evaluation itself; of a method that is read beside a probe the one by label words, which tunes for it."""
        chosen = self.config.method(method)
        return prompt_stages.fewshot_recipe(
            self.config.at_shots(shots),
            task,
            chosen,
            init_seed,
            self.split(task.name, shots),
            prompt,
            self.model.identity,
            BY_WORDS if self._probes(method) else self.config.reading_of(chosen),
            self._load,
            self._advance,
        )

    def views(self, task: str, shots: int | None = None, only_enter: bool = False) -> Artifact:
        """What the frozen model makes of the texts of a task's splits; what probes are fitted to.

        Args:
            task: One of the study's tasks.
            shots: One of `evaluation.more_shots`, where that is asked for.
            only_enter: Puts it on the study's list without making it: what was read from it is there.
        """
        recipe = self._views_recipe(self._task(task).name, shots)
        of: dict[str, Any] = {"task": task} | ({} if shots is None else {"shots": shots})
        kind = None if shots is None else "views at other shots"
        if only_enter:
            return self._enter(recipe[0], kind, **of)
        return self._make(views_key(task, shots), recipe, VIEWS_UNITS, kind=kind, **of)

    def finished_parts(self) -> set[str]:
        """Keys of what is there already for methods that are read beside a probe: views of texts, and tuned prompts."""
        found: dict[str, Question | None] = {}
        for method in [method for method in self.config.methods if self._probes(method.name)]:
            for name, task in self.tasks.items():
                for shots in (None, *self.config.evaluation.more_shots):
                    key = views_key(name, shots)
                    found[key] = stage_of(self, key, partial(self._views_recipe, name, shots))
                    for seed in self.config.evaluation.init_seeds:
                        key = fewshot_key(method.name, name, seed, shots).replace("fewshot/", "tuning/", 1)
                        found[key] = stage_of(self, key, partial(self._tuning_recipe, method, task, seed, shots))
        return {key for key, stage in found.items() if stage and self.workspace.artifact(stage.id).is_whole}

    def _tuning_recipe(self, method: MethodConfig, task: TaskConfig, init_seed: int, shots: int | None) -> Recipe:
        prompt = self.workspace.artifact(self.prompt_recipe(method, init_seed)[0].id)
        return self._words_recipe(method.name, task, init_seed, prompt, shots)

    def _views_recipe(self, task: str, shots: int | None) -> Recipe:
        return views_recipe(task, self.split(task, shots), self.model.identity, self._load, self._advance)

    def _probes(self, method: str) -> bool:
        """Whether a method's classes are read beside a probe."""
        return self.config.reading_of(self.config.method(method)).has_probe

    def baseline(self, name: str, task: str, init_seed: int | None = None) -> Artifact:
        """A baseline on one task, over all data seeds.

        Args:
            name: One of the study's baselines.
            task: One of its tasks.
            init_seed: For baselines with an initialisation (`BaselineConfig.seeded`); the study's first when absent.
        """
        chosen, of_task = self.config.baseline(name), self._task(task)
        seed = self._seed(init_seed) if chosen.seeded else None
        recipe = self.baseline_recipe(chosen, of_task, seed)
        of: dict[str, Any] = {"method": name, "task": task} | ({} if seed is None else {"init_seed": seed})
        return self._make(baseline_key(chosen, task, seed), recipe, UNITS, **of)

    def baseline_recipe(self, baseline: BaselineConfig, task: TaskConfig, init_seed: int | None) -> Recipe:
        """The question of `baseline`, and how it is answered."""
        return baseline_recipe(
            self.config,
            baseline,
            task,
            init_seed,
            self.split(task.name),
            self.model.identity,
            self.model.device,
            self._load,
            self._advance,
        )
