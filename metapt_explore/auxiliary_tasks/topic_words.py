"""A word for each cluster, by which a language model can name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metapt_explore.texts.words import is_word


def topic_candidates(clusters: Sequence[Mapping[str, Any]], *, named: bool) -> dict[int, list[str]]:
    """Words that may stand for each cluster, best first.

    Args:
        clusters: ``summary["clusters"]`` of a clustering: ``cluster``, ``name``, ``keywords``.
        named: Whether clusters are groups named in the data: their name comes first.

    Returns:
        For each cluster (outliers left out) its name's words where it has any, then keywords that no other cluster has,
        then its other keywords.

    Example:
        >>> toys = {"cluster": 0, "name": "0: like, toy", "keywords": ["like", "toy"]}
        >>> films = {"cluster": 1, "name": "1: like, film", "keywords": ["like", "film"]}
        >>> topic_candidates([toys, films], named=False)
        {0: ['toy', 'like'], 1: ['film', 'like']}
    """
    inside = [cluster for cluster in clusters if int(cluster["cluster"]) >= 0]
    keywords = {int(cluster["cluster"]): list(cluster.get("keywords", [])) for cluster in inside}
    names: dict[int, list[str]] = {number: [] for number in keywords}
    if named:
        names = {int(cluster["cluster"]): _words_of(cluster) for cluster in inside}
    return {
        number: list(
            dict.fromkeys([*names[number][:1], *_own(number, names), *names[number], *_own(number, keywords), *words])
        )
        for number, words in keywords.items()
    }


def _own(number: int, words: Mapping[int, Sequence[str]]) -> list[str]:
    """Words of a cluster that no other has."""
    elsewhere = {word for other, theirs in words.items() if other != number for word in theirs}
    return [word for word in words[number] if word not in elsewhere]


def _words_of(cluster: Mapping[str, Any]) -> list[str]:
    """The group's name (in front of which its cluster's number stands), and each of its words alone."""
    name = str(cluster["name"]).removeprefix(f"{cluster['cluster']}: ")
    spelled = name.replace("_", " ").replace("-", " ").strip().lower()
    return list(dict.fromkeys([spelled, *(word for word in spelled.split() if is_word(word))]))


def choose_topic_words(candidates: Mapping[int, Sequence[str]], tokens: Callable[[str], Sequence[int]]) -> list[str]:
    """One word for each cluster, all different: the first candidate of one token that is still free.

    Args:
        candidates: What `topic_candidates` returned.
        tokens: Token ids of a word that follows a space.

    Returns:
        A word for each cluster, in the order of the candidates; of several tokens where no candidate of one token is
        free, and the cluster's number where no candidate is.

    Example:
        >>> candidates = {0: ["great toy", "toy"], 1: ["toy", "film"]}
        >>> choose_topic_words(candidates, lambda word: list(map(hash, word.split())))
        ['toy', 'film']
    """
    taken: set[tuple[int, ...]] = set()
    chosen = []
    for cluster, words in candidates.items():
        free = [word for word in words if tokens(word) and tuple(tokens(word)) not in taken]
        word = next((word for word in free if len(tokens(word)) == 1), free[0] if free else str(cluster))
        while tuple(tokens(word)) in taken:  # no keyword, and the cluster's number is taken
            word = f"group {word}"
        taken.add(tuple(tokens(word)))
        chosen.append(word)
    return chosen
