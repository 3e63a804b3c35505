"""Types for values that Harbor validates: permissions of robots, schedules, patterns.

The rules are those of Harbor 2.15.2: permissions from src/common/rbac/const.go, schedules from the
parser in src/common/utils (robfig/cron 3), patterns from bmatcuk/doublestar 1.
"""

import difflib
import re
from typing import Annotated

from pydantic import AfterValidator, Field

from tenantry.declared.types import text_like

_ALL = ("create", "read", "update", "delete", "list")

ROBOT_PERMISSIONS: dict[str, tuple[str, ...]] = {
    "accessory": ("list",),
    "artifact": ("create", "read", "delete", "list"),
    "artifact-addition": ("read",),
    "artifact-label": ("create", "delete"),
    "export-cve": ("create", "read"),
    "immutable-tag": ("create", "update", "delete", "list"),
    "label": _ALL,
    "log": ("list",),
    "member": _ALL,
    "metadata": _ALL,
    "notification-policy": _ALL,
    "preheat-policy": _ALL,
    "project": ("read", "update", "delete"),
    "quota": ("read",),
    "repository": ("read", "update", "delete", "list", "pull", "push"),
    "robot": ("create", "read", "delete", "list"),
    "sbom": ("create", "read", "stop"),
    "scan": ("create", "read", "stop"),
    "scanner": ("create", "read"),
    "tag": ("create", "delete", "list"),
    "tag-retention": _ALL,
}
"""The permissions that Harbor grants a robot in a project: the actions by resource."""

CHARTS = ("helm-chart", "helm-chart-version", "helm-chart-version-label")
"""Resources that exist only in Harbor before 2.8."""

_PERMISSIONS = [f"{name}:{each}" for name, actions in ROBOT_PERMISSIONS.items() for each in actions]
_OLD_PERMISSIONS = [f"{name}:{each}" for name in CHARTS for each in _ALL]


def _check_access(value: str) -> str:
    resource, separator, action = value.partition(":")
    if not separator or not resource or not action:
        raise ValueError("access is a resource and an action of Harbor, such as repository:pull")
    if action in ROBOT_PERMISSIONS.get(resource, ()) or (resource in CHARTS and action in _ALL):
        return value
    if value == "robot:update":
        raise ValueError("Harbor grants robot:update to no robot")
    near = difflib.get_close_matches(value, _PERMISSIONS, n=1, cutoff=0.8)
    if near:
        hint = f"did you mean '{near[0]}'?"
    elif resource in ROBOT_PERMISSIONS:
        hint = f"actions for '{resource}': {', '.join(ROBOT_PERMISSIONS[resource])}"
    else:
        hint = f"resources: {', '.join(ROBOT_PERMISSIONS)}"
    raise ValueError(f"Harbor grants no robot this permission; {hint}")


Access = Annotated[
    str,
    AfterValidator(_check_access),
    Field(json_schema_extra={"enum": [*_PERMISSIONS, *_OLD_PERMISSIONS]}),
]
"""One permission of a robot inside the team's project, as `repository:pull`."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("weekday", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)


def _check_cron(value: str) -> str:
    fields = value.split()
    if len(fields) != 5 or not value.isprintable():
        raise ValueError(
            "a schedule has five fields: minute hour day month weekday, such as 0 3 * * *"
        )
    for text, (name, least, most, names) in zip(fields, _FIELDS, strict=True):
        parts = [part for part in text.split(",") if part]  # Harbor ignores empty parts
        if not parts:
            raise ValueError(f"'{text}' is not a valid {name}; write * for every value")
        for part in parts:
            _check_part(part, name, least, most, names)
    return value


def _check_part(part: str, name: str, least: int, most: int, names: dict[str, int]) -> None:
    """Check one part of a field's list: `*`, `3`, `1-5`, `mon-fri`, each with an optional `/step`.

    Raises:
        ValueError: Harbor would refuse it.
    """
    found = re.fullmatch(r"(?:([*?])(?:-\w+)?|(\w+)(?:-(\w+))?)(?:/(\d+))?", part, re.ASCII)
    if not found:
        raise ValueError(
            f"'{part}' is not a valid {name}; a field is *, a number, a range such as 1-5, or a list "
            "of them, each with an optional step such as */15"
        )
    _, first, last, step = found.groups()
    numbers = [names.get(text.lower(), text) for text in (first, last) if text]
    for number in numbers:
        if not (str(number).isdigit() and least <= int(number) <= most):
            hint = "; Sunday is 0" if name == "weekday" and number == "7" else ""
            words = f", or {', '.join(names)}" if names else ""
            raise ValueError(
                f"'{number}' is not a valid {name}; allowed: {least} to {most}{words}{hint}"
            )
    if len(numbers) == 2 and int(numbers[0]) > int(numbers[1]):
        raise ValueError(f"'{part}' begins after its end; write two ranges, such as 22-23,0-4")
    if step is not None and int(step) == 0:
        raise ValueError(f"'{part}' has a step of 0; a step is 1 or more")


Cron = Annotated[
    str,
    AfterValidator(_check_cron),
    Field(json_schema_extra={"pattern": r"^ *([^ ]+ +){4}[^ ]+ *$"}),
]
"""A schedule in Harbor: minute, hour, day, month, weekday."""


_CHARACTER = r"(?:\\.|[^\]\\-])"
_CLASS = re.compile(rf"\[\^?({_CHARACTER}(-{_CHARACTER})?)+\]")


def _check_pattern(value: str) -> str:
    if not value:
        raise ValueError("a pattern must not be empty; '**' stands for all")
    depth, position = 0, 0
    while position < len(value):
        character = value[position]
        if character == "\\":
            position += 1
            if position == len(value):
                raise ValueError("ends in a backslash, which escapes the character after it")
        elif character == "[":
            end = _CLASS.match(value, position)
            if not end:
                raise ValueError(
                    "has a '[' that begins no character class, such as [0-9]; escape it as \\["
                )
            position = end.end() - 1
        elif character == "{":
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        position += 1
    if depth:
        raise ValueError("has a '{' without a '}' after it; write alternatives as {main,v*}")
    return value


Pattern = Annotated[str, AfterValidator(_check_pattern), Field(json_schema_extra={"minLength": 1})]
"""A doublestar pattern of repositories or tags."""

_DOMAIN = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = rf"(https?://)?(\[[0-9A-Fa-f:]+\]|{_DOMAIN}(\.{_DOMAIN})*)(:[0-9]{{1,5}})?/?"


def _check_registry(value: str) -> str:
    if not re.fullmatch(_REGISTRY, value):
        raise ValueError(
            "a registry is a host with an optional port, without a path and without blanks, such as "
            "registry.example.com or registry.example.com:5000"
        )
    return value


Registry = Annotated[str, AfterValidator(_check_registry), text_like(_REGISTRY)]
"""The registry host and port in image names."""

_SECRET_SETTINGS = (
    "ldap_search_password",
    "uaa_client_secret",
    "email_password",
    "oidc_client_secret",
)


def _check_setting(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValueError("a setting has the name of Harbor's API, such as robot_token_duration")
    if value in _SECRET_SETTINGS:
        raise ValueError("is a secret; secrets must not be in the declared state")
    if value == "auth_mode" or value.startswith("oidc_"):
        raise ValueError("belongs to harbor.single_sign_on: declare that instead")
    return value


SettingName = Annotated[str, AfterValidator(_check_setting), text_like("[a-z][a-z0-9_]*")]
"""The name of a setting in Harbor's configuration API."""
