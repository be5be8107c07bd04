"""What a study's list says of each of its artifacts."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Subject(TypedDict, total=False):
    """What an artifact is about; together with its kind this tells the entries of a list apart."""

    clustering: str
    method: str
    task: str
    init_seed: int
    shots: int


class IndexEntry(TypedDict):
    """One entry of ``index.json``.

    Attributes:
        kind: Kind of the artifact, or what the list calls it (``fewshot at other shots``).
        id: Id of the artifact.
        title: What people call it.
    """

    kind: str
    id: str
    title: str
    clustering: NotRequired[str]
    method: NotRequired[str]
    task: NotRequired[str]
    init_seed: NotRequired[int]
    shots: NotRequired[int]
