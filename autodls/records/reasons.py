"""Which values of a plan are those that its reasons were written for, and which a person has set since."""

import json
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

BY_HAND = "Set by hand"


def values_at(content: JsonValue, names: Iterable[str]) -> dict[str, JsonValue]:
    """What stands in `content` under dotted names; None where nothing does.

    >>> values_at({"training": {"epochs": 3}}, ["training.epochs", "training.patience"])
    {'training.epochs': 3, 'training.patience': None}
    """
    return {name: _at(content, name) for name in names}


def set_by_hand(values: Mapping[str, JsonValue], derived: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """The names of `derived`, which holds the value that each reason was written for, whose value is another now."""
    return tuple(name for name, value in derived.items() if values.get(name) != value)


def told_reasons(
    reasons: Mapping[str, str], values: Mapping[str, JsonValue], derived: Mapping[str, JsonValue]
) -> dict[str, str]:
    """Why each value is what it is: its reason, or that it was set by hand, as a reason speaks of no other value.

    >>> told_reasons({"a": "As in the paper."}, {"a": 2}, {"a": 1})
    {'a': 'Set by hand; the planner had 1.'}
    """
    own = {name: f"{BY_HAND}; the planner had {_text(derived[name])}." for name in set_by_hand(values, derived)}
    return {**reasons, **own}


def _at(content: JsonValue, name: str) -> JsonValue:
    for part in name.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
