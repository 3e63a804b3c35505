"""Values, numbers and lengths of time as a sentence says them."""

from collections.abc import Mapping
from typing import Any

NONE = "(none)"
"""Shown for a value that does not exist."""


def value_text(value: Any) -> str:
    """Return a plain value on one line as people write it, never as Python writes it.

    A list or a mapping has brackets only inside another one.
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
    """Return a number with its noun: `1 team`, `2 teams`; `plural` where that is not noun + s."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def days(number: float) -> str:
    """Return a length of time in days: `3 days`, `1 day`, `less than a day`.

    A negative one, because two clocks differ, is `less than a day` too.
    """
    return count(round(number), "day") if round(number) > 0 else "less than a day"


def days_off(number: float) -> str:
    """Return how far off a moment is, in days: `in 3 days`, or `3 days ago` if it is past."""
    return f"in {days(number)}" if number > 0 else f"{days(-number)} ago"
