"""Settings that come in kinds: one class for each, told apart by a key (`algorithm`, `kind`, `learner`).

A class holds the keys of its kind, and facts of it as class variables; forms, checks and docs read those. A new kind is
a class and its line in `one_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, Union, get_args

from pydantic import Discriminator, Tag, model_validator
from pydantic_core import PydanticUndefined

from metapt_explore.config.task import Strict
from metapt_explore.errors import did_you_mean


class Kind(Strict):
    """Settings of one kind. Calling or validating the class that all kinds share makes the kind that is asked for.

    Attributes:
        told_by: Keys that tell kinds apart; each further key distinguishes kinds that share the one before.
        kinds: The class of each kind, by its name.
        tag: The name of this kind.
        title: What users call it.
        implementation: Function or class that implements it, as ``file:name`` below the folder of its kinds; both are
            the tag when empty.
        hints: Why this kind lacks a key of another.
    """

    told_by: ClassVar[tuple[str, ...]] = ("kind",)
    kinds: ClassVar[dict[str, Any]]
    tag: ClassVar[str] = ""
    title: ClassVar[str] = ""
    implementation: ClassVar[str] = ""
    hints: ClassVar[dict[str, str]] = {}

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **settings: Any) -> Self:
            return super().__new__(cls.kind_for(settings) if "kinds" in cls.__dict__ else cls)

    @classmethod
    def model_validate(cls, obj: Any, **how: Any) -> Self:
        """Validates plain values; see `BaseModel.model_validate`.

        Raises:
            ValueError: Where there is no such kind, or the values do not fit it.
        """
        if isinstance(obj, cls):
            return obj
        kind = cls.kind_for(obj) if "kinds" in cls.__dict__ else cls
        return super(Kind, kind).model_validate(obj, **how)

    @classmethod
    def expand(cls, given: Any) -> Any:
        """Plain values in their long form.

        Raises:
            ValueError: Where a short form means nothing.
        """
        return given

    @classmethod
    def kind_for(cls, given: Any) -> type[Self]:
        """The class that plain values are settings of.

        Raises:
            ValueError: Where a key that tells kinds apart is missing or has no such value.
        """
        tree = cls.expand(given)
        if not isinstance(tree, dict):
            raise ValueError("a mapping of keys to values is expected")
        left: list[type[Any]] = list(cls.kinds.values())
        for index, key in enumerate(cls.told_by):
            if not all(key in kind.model_fields for kind in left):
                break
            if key not in tree:
                if index == 0:
                    raise ValueError(f"key '{key}' is missing")
                return left[0]
            names = [_value(kind, key) for kind in left]
            left = [kind for kind, name in zip(left, names, strict=True) if name == tree[key]]
            if not left:
                written = tree[key] if isinstance(tree[key], str) else type(tree[key]).__name__
                raise ValueError(f"there is no {key} '{written[:80]}'. {did_you_mean(written, dict.fromkeys(names))}")
        return left[0]

    @classmethod
    def choices(cls, key: str) -> list[str]:
        """What a key that tells kinds apart may say.

        Example:
            >>> from metapt_explore.config import MethodConfig
            >>> MethodConfig.choices("kind")
            ['pt', 'ppt', 'metapt']
        """
        return list(dict.fromkeys(_value(kind, key) for kind in cls.kinds.values() if key in kind.model_fields))

    @classmethod
    def load(cls, folder: str, source: str = "") -> Any:
        """The function or class that implements this kind; its file is imported when asked for.

        Args:
            folder: The package that the files of these kinds lie in, such as ``metapt_explore.clusters``.
            source: Something else of this kind, as ``file:name``; `implementation` when empty.
        """
        file, _, name = (source or cls.implementation).partition(":")
        return getattr(import_module(f"{folder}.{file or cls.tag}"), name or cls.tag)

    @model_validator(mode="before")
    @classmethod
    def _keys_of_this_kind(cls, given: Any) -> Any:
        tree = cls.expand(given)
        if not isinstance(tree, dict):
            return tree
        kept_keys = {}
        for key, value in tree.items():
            holders = [kind for kind in cls.kinds.values() if key in kind.model_fields]
            if key in cls.model_fields or not holders:
                kept_keys[key] = value
            elif not _is_default(holders[0], key, value):  # a default value is allowed in any kind
                hint = f": {cls.hints[key]}" if key in cls.hints else ""
                raise ValueError(f"`{key}` belongs to {cls.names(holders)}, not to {cls.tag}{hint}")
        return kept_keys

    @classmethod
    def names(cls, kinds: Sequence[type[Kind]]) -> str:
        """Names of kinds in words; the first key's value stands for its kinds where all are listed."""
        listed = []
        for kind in kinds:
            group = _value(kind, cls.told_by[0])
            whole = all(other in kinds for other in cls.kinds.values() if _value(other, cls.told_by[0]) == group)
            listed.append(group if whole else kind.tag)
        return " and ".join(", ".join(dict.fromkeys(listed)).rsplit(", ", 1))


def _value(kind: type[Kind], key: str) -> str:
    """The value of a key in a kind."""
    return str(get_args(kind.model_fields[key].annotation)[0])


def _is_default(kind: type[Kind], key: str, value: Any) -> bool:
    default = kind.model_fields[key].get_default(call_default_factory=True)
    return bool(value in (None, []) or (default is not PydanticUndefined and value == default))


def one_of(base: type[Kind], *kinds: type[Kind]) -> Any:
    """The type of settings that are of one of several kinds.

    Args:
        base: The class that all kinds share.
        kinds: The classes; where a further key that tells some apart is absent, the first of these is meant.
    """
    base.kinds = {}
    for kind in kinds:
        keys = [key for key in base.told_by if key in kind.model_fields]
        kind.tag = _value(kind, keys[-1])
        base.kinds[kind.tag] = kind

    def tag_of(given: Any) -> str | None:
        if isinstance(given, base):
            return given.tag
        try:
            return base.kind_for(given).tag
        except ValueError:  # `problems.explain` reports it
            return None

    choices = tuple(Annotated[kind, Tag(kind.tag)] for kind in kinds)
    return Annotated[Union[choices], Discriminator(tag_of)]  # noqa: UP007
