"""The names of a team's objects in the systems: the platform's patterns."""

import re
from collections.abc import Iterator, Mapping

from tenantry.declared.types import Model

_FIELD = re.compile(r"\{([a-z]+)\}")


class NamePatterns(Model):
    """The patterns of the names of the teams' objects."""

    namespace: str = "team-{team}"
    """The first namespace of a team, and the beginning of the names of its further ones."""
    project: str = "team-{team}"
    """The Harbor project."""
    group: str = "team-{team}"
    """The OIDC group."""
    client: str = "team-{team}-{name}"
    """The id of an OIDC client."""
    secret: str = "harbor-{purpose}"  # noqa: S105 a name
    """The Secret with the credential of a robot."""
    client_secret: str = "oidc-{name}"  # noqa: S105 a name
    """The Secret with the credentials of an OIDC client."""


def fill(pattern: str, **values: str) -> str:
    """Return a pattern with its placeholders, such as `{team}`, replaced."""
    for key, value in values.items():
        pattern = pattern.replace(f"{{{key}}}", value)
    return pattern


def matches(pattern: str, name: str) -> Iterator[Mapping[str, str]]:
    """Yield each way to read a name by a pattern: the values of the placeholders.

    A pattern with two placeholders, such as `team-{team}-{name}`, can fit a name in several ways.
    The ones with the longest first value come first.
    """
    before, first, middle, *more = _FIELD.split(pattern)
    second, after = more if more else ("", middle)
    inner = name[len(before) : len(name) - len(after)]
    if name != before + inner + after:
        return
    if not more:
        yield {first: inner}
        return
    at = inner.rfind(middle)
    while at > 0:
        yield {first: inner[:at], second: inner[at + len(middle) :]}
        at = inner.rfind(middle, 0, at + len(middle) - 1)


def is_distinctive(pattern: str) -> bool:
    """Return whether a pattern has text of its own, so that not almost every name fits it."""
    return any(character.isalnum() for text in _FIELD.split(pattern)[::2] for character in text)
