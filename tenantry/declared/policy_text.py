"""Formats grants as one line of YAML that can be pasted into `policy.grants` of `platform.yaml`."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

REASON = "why"

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(-[A-Za-z0-9_]+)*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def grant_text(
    teams: Sequence[str],
    allows: Mapping[str, Any],
    *,
    reason: str = REASON,
    files: str | None = None,
) -> str:
    """Return a grant as an item of a YAML list."""
    content: dict[str, Any] = {"teams": list(teams), "reason": reason}
    if files:
        content["files"] = [files]
    return f"- {_flow({**content, **allows})}"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_flow(key)}: {_flow(below)}" for key, below in value.items()) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    return json.dumps(value)


def _quoted(text: str) -> str:
    """Return a text quoted for YAML, with all characters visible in a terminal."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def printable(text: str) -> str:
    """Return a text for messages, with invisible and control characters escaped."""
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == " " or (character.isprintable() and not character.isspace()):
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def renaming(name: str, old: str = "") -> str:
    """Return how a team gets another name.

    Args:
        name: the name of the declared team.
        old: the name that it may have had before, if it is known.
    """
    former = f"team '{old}'" if old else "the old team"
    return (
        f"A team cannot be renamed: to move {former} to another name, declare team '{name}' in its "
        "own file with names, group and hosts of its own, onboard it, move the workloads and images, "
        f"and then offboard {former}"
    )
