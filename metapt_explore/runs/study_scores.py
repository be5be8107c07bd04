"""The stages from prompts to scores: few-shot evaluations of the methods, and baselines."""

from __future__ import annotations

from typing import Any

from metapt_explore.config import BaselineConfig, MethodConfig, TaskConfig
from metapt_explore.fewshot.scoring import BY_WORDS
from metapt_explore.pretraining.budget import outer_steps, tuning_of
from metapt_explore.runs import prompt_stages
from metapt_explore.runs.artifact import Artifact
from metapt_explore.runs.baseline_cost import baseline_key
from metapt_explore.runs.baseline_stage import UNITS, baseline_recipe
from metapt_explore.runs.data_stages import Recipe
from metapt_explore.runs.probe_reading import with_probe
from metapt_explore.runs.prompt_starts import find_start
from metapt_explore.runs.study_pipeline import StudyPipeline
from metapt_explore.runs.views_stage import UNITS as VIEWS_UNITS
from metapt_explore.runs.views_stage import views_key, views_recipe


class StudyScores(StudyPipeline):
    """The stages that need a prompt or give a score, each made when it is first asked for."""

    def prompt(self, method: str, init_seed: int | None = None) -> Artifact:
        """The prompt of a method for one initialisation seed (the first of the study when absent)."""
        init_seed = self._seed(init_seed)
        chosen = self.config.method(method)
        steps = outer_steps(chosen, self.config.pretraining) if chosen.kind != "pt" else 1
        recipe = self.prompt_recipe(chosen, init_seed)
        return self._make(f"prompt/{method}/{init_seed}", recipe, steps, method=method, init_seed=init_seed)

    def prompt_recipe(self, method: MethodConfig, init_seed: int) -> Recipe:
        """The question of `prompt`, and how it is answered."""
        pretrained = method.kind != "pt"
        return prompt_stages.prompt_recipe(
            self.config,
            method,
            init_seed,
            self.texts() if pretrained else None,
            self.tasks_of(method) if pretrained else None,
            self.labels() if pretrained else None,
            find_start(self.config, method, self.workspace, self.model.identity["model"]),
            self.model.identity,
            self.placement,
            self._load,
            self._advance,
            [self.clusters(name) for name in method.topics.clusterings] if method.topics else [],
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
        if self._probes(method):
            self.views(task, shots)
        recipe = self.fewshot_recipe(method, self._task(task), init_seed, self.prompt(method, init_seed), shots)
        steps = tuning_of(self.config.method(method), self.config).steps
        of: dict[str, Any] = {"method": method, "task": task, "init_seed": init_seed}
        if shots is None:
            return self._make(f"fewshot/{method}/{task}/{init_seed}", recipe, steps, **of)
        key = f"fewshot/{method}/{task} at {shots} shots/{init_seed}"
        return self._make(key, recipe, steps, kind="fewshot at other shots", **of, shots=shots)

    def fewshot_recipe(
        self, method: str, task: TaskConfig, init_seed: int, prompt: Artifact, shots: int | None = None
    ) -> Recipe:
        """The question of `fewshot`, and how it is answered."""
        study, chosen = self.config.at_shots(shots), self.config.method(method)
        split, reading = self.split(task.name, shots), self.config.reading_of(chosen)
        rest = self._load, self._advance
        tuned = study, task, chosen, init_seed, split, prompt, self.model.identity
        if not self._probes(method):
            return prompt_stages.fewshot_recipe(*tuned, reading, *rest)
        return with_probe(
            prompt_stages.fewshot_recipe(*tuned, BY_WORDS, *rest),
            reading.model_dump(mode="json", exclude_defaults=True),
            self.workspace,
            task,
            tuning_of(chosen, study),
            init_seed,
            split,
            self.workspace.artifact(self._views_recipe(task.name, shots)[0].id),
            self._load,
        )

    def views(self, task: str, shots: int | None = None) -> Artifact:
        """What the frozen model makes of the texts of a task's splits; what probes are fitted to."""
        recipe = self._views_recipe(self._task(task).name, shots)
        key = views_key(task, shots)
        if shots is None:
            return self._make(key, recipe, VIEWS_UNITS, task=task)
        return self._make(key, recipe, VIEWS_UNITS, kind="views at other shots", task=task, shots=shots)

    def finished_views(self) -> set[str]:
        """Keys of the views that are there already, where some method's classes are read beside a probe."""
        if not any(self._probes(method.name) for method in self.config.methods):
            return set()
        asked = [(task, shots) for task in self.tasks for shots in (None, *self.config.evaluation.more_shots)]
        ids = {views_key(*of): self._views_recipe(*of)[0].id for of in asked}
        return {key for key, own in ids.items() if self.workspace.artifact(own).status == "done"}

    def _views_recipe(self, task: str, shots: int | None) -> Recipe:
        return views_recipe(task, self.split(task, shots), self.model.identity, self._load, self._advance)

    def _probes(self, method: str) -> bool:
        """Whether a method's classes are read beside a probe."""
        return self.config.reading_of(self.config.method(method)).read == "words_and_probe"

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
