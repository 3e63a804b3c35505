"""A snapshot of everything in the four systems, and the names that belong to a team by convention.

`everything` returns all objects of the sandbox by their place. `Names` are the names of a team: every
object that a team's file creates must have one of them, and all existing objects must remain
unchanged, byte for byte.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tenantry.resources import Id
from tenantry.sandbox import Sandbox

Part = tuple[str, ...]
"""The place of an object: system, kind, and its names."""
Everything = dict[Part, str]
"""All objects of the systems as JSON, by their place."""


class Names(NamedTuple):
    """The names that belong to the declared teams by convention. Their files may create no others."""

    slugs: frozenset[str]
    namespaces: frozenset[str]
    clients: frozenset[str]
    harbor_groups: frozenset[str]
    """The groups of their projects. Harbor stores only the name of each."""

    @classmethod
    def of(cls, contents: Iterable[Mapping[str, Any]], others: Collection[str]) -> "Names":
        """Return the names of the declared teams.

        Args:
            contents: the contents of the team files.
            others: the teams that other files declare, so that these files cannot.
        """
        slugs, namespaces, clients, groups = set(), set(), set(), set()
        for content in contents:
            name = content.get("name")
            if not isinstance(name, str) or not name or name in others:
                continue
            slug = f"team-{name}"
            slugs.add(slug)
            namespaces |= {slug, *(f"{slug}-{key}" for key in _keys(content, "further_namespaces"))}
            clients |= {f"{slug}-{key}" for key in _keys(content, "oidc_clients")}
            groups |= {slug, *_keys(_mapping(content, "harbor"), "groups")}
        return cls(*map(frozenset, (slugs, namespaces, clients, groups)))

    def own(self, part: Part) -> bool:
        """Return whether a new object belongs to the teams."""
        match part:
            case ("kubernetes", "Namespace", _, name):
                return name in self.namespaces
            case ("kubernetes", _, namespace, _):
                return namespace in self.namespaces
            case ("keycloak", _, "groups", name):
                return name in self.slugs
            case ("keycloak", _, "clients" | "client_scopes" | "client_roles", name):
                return name in self.clients
            case ("keycloak", _, "users", name):
                return name.removeprefix("service-account-") in self.clients
            case ("keycloak", _, "provider_mappers", name):
                return any(name.endswith(f"/tenantry {slug}") for slug in self.slugs)
            case ("harbor", "projects" | "audit", name, *_):
                return name in self.slugs
            case ("harbor", "robots", name):
                return name.partition("+")[0] in self.slugs
            case ("harbor", "groups", name):
                return name in self.harbor_groups
        return False

    def own_resource(self, id: Id) -> bool:
        """Return whether a desired resource belongs to the teams, or is the role that all teams share."""
        first, _, rest = id.key.partition("/")
        match id.system, id.kind.name:
            case "kubernetes", "ClusterRole":
                return id.key == "tenantry-team-member"
            case "kubernetes" | "istio", _:
                return first in self.namespaces
            case "keycloak", "group" | "group member":
                return first in self.slugs
            case "keycloak", "client":
                return id.key in self.clients
            case "keycloak", "identity provider mapper":
                return rest in {f"tenantry {slug}" for slug in self.slugs}
            case "harbor", _:
                return first in self.slugs
        return False


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}


def _keys(content: Mapping[str, Any], name: str) -> set[str]:
    return set(_mapping(content, name))


# The content of the systems


def everything(sandbox: Sandbox) -> Everything:
    """Return the content of the systems without sessions and counters."""
    found = {**_harbor(sandbox), **_keycloak(sandbox), **_kubernetes(sandbox)}
    return {part: json.dumps(value, sort_keys=True) for part, value in found.items()}


_VOLATILE = ("sessions", "session_claims", "sequences", "policies", "token_key", "private_key")
"""Sessions, counters that change with each write, and keys that a server generates on first use."""


def _harbor(sandbox: Sandbox) -> dict[Part, Any]:
    state = sandbox.harbor.dump()
    projects = {project["id"]: name for name, project in state["projects"].items()}
    found: dict[Part, Any] = {}
    for part, content in state.items():
        if part in _VOLATILE:
            continue
        if part == "robots":
            for robot in content.values():
                project = projects.get(robot["project_id"], str(robot["project_id"] or ""))
                found["harbor", part, f"{project}+{robot['name']}"] = robot
        elif part == "groups":
            found |= {("harbor", part, group["name"]): group for group in content.values()}
        elif part == "audit":
            for number, entry in enumerate(content):
                found["harbor", part, str(entry.get("resource", "")), str(number)] = entry
        elif isinstance(content, dict):
            found |= {("harbor", part, str(key)): value for key, value in content.items()}
        else:
            found["harbor", part] = content
    return found


def _keycloak(sandbox: Sandbox) -> dict[Part, Any]:
    found: dict[Part, Any] = {}
    for realm, state in sandbox.keycloak.dump()["realms"].items():
        clients = {id: client["clientId"] for id, client in state["clients"].items()}
        groups = {id: group["name"] for id, group in state["groups"].items()}
        users = {id: user["username"] for id, user in state["users"].items()}
        names: dict[str, Any] = {
            "clients": clients,
            "client_scopes": clients,
            "client_roles": clients,
            "groups": groups,
            "users": users,
            "provider_mappers": {
                id: f"{mapper['identityProviderAlias']}/{mapper['name']}"
                for id, mapper in state["provider_mappers"].items()
            },
        }
        for part, content in state.items():
            if part in _VOLATILE:
                continue
            if isinstance(content, dict):
                named = names.get(part, {})
                for id, value in content.items():
                    key = ("keycloak", realm, part, str(named.get(id, id)))
                    found[key] = _memberships(value, groups) if part == "users" else value
            else:
                found["keycloak", realm, part] = content
    return found


def _memberships(user: dict[str, Any], groups: Mapping[str, str]) -> dict[str, Any]:
    """Return a user without memberships, which are compared for each group."""
    return {**user, "groups": []}


def _kubernetes(sandbox: Sandbox) -> dict[Part, Any]:
    return {
        ("kubernetes", o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o
        for o in sandbox.kubernetes.objects
    }


def changes(before: Everything, after: Everything, names: Names) -> Iterator[str]:
    """Yield the changes of objects that do not belong to the teams with these names."""
    for part, value in before.items():
        if part not in after:
            yield f"deleted: {'/'.join(part)}"
        elif after[part] != value:
            yield f"changed: {'/'.join(part)}: {value} -> {after[part]}"
    for part, value in after.items():
        if part not in before and not names.own(part):
            yield f"created: {'/'.join(part)}: {value[:500]}"
