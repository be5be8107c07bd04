"""Studies that are edited: other settings of what they have, and what would no longer hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from metapt_explore.config import StudyConfig, parse, to_yaml
from metapt_explore.config.ensembles import with_readers_of
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.study.extend import free_name

#: The lists of a study whose entries can be edited.
Part = Literal["clusterings", "methods", "baselines"]
PARTS: tuple[Part, ...] = get_args(Part)

#: Memory for texts' keys and values that a study is given first where it had more, and the least that is worth having.
STATES_GIB, LEAST_STATES_GIB = 1.0, 0.25
#: Memory of a pass where none was set and there was too little.
PASS_GIB = 0.5


def less_memory(study: StudyConfig) -> tuple[StudyConfig, str]:
    """A study that needs less memory, and what that means.

    Keys and values of texts take most of it, and no score depends on where they lie; passes come next, whose size is
    part of what a score depends on.

    Example:
        >>> from metapt_explore.config import load_study
        >>> lower, meaning = less_memory(load_study("tour"))
        >>> lower.model.text_state_gib, meaning
        (1.0, 'Keeps 1.0 GiB of texts in memory, the rest on disk. What is computed stays.')
    """
    states, passes = study.model.text_state_gib, study.model.pass_memory_gib
    if states is None or states > LEAST_STATES_GIB:
        lower = STATES_GIB if states is None else max(LEAST_STATES_GIB, min(STATES_GIB, states / 2))
        changed = {"text_state_gib": lower}
        meaning = f"Keeps {lower} GiB of texts in memory, the rest on disk. What is computed stays."
    else:
        lower = PASS_GIB if passes is None else passes / 2
        changed = {"pass_memory_gib": lower}
        meaning = f"Passes of {lower} GiB. Prompts and scores are computed anew, so that all have the same."
    return study.model_copy(update={"model": study.model.model_copy(update=changed)}), meaning


# ------------------------------------------------------------------ clusterings, methods, baselines


@dataclass(frozen=True)
class Changed:
    """Parts of a study of which nothing that was computed holds any more.

    Attributes:
        clusterings: Names of clusterings.
        methods: Names of methods and baselines.
    """

    clusterings: frozenset[str] = frozenset()
    methods: frozenset[str] = frozenset()

    def holds(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry of the study's list is of another part."""
        named = str(entry.get("clustering") or "").split(" + ")
        return entry.get("method") not in self.methods and not self.clusterings & set(named)

    def __str__(self) -> str:
        parts = [f"clustering '{name}'" for name in sorted(self.clusterings)]
        return ", ".join([*parts, *(f"'{name}'" for name in sorted(self.methods))])


def depends_on(study: StudyConfig, part: Part, name: str) -> Changed:
    """A clustering or method with all that is made from it: derived clusterings, and methods that learn from them.

    Example:
        >>> from metapt_explore.config import load_study
        >>> str(depends_on(load_study("tour"), "clusterings", "kmeans"))
        "clustering 'kmeans', clustering 'random', 'MetaPT'"
    """
    _position(study, part, name)
    if part != "clusterings":
        return Changed(methods=frozenset(with_readers_of(study, {name})))
    groups = {name}
    for clustering in study.clusterings:  # those that it is made from are listed before it
        if clustering.source in groups:
            groups.add(clustering.name)
    methods = set()
    for method in study.methods:
        topics = method.topic_tasks
        if groups & {*method.clusterings, *(topics.clusterings if topics else [])}:
            methods.add(method.name)
    return Changed(frozenset(groups), frozenset(with_readers_of(study, methods)))


def without(study: StudyConfig, part: Part, name: str) -> StudyConfig:
    """A study without a clustering, method or baseline, and without what depends on it.

    Raises:
        UserError: Where nothing to compare would be left, or something else needs it.
    """
    gone = depends_on(study, part, name)
    tree = _tree(study)
    tree["clusterings"] = [each for each in tree.get("clusterings", []) if each["name"] not in gone.clusterings]
    for key in ("methods", "baselines"):
        tree[key] = [each for each in tree.get(key, []) if each["name"] not in gone.methods]
    return parse(StudyConfig, tree, f"'{study.name}' without '{name}'")


def with_copy(study: StudyConfig, part: Part, name: str) -> tuple[StudyConfig, str]:
    """A study with a clustering, method or baseline once more, under the next free name; and that name."""
    tree, index = _tree(study), _position(study, part, name)
    taken = [each.name for key in PARTS for each in getattr(study, key)]
    copy = {**tree[part][index], "name": free_name(name, taken)}
    return parse(StudyConfig, {**tree, part: [*tree[part], copy]}, study.name), copy["name"]


def with_settings(study: StudyConfig, part: Part, name: str, settings: Mapping[str, Any]) -> StudyConfig:
    """A study in which a clustering, method or baseline has other settings; its name stays.

    Raises:
        UserError: Where they do not fit; it says which.
    """
    tree, index = _tree(study), _position(study, part, name)
    entries = list(tree[part])
    entries[index] = {**entries[index], **settings, "name": name}
    return parse(StudyConfig, {**tree, part: entries}, f"'{name}'")


def with_title(study: StudyConfig, title: str) -> StudyConfig:
    """A study under another title."""
    return parse(StudyConfig, {**_tree(study), "title": title.strip()}, study.name)


def _tree(study: StudyConfig) -> dict[str, Any]:
    tree: dict[str, Any] = parse_yaml(to_yaml(study), study.name)
    return tree


def _position(study: StudyConfig, part: Part, name: str) -> int:
    names = [each.name for each in getattr(study, part)]
    if name not in names:
        raise UserError(f"'{study.name}' has no '{name}' among its {part}. {did_you_mean(name, names)}")
    return names.index(name)
