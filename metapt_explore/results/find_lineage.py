"""Finds what is behind one score, by following the parents of its artifact."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.results.lineage import Lineage, Node
from metapt_explore.stages.base import listed_at
from metapt_explore.stages.registry import describe
from metapt_explore.stages.task_patterns import read_formats
from metapt_explore.stages.topics import recorded_topics
from metapt_explore.storage.artifact import Question
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace


def lineage(
    workspace: Workspace,
    study: str,
    method: str,
    task: str,
    *,
    data_seed: int,
    init_seed: int,
    shots: int | None = None,
) -> Lineage:
    """Finds everything behind one score.

    What is missing or unfinished on the way is named in `notes`.

    Args:
        workspace: Where the study was run.
        study: Its name.
        method: One of its methods, or an ensemble of them.
        task: One of its downstream tasks.
        data_seed: Data seed of the score.
        init_seed: Initialisation seed of the score.
        shots: One of `evaluation.more_shots`; the study's own when absent.

    Raises:
        UserError: Where there is no such study, method, task or score; the nearest is named.

    Example:
        >>> workspace = Workspace("workspace")
        >>> found = lineage(workspace, "tour", "MetaPT", "subjectivity", data_seed=13, init_seed=0)  # doctest: +SKIP
        >>> print(found)  # doctest: +SKIP
        >>> found.texts().query("drawn > 0")  # doctest: +SKIP
    """
    config = workspace.study_config(study)
    ensemble = any(baseline.name == method and baseline.combines for baseline in config.baselines)
    if not ensemble:
        config.method(method)
    if shots == config.evaluation.shots:
        shots = None
    kind = listed_at("baseline" if ensemble else "fewshot", shots)
    entries = [e for e in workspace.index(study) if e["kind"] == kind and e.get("shots") == shots]
    scores = [entry for entry in entries if entry["method"] == method]
    if not scores:
        raise UserError(f"The study '{study}' has no score of '{method}' yet: run it (`metapt run`).")
    if task not in [entry["task"] for entry in scores]:
        raise UserError(f"'{method}' has no score on '{task}' yet. {did_you_mean(task, {e['task'] for e in scores})}")
    scores = [entry for entry in scores if entry["task"] == task]
    where = f"'{method}' has no score on '{task}'"
    if all("init_seed" in entry for entry in scores):  # an ensemble may have readers without initialisation only
        _demand(init_seed, [entry["init_seed"] for entry in scores], where, what="initialisation seed")
    entry = next(entry for entry in scores if entry.get("init_seed", init_seed) == init_seed)
    root = workspace.artifact(entry["id"])
    asked = root.stage.get("config", {}).get("data_seeds") or config.evaluation.data_seeds_of(init_seed)
    _demand(data_seed, asked, f"{where} and initialisation seed {init_seed}", what="data seed")
    nodes = _collect(workspace, root.id, entry)
    score = None
    if root.finished:
        results = root.table("results")
        score = results[results["data_seed"] == data_seed].drop(columns="data_seed").to_dict(orient="records")[0]
    in_workspace = ["--workspace", workspace.folder]
    seeds = ["--data-seed", data_seed, "--init-seed", init_seed, *([] if shots is None else ["--shots", shots])]
    lines: list[list[object]] = [
        ["run", workspace.study_folder(study) / "study.yaml", *in_workspace],
        ["lineage", study, "--method", method, "--task", task, *seeds, *in_workspace],
    ]
    commands = [shlex.join(["metapt", *map(str, words)]) for words in lines]
    plain = None if score is None else {k: v.item() if hasattr(v, "item") else v for k, v in score.items()}
    notes = list(_notes(workspace, nodes))
    return Lineage(study, method, task, data_seed, init_seed, plain, nodes, notes, commands, workspace)


def _demand(seed: int, known: Iterable[int], where: str, *, what: str) -> None:
    seeds = sorted(known)
    if seed not in seeds:
        closest = min(seeds, key=lambda other: (abs(other - seed), other))
        listed = ", ".join(map(str, seeds))
        raise UserError(f"{where} with {what} {seed}; the nearest is {closest} (there are: {listed}).")


def _collect(workspace: Workspace, root: str, entry: IndexEntry) -> dict[str, Node]:
    """An artifact and all its ancestors, breadth first."""
    nodes: dict[str, Node] = {}
    pending = [(root, entry.get("title", ""))]
    while pending:
        identifier, title = pending.pop(0)
        if identifier in nodes:
            continue
        artifact = workspace.artifact(identifier)
        stage = artifact.stage
        kind = stage.get("kind", identifier.rsplit("-", 1)[0])
        parents = stage.get("parents", {})
        intact = None
        if "config" in stage:
            question = Question(kind, "", stage.get("version", 0), stage["config"], parents, stage.get("inputs", {}))
            intact = question.id == identifier
        nodes[identifier] = Node(
            id=identifier,
            kind=kind,
            title=stage.get("title", title) or kind,
            status=artifact.status,
            parents=parents,
            fact=describe(kind, artifact),
            intact=intact,
            seconds=stage.get("seconds"),
            began=stage.get("began"),
            config=stage.get("config", {}),
            inputs=stage.get("inputs", {}),
            manifest=stage.get("manifest", {}),
        )
        pending += [(parent, "") for parent in parents.values()]
    return nodes


def _notes(workspace: Workspace, nodes: dict[str, Node]) -> Iterator[str]:
    for node in nodes.values():
        if node.status == "missing":
            yield f"{node.id} is not in the workspace any more; running the study again makes it."
        elif node.status != "done":
            yield f"{node.title} ({node.id}) is not finished: {node.status}."
        if node.intact is False:
            yield f"{node.id}: its id is not the hash of what its stage.json says; somebody has changed the file."
    prompt = next((node for node in nodes.values() if node.kind == "prompt"), None)
    if prompt is None or not prompt.config:
        return
    if "texts" not in prompt.parents:
        yield "The prompt was not pre-trained: no pre-training text is behind it."
    elif "init" in prompt.parents:
        yield f"Pre-training began from another prompt ({prompt.parents['init']}), whose own texts come on top."
    tasks = workspace.artifact(prompt.parents.get("tasks", "none"))
    topics_done = all(nodes[i].status == "done" for role, i in prompt.parents.items() if role.startswith("topics"))
    if tasks.status == "done" and topics_done and prompt.config.get("kind") == "metapt":
        from metapt_explore.pretraining.draw_counts import agrees_with, recorded_task

        task_rows, formats = read_formats(tasks, list(prompt.config["words"]))
        topics = recorded_topics(workspace, prompt.config, prompt.parents, tasks=task_rows)
        pretraining_task = recorded_task(prompt.config, task_rows, topics, formats)
        if agrees_with(pretraining_task, workspace.artifact(prompt.id).metrics) is False:
            yield (
                "How often a text was drawn is not what pre-training wrote down: another version of this package made "
                f"{prompt.id}."
            )
