"""Formats values, numbers and durations for sentences."""

from collections.abc import Mapping
from typing import Any

NONE = "(none)"
"""Shown for a value that does not exist."""


def value_text(value: Any) -> str:
    """Return a plain value on one line, without Python's notation.

    Only nested lists and mappings have brackets.
    """
    text = _bracketed(value)
    is_filled = isinstance(value, Mapping | list | tuple) and value
    return text[1:-1] if is_filled else text


def _bracketed(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_bracketed(each)}' for key, each in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_bracketed, value))}]"
    if value is None:
        return NONE
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 team`, `2 teams`. The default plural is noun + s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def days(number: float) -> str:
    """Return a duration in days: `3 days`, `1 day`, `less than a day`.

    A negative duration, due to clock skew, is also `less than a day`.
    """
    return count(round(number), "day") if round(number) > 0 else "less than a day"


def days_off(number: float) -> str:
    """Return a relative time in days: `in 3 days`, or `3 days ago` for the past."""
    return f"in {days(number)}" if number > 0 else f"{days(-number)} ago"
