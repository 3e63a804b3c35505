"""A snapshot of everything in the four systems, and which of it convention gives to one team.

`everything` returns each thing that the sandbox holds, by its place. `Names` are the names that
convention gives to a team: whatever a team's file leads to must have one of them, and whatever was
there before must stay as it was, byte for byte.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tenantry.resources import Id
from tenantry.sandbox import Sandbox

Part = tuple[str, ...]
"""The place of a thing: system, kind, and its names there."""
Everything = dict[Part, str]
"""Each thing in the systems as JSON, by its place."""


class Names(NamedTuple):
    """What convention gives to the teams that files declare: all that the files may lead to."""

    slugs: frozenset[str]
    namespaces: frozenset[str]
    clients: frozenset[str]
    harbor_groups: frozenset[str]
    """Groups that they name in their projects: Harbor has a row for each, which is only a name."""

    @classmethod
    def of(cls, contents: Iterable[Mapping[str, Any]], others: Collection[str]) -> "Names":
        """Return the names of the teams that some files declare.

        Args:
            contents: the files' contents.
            others: teams that none of the files can declare, since another file does.
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
        """Return whether a thing that was not there before is the teams'."""
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
        """Return whether a resource that is desired is the teams', or the one that all teams share."""
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


# What the systems hold


def everything(sandbox: Sandbox) -> Everything:
    """Return all that the systems hold, but for sessions and counters."""
    found = {**_harbor(sandbox), **_keycloak(sandbox), **_kubernetes(sandbox)}
    return {part: json.dumps(value, sort_keys=True) for part, value in found.items()}


_VOLATILE = ("sessions", "session_claims", "sequences", "policies", "token_key", "private_key")
"""Sessions, counters that each write moves, and keys that a server makes when it first needs them."""


def _harbor(sandbox: Sandbox) -> dict[Part, Any]:
    held = sandbox.harbor.dump()
    projects = {project["id"]: name for name, project in held["projects"].items()}
    found: dict[Part, Any] = {}
    for part, content in held.items():
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
    for realm, held in sandbox.keycloak.dump()["realms"].items():
        clients = {id: client["clientId"] for id, client in held["clients"].items()}
        groups = {id: group["name"] for id, group in held["groups"].items()}
        users = {id: user["username"] for id, user in held["users"].items()}
        names: dict[str, Any] = {
            "clients": clients,
            "client_scopes": clients,
            "client_roles": clients,
            "groups": groups,
            "users": users,
            "provider_mappers": {
                id: f"{mapper['identityProviderAlias']}/{mapper['name']}"
                for id, mapper in held["provider_mappers"].items()
            },
        }
        for part, content in held.items():
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
    """Return a user without memberships: each is a fact of its group."""
    return {**user, "groups": []}


def _kubernetes(sandbox: Sandbox) -> dict[Part, Any]:
    return {
        ("kubernetes", o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o
        for o in sandbox.kubernetes.objects
    }


def changes(before: Everything, after: Everything, names: Names) -> Iterator[str]:
    """Return what is not as it was before, of all that is not the teams' of these names."""
    for part, value in before.items():
        if part not in after:
            yield f"deleted: {'/'.join(part)}"
        elif after[part] != value:
            yield f"changed: {'/'.join(part)}: {value} -> {after[part]}"
    for part, value in after.items():
        if part not in before and not names.own(part):
            yield f"created: {'/'.join(part)}: {value[:500]}"
