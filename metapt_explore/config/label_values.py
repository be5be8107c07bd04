"""Which class a row of the data is of: by the value in its label column, however that is written.

One file says 1, another 1.0; one program writes True, another true. A task file's `value` means all of them, unless the
task tells them apart. Values that match nothing are reported here for all readers of labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from metapt_explore.errors import UserError, did_you_mean, shortened

if TYPE_CHECKING:
    from metapt_explore.config.task import Label, LabelsConfig

_DECIMAL = re.compile(r"[-+]?\d+\.\d*")
#: Values that a message lists.
SHOWN = 8


def value_key(value: str) -> str:
    """What the spellings of one value have in common.

    Example:
        >>> value_key("1.0"), value_key("1.50"), value_key("TRUE"), value_key("010"), value_key("Sport")
        ('1', '1.5', 'true', '010', 'Sport')
    """
    if value.lower() in ("true", "false"):
        return value.lower()
    return value.rstrip("0").rstrip(".") if _DECIMAL.fullmatch(value) else value


def class_of_values(labels: Mapping[str, Label], data_values: Iterable[object]) -> dict[str, str]:
    """The class of each value of the data; values of no class are left out.

    A value spelled as in the task belongs to that class. Another spelling (1.0 for 1) counts only for a class whose own
    spelling is not in the data.

    Args:
        labels: The classes of a task, by name.
        data_values: Values of the label column. Rows without a label (None, and NaN in a table) are passed over.

    Example:
        >>> from metapt_explore.config import LabelsConfig
        >>> labels = LabelsConfig(labels={"bad": {"value": "0", "word": "bad"}, "good": {"value": "1", "word": "good"}})
        >>> class_of_values(labels.labels, ["0", "1.0", "2"])
        {'0': 'bad', '1.0': 'good'}
    """
    values = sorted({value for value in data_values if isinstance(value, str)})
    exact = {label.value: name for name, label in labels.items()}
    alike: dict[str, list[str]] = {}
    for name, label in labels.items():
        alike.setdefault(value_key(label.value), []).append(name)
    exact_classes = {exact[value] for value in values if value in exact}
    classes = {}
    for value in values:
        names = [exact[value]] if value in exact else alike.get(value_key(value), [])
        if len(names) == 1 and (value in exact or names[0] not in exact_classes):
            classes[value] = names[0]
    return classes


def unmatched(labels: Mapping[str, Label], data_values: Iterable[str]) -> dict[str, str]:
    """Classes without any row in the data, and the value of each.

    Args:
        labels: The classes by name.
        data_values: Values of the label column.
    """
    matched = set(class_of_values(labels, data_values).values())
    return {name: label.value for name, label in labels.items() if name not in matched}


def check_values(labels: Mapping[str, Label], data_values: Iterable[str], where: str, *, key: str) -> None:
    """Refuses a class whose value matches nothing in the data.

    Args:
        labels: The classes by name.
        data_values: Values of the label column.
        where: The file or source.
        key: Where the classes are written: ``auxiliary_tasks.labels``, ``task 'mood': labels``.

    Raises:
        UserError: Naming the class, its value and the values that there are.
    """
    values = sorted(set(data_values))
    missing = unmatched(labels, values)
    if not missing:
        return
    name, value = next(iter(missing.items()))
    rest = len(missing) - 1
    more = f" (nor those of {rest:,} more class{'es' * (rest > 1)})" if rest else ""
    listed = ", ".join(f"'{shortened(each)}'" for each in values[:SHOWN]) or "none"
    listed += f" and {len(values) - SHOWN:,} more" if len(values) > SHOWN else ""
    close = did_you_mean(value, values).partition("Valid:")[0] if values else ""
    raise UserError(
        f"{key}: no row of {where} has the label '{shortened(value)}' of the class '{shortened(name)}'{more}. Labels "
        f"there: {listed}. {close}Correct the class's `value` (in quotes), or take the class out."
    )


def words_key(labels: LabelsConfig) -> dict[str, Any]:
    """Label words as part of a stage's id: the word of each class; all words and the description if there are more."""
    return {
        name: label.words[0]
        if len(label.words) == 1 and label.description is None
        else {"words": label.words, "description": label.description}
        for name, label in labels.labels.items()
    }
