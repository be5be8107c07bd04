"""From a score back to everything behind it: prompt, tasks, clusters, the very texts, versions, hardware, commands.

Reads what lies in the workspace and computes nothing anew, except for which text was drawn how often: episodes are a
function of tasks, sizes and seeds (`pretraining/draw_counts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.fewshot.samples import other_seeds_rows
from metapt_explore.results.begins import begins_of, format_begins
from metapt_explore.results.readers import format_readers
from metapt_explore.stages.task_patterns import read_formats
from metapt_explore.stages.topics import recorded_topics, topic_rows
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import texts_of

TEXT_COLUMNS = [
    "row",
    "source_row",
    "text",
    "label",
    "group",
    "cluster",
    "cluster_name",
    "auxiliary_task",
    "class",
    "support",
    "query",
    "drawn",
]


@dataclass(frozen=True)
class Node:
    """One artifact behind a score.

    Attributes:
        id: Its id.
        kind: ``texts``, ``clusters``, ``prompt`` …
        title: What people call it.
        status: ``done``, ``running``, ``missing`` …
        parents: Ids of what it was made of, by their role.
        fact: What is in it, in a few words.
        intact: Whether its id is the hash of the question that it says it answers; None where it is missing.
        seconds: What it took.
        began: When, in seconds since 1970.
        config: Settings as plain values.
        inputs: Content hashes of what came from outside.
        manifest: Versions and hardware.
    """

    id: str
    kind: str
    title: str
    status: str
    parents: dict[str, str]
    fact: str
    intact: bool | None
    seconds: float | None
    began: float | None
    config: dict[str, Any]
    inputs: dict[str, Any]
    manifest: dict[str, Any]


@dataclass(frozen=True)
class Lineage:
    """What is behind one score.

    Attributes:
        study: Name of the study.
        method: The method.
        task: The downstream task.
        data_seed: Data seed.
        init_seed: Initialisation seed.
        score: Scores, chosen learning rate and step; None where the evaluation is not finished.
        nodes: The artifacts by id, the evaluation first, then its parents, theirs, and so on.
        notes: What is missing, unfinished or odd.
        commands: What makes the score again.
    """

    study: str
    method: str
    task: str
    data_seed: int
    init_seed: int
    score: dict[str, Any] | None
    nodes: dict[str, Node]
    notes: list[str]
    commands: list[str]
    workspace: Workspace = field(repr=False)

    @property
    def root(self) -> Node:
        """The few-shot evaluation."""
        return next(iter(self.nodes.values()))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; no text is among them."""
        keys = ("study", "method", "task", "data_seed", "init_seed", "score", "notes", "commands")
        return {
            **{key: getattr(self, key) for key in keys},
            "artifacts": [asdict(node) for node in self.nodes.values()],
        }

    def rows(self) -> pd.DataFrame:
        """The labelled rows behind the score: split (train, dev, test), text and label (and text_pair of pairs).

        A score on other data seeds (`evaluation.scored_on`) has their rows, as ``scored``, in place of test rows.

        Raises:
            UserError: Where the split is not in the workspace any more.
        """
        table = self._table(self.root.parents.get("split"), "rows", "few-shot rows")
        rows = table[(table["data_seed"] == self.data_seed) | (table["split"] == "test")]
        if self.root.config.get("scored_on") == "other_seeds":
            scored = other_seeds_rows(table, self.root.config["data_seeds"], self.root.config["scored_rows"])
            rows = pd.concat([rows[rows["split"] != "test"], scored.assign(split="scored")])
        order = rows["split"].map({"train": 0, "dev": 1, "test": 2, "scored": 2})
        columns = ["split", "text", *(["text_pair"] if "text_pair" in rows else []), "label"]
        return rows.iloc[order.to_numpy().argsort(kind="stable")][columns].reset_index(drop=True)

    def texts(self) -> pd.DataFrame:
        """The pre-training texts behind the prompt, with what became of each.

        Returns:
            One line for each text (one for each auxiliary task that holds it, where several do): row (in the texts
            artifact), source_row (in the source), text, label (as the data say), group, cluster, cluster_name,
            auxiliary_task, class (as pre-training read it), and how often it was drawn for support and query and in
            all. Pooled pre-training makes no difference between support and query: there they are missing. No line
            for a method without pre-training.

        Raises:
            UserError: Where an artifact that is needed is not in the workspace any more.
        """
        if len(self._prompts) > 1:
            raise UserError(
                f"'{self.method}' combines several prompts, each with texts of its own: ask for those of one of its "
                "readers."
            )
        prompt = self._prompt
        for node in (self.root, prompt):
            # What is gone does not say what it was made from.
            if node is not None and not self._artifact(node.id).finished and node.status == "missing":
                raise UserError(
                    f"{node.title} ({node.id}), which names the texts behind this score, is {node.status} in "
                    f"{self.workspace.folder}; run the study again to make it."
                )
        if prompt is None or "texts" not in prompt.parents:
            return pd.DataFrame(columns=TEXT_COLUMNS)
        texts = self._table(prompt.parents["texts"], "texts", "pre-training texts")
        table = pd.DataFrame({"row": range(len(texts)), "source_row": texts["source_row"], "text": texts_of(texts)})
        table["label"], table["group"] = texts["label"], texts["group"]
        of_text = texts["document"] if "document" in texts else table["row"]
        for number, node in enumerate(self._clusterings):
            suffix = "" if number == 0 else f"_{number + 1}"
            clusters = self._table(node.id, "clusters", "clusters").set_index("row")["cluster"]
            table[f"cluster{suffix}"] = of_text.map(clusters).astype("Int64")
            names = {c["cluster"]: c["name"] for c in self._artifact(node.id).summary.get("clusters", [])}
            table[f"cluster_name{suffix}"] = table[f"cluster{suffix}"].map(lambda c, names=names: names.get(c, ""))
        if not self._clusterings:
            table["cluster"], table["cluster_name"] = pd.array([pd.NA] * len(table), dtype="Int64"), ""
        tasks = self._table(prompt.parents.get("tasks"), "tasks", "auxiliary tasks")
        tasks = self._with_counts(prompt, tasks)
        table = table.merge(tasks.rename(columns={"task": "auxiliary_task"}), on="row", how="left")
        table["auxiliary_task"] = table["auxiliary_task"].astype("Int64")
        pooled = prompt.config.get("kind") == "ppt"
        for column in ("support", "query", "drawn"):
            table[column] = table[column].astype("Int64")
            if not pooled or column == "drawn":
                table[column] = table[column].fillna(0)  # A text of no task is never drawn.
        more = [column for column in table if column.startswith(("cluster_", "text_")) and column not in TEXT_COLUMNS]
        return table[[*TEXT_COLUMNS, *more]]

    def __str__(self) -> str:
        """A tree of artifacts, what was drawn, versions and commands."""
        seeds = f"data seed {self.data_seed}, initialisation seed {self.init_seed}"
        lines = [f"{self.method} on {self.task}, {seeds}: {self._format_score()}", ""]
        lines += _tree(self.nodes, self.root.id)
        lines += ["", *self._format_made_with(), *(f"Note: {note}" for note in self.notes)]
        lines += ["", "Again:", *(f"  {command}" for command in self.commands)]
        return "\n".join(lines)

    # ------------------------------------------------------------------------------ internals

    @property
    def _prompt(self) -> Node | None:
        found = self._prompts
        return found[0] if len(found) == 1 else None

    @property
    def _prompts(self) -> list[Node]:
        """The prompts that were scored: one, or those of an ensemble's readers."""
        known = dict.fromkeys(node.parents["prompt"] for node in self.nodes.values() if "prompt" in node.parents)
        return [self.nodes[identifier] for identifier in known if identifier in self.nodes]

    @property
    def _clusterings(self) -> list[Node]:
        """What the tasks were made of; not what a random control was made like."""
        clusterings: list[Node] = []
        pending = [self._prompt.parents.get("tasks", "")] if self._prompt is not None else []
        while pending:
            node = self.nodes.get(pending.pop(0))
            for role, parent in (node.parents if node else {}).items():
                if parent not in self.nodes:
                    continue
                if role == "tasks":
                    pending.append(parent)
                elif role.startswith("clusters"):
                    clusterings.append(self.nodes[parent])
        return clusterings

    def _with_counts(self, prompt: Node, tasks: pd.DataFrame) -> pd.DataFrame:
        """Rows of every task, with their class there and how often each was drawn."""
        from metapt_explore.pretraining.draw_counts import draw_counts, recorded_task

        of_labels, formats = read_formats(self._artifact(prompt.parents["tasks"]), list(prompt.config["words"]))
        topics = recorded_topics(self.workspace, prompt.config, prompt.parents, tasks=of_labels)
        every = tasks if topics is None else pd.concat([tasks, topic_rows(topics)], ignore_index=True)
        drawn = draw_counts(recorded_task(prompt.config, of_labels, topics, formats))
        return every.rename(columns={"label": "class"}).merge(drawn, on=["task", "row"])

    def _artifact(self, identifier: str) -> Artifact:
        return self.workspace.artifact(identifier)

    def _table(self, identifier: str | None, name: str, what: str) -> pd.DataFrame:
        if identifier is None:
            raise UserError(f"The {what} behind this score are not known: {self.root.id} does not name them.")
        artifact = self._artifact(identifier)
        if not artifact.finished:
            raise UserError(
                f"The {what} behind this score ({identifier}) are {artifact.status} in {self.workspace.folder}; run "
                "the study again to make them."
            )
        try:
            return artifact.table(name)
        except (OSError, ValueError) as error:
            raise UserError(f"{artifact.folder / name}.parquet cannot be read: {error}") from None

    def _format_score(self) -> str:
        if self.score is None:
            return f"no score yet ({self.root.status})"
        score = self.score
        if readers := format_readers(score):
            return f"accuracy {100 * score['accuracy']:.1f} %, {readers}"
        sentence = f"accuracy {100 * score['accuracy']:.1f} % (start {100 * score['start_accuracy']:.1f} %), "
        if begins := format_begins(begins_of(score)):
            sentence += f"{begins}, "
        if "weights" in score:
            weights = json.loads(score["weights"])
            by = "on dev" if weights["weighed_on"] else "alike, as no dev row is held out"
            sentence += f"label words and probe weighed {weights['words']:g} to {weights['probe']:g} {by}, "
        if pd.isna(score["step"]):
            return f"{sentence}the mean of the tuned prompts that dev liked best"
        chosen = f"{sentence}learning rate {score['learning_rate']:g} and step {score['step']}"
        if self.root.config.get("select_by") == "last":
            return f"{chosen} by the study, nothing chosen on dev"
        return f"{chosen} chosen on dev"

    def _format_made_with(self) -> Iterator[str]:
        made: dict[str, list[str]] = {}
        for node in self.nodes.values():
            if node.manifest:
                made.setdefault(_format_manifest(node.manifest), []).append(node.kind)
        for line, kinds in made.items():
            stages = "" if len(made) == 1 else f" ({', '.join(dict.fromkeys(kinds))})"
            yield f"Made with {line}{stages}"


def _tree(nodes: dict[str, Node], root: str) -> list[str]:
    """Lines of a tree; what has been shown above is only named."""
    lines: list[str] = []
    shown: set[str] = set()

    def add(identifier: str, head: str, rest: str, role: str) -> None:
        node = nodes[identifier]
        lead = f"{head}{role}: " if role else head
        if identifier in shown:
            lines.append(f"{lead}{identifier} (above)")
            return
        shown.add(identifier)
        fact = node.fact if node.status == "done" else node.status
        lines.append(f"{lead}{identifier}" + (f", {fact}" if fact else ""))
        parents = list(node.parents.items())
        for index, (name, parent) in enumerate(parents):
            last = index == len(parents) - 1
            add(parent, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), name)

    add(root, "", "", "")
    return lines


def _format_manifest(manifest: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items())
    where = manifest.get("gpu") or f"{manifest.get('cpu')}, {manifest.get('threads')} threads"
    return f"Python {manifest.get('python')}, {versions}; on {manifest.get('system')}, {where}."
