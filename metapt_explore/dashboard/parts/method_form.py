"""Forms for a method or clustering of a study, new or present: fields are those of its class in the config."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from streamlit.delta_generator import DeltaGenerator

from metapt_explore.config import ClusteringConfig, MethodConfig, StudyConfig
from metapt_explore.config.kinds import Kind
from metapt_explore.config.learners import MetaPTMethod
from metapt_explore.config.pretraining import InnerOptimiser

#: Fields that have a widget of their own.
APART = ("name", "clustering", "like", *MethodConfig.told_by, *ClusteringConfig.told_by)


def choose_class(config: StudyConfig, key: str) -> tuple[type[MethodConfig], dict[str, str]]:
    """Asks for the kind, and for the learner where the kind has several.

    Args:
        config: The study; kinds that need a clustering are offered only where it has one.
        key: Beginning of the widgets' keys.

    Returns:
        The class of the method, and the settings that choose it.
    """
    classes = [cls for cls in MethodConfig.kinds.values() if config.clusterings or not _needs_clustering(cls)]
    chosen: dict[str, str] = {}
    for box, field in zip(st.columns(len(MethodConfig.told_by)), MethodConfig.told_by, strict=True):
        if not all(field in cls.model_fields for cls in classes):
            break
        titles: dict[str, list[str]] = {}
        for cls in classes:
            titles.setdefault(_value(cls, field), []).append(cls.title)
        # The last kind learns the most; of learners the first is the default.
        names = list(titles) if chosen else list(reversed(titles))
        meanings = "; ".join(f"{name}: {', '.join(titles[name])}" for name in names)
        chosen[field] = box.selectbox(field.capitalize(), names, key=f"{key}_{field}", help=meanings)
        classes = [cls for cls in classes if _value(cls, field) == chosen[field]]
    return classes[0], chosen


def settings(cls: type[MethodConfig], config: StudyConfig, key: str) -> dict[str, Any]:
    """Asks for the name and for all numbers, switches and choices of a class of methods.

    Args:
        cls: The class of the method.
        config: The study; what a method leaves open is as `pretraining` says.
        key: Beginning of the widgets' keys.

    Returns:
        The name, and the settings that differ from their defaults.
    """
    columns = st.columns(3)
    given: dict[str, Any] = {"name": columns[0].text_input("Name", "MetaPT 2", key=f"{key}_name").strip()}
    if "clustering" in cls.model_fields:
        names = [clustering.name for clustering in config.clusterings]
        if names := columns[1].multiselect("Clusterings", names, key=f"{key}_of", help="Whose clusters are its tasks"):
            given["clustering"] = names
    return given | _numbers(cls, config, key)


def edited(present: Kind, config: StudyConfig, key: str) -> dict[str, Any]:
    """Asks for the settings of a method or clustering that there is, filled with what they are.

    Args:
        present: The method or clustering.
        config: The study.
        key: Beginning of the widgets' keys.

    Returns:
        The settings that differ from what they are.
    """
    given: dict[str, Any] = {}
    if isinstance(present, MethodConfig) and "clustering" in type(present).model_fields:
        names = [clustering.name for clustering in config.clusterings]
        chosen = st.multiselect("Clusterings", names, present.clusterings, key=f"{key}_of")
        if chosen and chosen != present.clusterings:
            given["clustering"] = chosen
    return given | _numbers(type(present), config, key, present)


def _numbers(cls: type[Kind], config: StudyConfig, key: str, present: Kind | None = None) -> dict[str, Any]:
    """Numbers, switches and choices that differ from what they are, or from their defaults."""
    columns = st.columns(3)
    changed: dict[str, Any] = {}
    fields = [name for name in cls.model_fields if name not in APART and _kind_of_value(cls.model_fields[name])]
    own = {name: value for name in fields if (value := getattr(present, name, None)) is not None}
    for index, name in enumerate(sorted(fields, key=_asked_late)):
        field, at = cls.model_fields[name], f"{key}_{name}"
        default = getattr(config.pretraining, name, None) if field.default is None else field.default
        if name in ("inner_optimiser", "inner_lr"):
            before, now = (_inner_optimiser(config, cls, given) for given in (own, own | changed))
            default = now if name == "inner_optimiser" else config.inner_lr(now)
            at += "" if now == before else f"_{now}"
        shown = own.get(name, default)
        if shown is None or shown is PydanticUndefined:
            continue
        value = _ask(columns[index % 3], name, field, default=shown, key=at)
        if value != shown:
            changed[name] = value
            if name == "inner_lr":  # a rate that stands alone is one of plain gradient steps
                changed.setdefault("inner_optimiser", now)
    return changed


def _asked_late(name: str) -> int:
    """Asked in this order: the inner rate depends on the inner optimiser, and that on whether steps are exact."""
    return {"inner_optimiser": 1, "inner_lr": 2}.get(name, 0)


def _inner_optimiser(config: StudyConfig, cls: type[Kind], given: dict[str, Any]) -> InnerOptimiser:
    """How inner steps are taken by a method with these settings."""
    assert issubclass(cls, MetaPTMethod)
    chosen = {key: given[key] for key in ("order", "inner_optimiser", "inner_lr") if key in given}
    method = cls.model_construct(name="", clustering="", **chosen)
    return method.inner_optimiser_among(config.pretraining)


def _ask(box: DeltaGenerator, name: str, field: FieldInfo, *, default: Any, key: str) -> Any:
    """One widget for a field, with its description as help."""
    kind = _kind_of_value(field)
    if isinstance(kind, list):
        return box.selectbox(name, kind, index=kind.index(default), key=key, help=field.description)
    if kind is bool:
        return box.checkbox(name, value=default, key=key, help=field.description)
    low, high = (_limit(field, *names) for names in (("ge", "gt"), ("le", "lt")))
    number = int if kind is int else float
    return box.number_input(
        name,
        min_value=None if low is None else number(low),
        max_value=None if high is None else number(high),
        value=number(default),
        format=None if kind is int else "%.4f",
        key=key,
        help=field.description,
    )


def _kind_of_value(field: FieldInfo) -> type | list[Any] | None:
    """``bool``, ``int`` or ``float``, the choices of a literal; None for all that has no simple widget."""
    annotation: Any = field.annotation
    if get_origin(annotation) in (Union, UnionType):
        present = [part for part in get_args(annotation) if part is not type(None)]
        annotation = present[0] if len(present) == 1 else None
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return annotation if annotation in (bool, int, float) else None


def _limit(field: FieldInfo, *names: str) -> float | None:
    """A bound that the field itself states."""
    return next((getattr(rule, name) for rule in field.metadata for name in names if hasattr(rule, name)), None)


def _needs_clustering(cls: type[MethodConfig]) -> bool:
    return "clustering" in cls.model_fields and cls.model_fields["clustering"].is_required()


def _value(cls: type[MethodConfig], field: str) -> str:
    return str(get_args(cls.model_fields[field].annotation)[0])
