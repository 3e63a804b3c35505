"""The names of a team's objects in the systems.

The platform gives patterns, such as `team-{team}`. A team can give the explicit names of objects
that exist already.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from tenantry.declared.kubernetes_values import NamespaceName, ObjectName, is_subdomain
from tenantry.declared.types import Model, ShortName, as_written, check_group, text_or_number

_FIELD = re.compile(r"\{([^{}]*)\}")
_DNS_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PROJECT = r"[a-z0-9]+([._-][a-z0-9]+)*"
_OBJECT = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_CLIENT = r"[^\s/{}*]+"
_GROUP = r"[^/{}]+"


def check_namespace(value: str) -> str:
    """Return the name of a namespace.

    Raises:
        ValueError: Kubernetes would refuse it.
    """
    if not re.fullmatch(_DNS_LABEL, value) or len(value) > 63:
        raise ValueError(
            "a namespace's name is 1 to 63 lower-case letters, digits and dashes, and begins and "
            "ends with a letter or digit"
        )
    return value


def check_project(value: str) -> str:
    """Return the name of a Harbor project.

    Raises:
        ValueError: Harbor would refuse it, or treat it as a project's number.
    """
    if not re.fullmatch(_PROJECT, value) or len(value) > 255 or value.isdigit():
        raise ValueError(
            "a project's name is 1 to 255 lower-case letters and digits, in words joined by single "
            "dots, dashes or underscores, with at least one letter"
        )
    return value


def check_client(value: str) -> str:
    """Return the id of an OIDC client.

    Raises:
        ValueError: Tenantry does not support it.
    """
    if not re.fullmatch(_CLIENT, value) or len(value) > 255 or not value.isprintable():
        raise ValueError(
            "a client's id is 1 to 255 characters without blanks, '/', '*', '{' and '}'"
        )
    return value


def _check_secret(value: str) -> str:
    if not is_subdomain(value):
        raise ValueError("a Secret's name is up to 253 lower-case letters, digits, '-' and '.'")
    return value


def _text(check: Any, pattern: str) -> Any:
    return BeforeValidator(as_written), AfterValidator(check), text_or_number(pattern)


ProjectName = Annotated[str, *_text(check_project, _PROJECT)]
"""The name of a Harbor project."""

ClientId = Annotated[str, *_text(check_client, _CLIENT)]
"""The id of an OIDC client in Keycloak."""


class TeamNames(Model):
    """The explicit names of a team's objects, where they differ from the platform's patterns.

    The policy must allow each name of a namespace, a project and a client. They cannot change once
    the team is onboarded.
    """

    namespace: NamespaceName | None = None
    """The team's first namespace."""
    further_namespaces: dict[ShortName, NamespaceName] = {}
    """The full names of `further_namespaces`, by key."""
    project: ProjectName | None = None
    """The Harbor project."""
    clients: dict[ShortName, ClientId] = {}
    """The ids of `oidc_clients` in Keycloak, by name."""
    secrets: dict[ShortName, ObjectName] = {}
    """The Secrets with the credentials of `robots` in the team's own namespaces, by purpose."""
    client_secrets: dict[ShortName, ObjectName] = {}
    """The Secrets with the credentials of `oidc_clients`, by name."""


def fill(pattern: str, **values: str) -> str:
    """Return a pattern with its placeholders, such as `{team}`, replaced."""
    return _FIELD.sub(lambda found: values.get(found[1], found[0]), pattern)


def _pattern(check: Any, characters: str, *fields: str) -> Any:
    """Return the type's rules for a pattern.

    Args:
        check: checks a name that follows the pattern.
        characters: the regular expression of a name, for the JSON Schema.
        fields: the placeholders, each of which the pattern contains exactly once.
    """
    listed = " and ".join(f"{{{field}}}" for field in fields)

    def check_pattern(value: str) -> str:
        parts = _FIELD.split(value)
        texts, found = parts[::2], parts[1::2]
        if sorted(found) != sorted(fields) or any(set("{}") & set(text) for text in texts):
            raise ValueError(
                f"must contain {listed} exactly once, and no other placeholder; otherwise two "
                "objects could get the same name"
            )
        if any(not text for text in texts[1:-1]):
            raise ValueError(f"needs a character between {listed}")
        try:
            check(fill(value, **dict.fromkeys(fields, "a")))
        except ValueError as error:
            raise ValueError(f"does not give a valid name: {error}") from None
        return value

    schema = {"pattern": rf"\{{{fields[0]}\}}"}
    return AfterValidator(check_pattern), Field(json_schema_extra={**schema, "minLength": 1})


class NamePatterns(Model):
    """The patterns of the names of the teams' objects.

    `{team}` stands for the team's name. Teams that are onboarded keep their names: give them in
    `names` of their files before a pattern changes.
    """

    namespace: Annotated[str, *_pattern(check_namespace, _DNS_LABEL, "team")] = "team-{team}"
    """A team's first namespace."""
    further_namespace: (
        Annotated[str, *_pattern(check_namespace, _DNS_LABEL, "team", "key")] | None
    ) = None
    """A further namespace, such as `{team}-{key}`; `{key}` stands for its key in `further_namespaces`.
    The default is the pattern `namespace`, followed by `-{key}`."""
    project: Annotated[str, *_pattern(check_project, _PROJECT, "team")] = "team-{team}"
    """The Harbor project."""
    group: Annotated[str, *_pattern(check_group, _GROUP, "team")] = "team-{team}"
    """The OIDC group, if a team gives no `group`."""
    client: Annotated[str, *_pattern(check_client, _CLIENT, "team", "name")] = "team-{team}-{name}"
    """The id of an OIDC client; `{name}` stands for its name in `oidc_clients`."""
    secret: Annotated[str, *_pattern(_check_secret, _OBJECT, "purpose")] = "harbor-{purpose}"  # noqa: S105 a name
    """The Secret with the credential of a robot; `{purpose}` stands for its purpose."""
    secrets: dict[ShortName, ObjectName] = {}
    """The Secrets with the credentials of robots of some purposes, where they do not follow
    `secret`, such as `pull: harbor-pullsecret`."""
    client_secret: Annotated[str, *_pattern(_check_secret, _OBJECT, "name")] = "oidc-{name}"  # noqa: S105 a name
    """The Secret with the credentials of an OIDC client."""

    @property
    def further(self) -> str:
        """The pattern of further namespaces."""
        return self.further_namespace or f"{self.namespace}-{{key}}"


def matches(pattern: str, name: str) -> Iterator[Mapping[str, str]]:
    """Yield each way to read a name by a pattern: the values of the placeholders.

    A pattern with two placeholders, such as `team-{team}-{name}`, can fit a name in several ways.
    The ones with the longest first value come first.
    """
    before, first, middle, *more = _FIELD.split(pattern)
    second, after = more if more else ("", middle)
    inner = name[len(before) : len(name) - len(after)]
    if not inner or name != before + inner + after:
        return
    if not more:
        yield {first: inner}
        return
    at = inner.rfind(middle)
    while at > 0:
        if at + len(middle) < len(inner):
            yield {first: inner[:at], second: inner[at + len(middle) :]}
        at = inner.rfind(middle, 0, at + len(middle) - 1)


def is_distinctive(pattern: str) -> bool:
    """Return whether a pattern has text of its own, so that not almost every name fits it."""
    return any(character.isalnum() for text in _FIELD.split(pattern)[::2] for character in text)
