"""Which methods of a study answer which question, and which comparison is the primary one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metapt_explore.config import ClusteringConfig, RandomGroups, shared_terms, tuning_terms

#: What two MetaPT methods must share for one to be the other's control.
RECIPE = (
    "learner",
    "order",
    "inner_steps",
    "inner_lr",
    "inner_optimiser",
    "outer_lr",
    "average_last",
    "pooled_weight",
    "task_weights",
    "inner_rows",
    "adapted",
    "rates",
    "path",
    "families",
    "temperature",
    "topics",
    "tuning",
    "verbalizer",
)

#: What a pooled method must share with a MetaPT method for meta-learning to be all that sets them apart, in words.
TERMS = {
    "topics": "topics",
    "tuning": "tuning",
    "verbalizer": "reading",
    "average_last": "averaging of late prompts",
    "outer_lr": "outer learning rate",
}


#: What a method without pre-training can share with one that has it.
TUNED = ("tuning", "verbalizer")


@dataclass(frozen=True)
class StudyQuestion:
    """Two methods whose comparison answers something.

    Attributes:
        text: The question, in plain words.
        method: Whose gain is asked for.
        baseline: What it is compared with.
        primary: Whether this is the study's one primary test.
    """

    text: str
    method: str
    baseline: str
    primary: bool = False


def _clusterings(method: dict[str, Any]) -> list[str]:
    named = method["clustering"]
    return [named] if isinstance(named, str) else list(named)


def _alike(method: dict[str, Any], other: dict[str, Any], keys: Sequence[str]) -> bool:
    tuning = tuning_terms if method.get("kind") == other.get("kind") else shared_terms

    def term(of: dict[str, Any], key: str) -> Any:
        return tuning(of.get(key)) if key == "tuning" else of.get(key)

    return all(term(method, key) == term(other, key) for key in keys)


def _same_terms(pooled: dict[str, Any], method: dict[str, Any]) -> bool:
    return _alike(pooled, method, list(TERMS))


def _differing(other: dict[str, Any], method: dict[str, Any], among: Sequence[str] = tuple(TERMS)) -> str:
    """The terms that two methods do not share, in words."""
    differing = [TERMS[key] for key in among if not _alike(other, method, [key])]
    return " and ".join(filter(None, [", ".join(differing[:-1]), differing[-1]]))


def _tuned_alike(method: dict[str, Any], other: dict[str, Any]) -> bool:
    return _alike(method, other, TUNED)


def questions_of(study: dict[str, Any], finished: Sequence[str]) -> list[StudyQuestion]:
    """The questions that a study's methods can answer, the primary one first.

    Primary is the first MetaPT method whose groups are not random, against the first PPT: the claim under test; in a
    study that has no two such methods the first of the others. These are: the same against a further PPT on the same
    terms, against its own random groups (do the clusters matter, or would any groups do?), every further PPT, and every
    PT that is tuned or read otherwise, against the first (another recipe), each pre-trained method against PT (and
    against the PT that is tuned and read as it is), and PPT against a PT that may tune for as long.

    Which is primary follows from the study, not from what is finished: it must not change while scores come in, and
    until both its methods have scores there is none.

    Args:
        study: The study's settings as plain values (`Record.study`).
        finished: Methods of which there are scores.

    Example:
        >>> methods = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
        >>> [(q.method, q.baseline) for q in questions_of({"methods": methods, "clusterings": []}, ["PT", "PPT"])]
        [('PPT', 'PT')]
    """
    whole = _asked(study, [method["name"] for method in study.get("methods", [])])
    primary = next((q for q in whole if q.primary), whole[0] if whole else None)
    pair = primary and (primary.method, primary.baseline)
    questions = [replace(q, primary=(q.method, q.baseline) == pair) for q in _asked(study, finished)]
    return sorted(questions, key=lambda question: not question.primary)


def _asked(study: dict[str, Any], finished: Sequence[str]) -> list[StudyQuestion]:
    """The questions among some of a study's methods; the claim under test, where they can answer it, is primary."""
    shared = {"average_last": study.get("pretraining", {}).get("average_last")}
    methods = [{**shared, **method} for method in study.get("methods", []) if method["name"] in finished]
    random = {
        c["name"]: c.get("like")
        for c in study.get("clusterings", [])
        if ClusteringConfig.facts(c["algorithm"]) is RandomGroups
    }

    def of_kind(kind: str) -> list[dict[str, Any]]:
        return [method for method in methods if method["kind"] == kind]

    meta = [method for method in of_kind("metapt") if not all(name in random for name in _clusterings(method))]
    controls = [method for method in of_kind("metapt") if method not in meta]
    pooled = of_kind("ppt")
    plain = [method for method in of_kind("pt") if not method.get("extra_tuning")]
    longer = [method for method in of_kind("pt") if method.get("extra_tuning")]
    questions: list[StudyQuestion] = []
    for method in meta:
        name = method["name"]
        if pooled:
            same = _same_terms(pooled[0], method)
            otherwise = "" if same else f" with its own {_differing(pooled[0], method)}"
            text = f"Does {name} beat pooled pre-training{otherwise}?"
            questions.append(
                StudyQuestion(text, name, pooled[0]["name"], primary=not any(q.primary for q in questions))
            )
        for other in pooled[1:] if pooled and not _same_terms(pooled[0], method) else ():
            if _same_terms(other, method):
                text = f"Does {name} beat pooled pre-training with the same {_differing(pooled[0], method)}?"
                questions.append(StudyQuestion(text, name, other["name"]))
        same_recipe = [c for c in controls if _alike(c, method, RECIPE)]
        # Where there are random groups of the very sizes of its clusters, only they are its control.
        same_sizes = [c for c in same_recipe if [random[name] for name in _clusterings(c)] == _clusterings(method)]
        for control in same_sizes or same_recipe:
            text = f"Do the clusters of {name} matter, or would any groups do?"
            questions.append(StudyQuestion(text, name, control["name"]))
    for other in pooled[1:]:
        text = f"Does {other['name']} beat {pooled[0]['name']}?"
        questions.append(StudyQuestion(text, other["name"], pooled[0]["name"]))
    # Starts alone are no question of their own; another way of tuning or reading is.
    for other in plain[1:]:
        if not _tuned_alike(plain[0], other):
            text = f"Does {other['name']} beat {plain[0]['name']}?"
            questions.append(StudyQuestion(text, other["name"], plain[0]["name"]))
    for method in [*pooled, *meta]:
        alike = [other for other in plain if _tuned_alike(other, method)]
        if alike or (plain and method not in pooled[1:]):
            other = (alike or plain)[0]
            terms = "" if other is plain[0] else f" with the same {_differing(plain[0], method, TUNED)}"
            questions.append(
                StudyQuestion(f"Does {method['name']} beat no pre-training{terms}?", method["name"], other["name"])
            )
        if longer and method not in pooled[1:]:
            text = f"Does {method['name']} beat spending the same rows on tuning?"
            questions.append(StudyQuestion(text, method["name"], longer[0]["name"]))
    return questions
