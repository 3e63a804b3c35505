"""What an import reads before it knows the teams: whole lists, and then the teams' projects."""

import base64
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tenantry.calls import map_concurrently
from tenantry.errors import SystemRefused
from tenantry.importing.clients import OPAQUE, PULL_SECRETS
from tenantry.systems.clients import Clients
from tenantry.systems.harbor.client import Row
from tenantry.systems.keycloak.client import Representation
from tenantry.systems.kubernetes import objects
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.kinds import GATEWAY_API
from tenantry.systems.kubernetes.namespaces import MEMBER_ROLE

_INSIDE = (
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "RoleBinding",
    "VirtualService",
    "HTTPRoute",
    "Gateway",
    GATEWAY_API,
)
"""The kinds whose objects are read in all namespaces."""
_OPTIONAL = ("Gateway", GATEWAY_API)
"""The kinds that the account needs no right to."""
_SECRETS = "harbor-"
"""The beginning of the names of Secrets for Harbor: Tenantry's, and Otomi's."""


@dataclass(frozen=True)
class Project:
    """A Harbor project, and what is in it."""

    row: Row
    members: list[Row]
    robots: list[Row]
    retention: Row | None
    immutable: list[Row]


@dataclass
class Snapshot:
    """The live resources, as the systems answered."""

    cluster: str
    """The UID of the home cluster."""
    namespaces: dict[str, Object]
    """All namespaces that are not being deleted."""
    inside: dict[str, dict[str, list[Object]]]
    """The objects by kind and namespace."""
    unread: list[str]
    """The kinds of objects that the account may not list."""
    accounts: dict[str, Object]
    """The default ServiceAccounts by namespace."""
    secrets: dict[str, dict[str, Object]]
    """The metadata of all Secrets, by namespace and name."""
    pull_secrets: dict[str, dict[str, Object]] = field(repr=False)
    """The image pull secrets, by namespace and name. They contain credentials."""
    projects: dict[str, Row]
    system_robots: list[Row]
    settings: Mapping[str, Any]
    registry: str
    groups: dict[str, Representation]
    clients: dict[str, Representation]
    realm: Representation
    issuer: str
    providers: dict[str, Representation]
    mappers: dict[str, list[Representation]]
    has_member_role: bool
    opaque: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict, repr=False)
    """The texts in the Secrets without a format, by namespace and name. They contain credentials."""
    details: dict[str, Project] = field(default_factory=dict)
    """The projects that were read in detail, by name."""

    def of(self, kind: str, namespace: str) -> list[Object]:
        """Return the objects of a kind in a namespace."""
        return self.inside.get(kind, {}).get(namespace, [])


def read(clients: Clients, parent_group: str | None) -> Snapshot:
    """Read everything but the content of projects and the members of groups.

    Args:
        clients: the connections.
        parent_group: the top-level parent of the teams' groups; None if they are top-level groups.

    Raises:
        TenantryError: a system cannot be read, or refuses a read.
    """
    home = clients.clusters.home
    namespaces = {
        each["metadata"]["name"]: each
        for each in home.list("Namespace")
        if each["status"].get("phase") != "Terminating"
    }
    listed = map_concurrently(lambda kind: _installed(clients, kind), _INSIDE)
    accounts = home.list("ServiceAccount", fieldSelector="metadata.name=default")
    home.get("ClusterRole", MEMBER_ROLE)
    keycloak, harbor = clients.keycloak, clients.harbor
    aliases: dict[str, Representation] = {
        each["alias"]: each for each in keycloak.rows("identity-provider/instances") or ()
    }
    return Snapshot(
        cluster=home.uid(),
        namespaces=namespaces,
        inside={
            kind: _by_namespace(found or ()) for kind, found in zip(_INSIDE, listed, strict=True)
        },
        unread=[kind for kind, found in zip(_INSIDE, listed, strict=True) if found is None],
        accounts={each["metadata"]["namespace"]: each for each in accounts},
        secrets=_by_name(home.list("Secret", content=False)),
        pull_secrets=_by_name(home.list("Secret", fieldSelector=PULL_SECRETS)),
        projects={row["name"]: row for row in harbor.pages("/projects")},
        system_robots=list(harbor.pages("/robots")),
        settings=harbor.settings(),
        registry=str(harbor.info().get("registry_url") or ""),
        groups={group["name"]: group for group in _groups(clients, parent_group)},
        clients={each["clientId"]: each for each in keycloak.pages("clients")},
        realm=keycloak.get("") or {},
        issuer=keycloak.issuer,
        providers=aliases,
        mappers={
            alias: list(keycloak.rows(f"identity-provider/instances/{alias}/mappers") or ())
            for alias in aliases
        },
        has_member_role=home.get("ClusterRole", MEMBER_ROLE) is not None,
    )


def read_projects(clients: Clients, snapshot: Snapshot, names: Iterable[str]) -> None:
    """Add the content of some projects to a snapshot.

    Raises:
        TenantryError: Harbor cannot be read.
    """
    wanted = [name for name in names if name not in snapshot.details]
    found = map_concurrently(lambda name: _project(clients, snapshot.projects[name]), wanted)
    snapshot.details |= dict(zip(wanted, found, strict=True))


def read_secrets(
    clients: Clients, snapshot: Snapshot, usual: Mapping[str, Collection[str]]
) -> None:
    """Add Secrets in some namespaces that may hold a robot's credential in another format.

    Only Secrets with these names, or with the usual beginning of a name, are read.

    Args:
        clients: the connections.
        snapshot: receives the Secrets.
        usual: the names of the robots' Secrets by the platform's patterns, by namespace.

    Raises:
        TenantryError: the cluster cannot be read.
    """
    wanted = [
        (namespace, name)
        for namespace, names in usual.items()
        for name in snapshot.secrets.get(namespace, {})
        if (name.startswith(_SECRETS) or name in names)
        and name not in snapshot.pull_secrets.get(namespace, {})
    ]
    home = clients.clusters.home
    found = map_concurrently(lambda each: home.get("Secret", each[1], each[0]), wanted)
    for (namespace, name), secret in zip(wanted, found, strict=True):
        if secret is not None:
            snapshot.pull_secrets.setdefault(namespace, {})[name] = secret


def read_opaque(clients: Clients, snapshot: Snapshot, namespaces: Iterable[str]) -> None:
    """Add the Secrets without a format in some namespaces to a snapshot.

    Raises:
        TenantryError: the cluster cannot be read.
    """
    home, wanted = clients.clusters.home, list(dict.fromkeys(filter(None, namespaces)))
    listed = map_concurrently(
        lambda name: list(home.list("Secret", name, fieldSelector=OPAQUE)), wanted
    )
    for namespace, found in zip(wanted, listed, strict=True):
        snapshot.opaque[namespace] = {each["metadata"]["name"]: _texts(each) for each in found}


def _texts(secret: Object) -> dict[str, str]:
    """Return the values of a Secret that are text."""
    found = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            found[str(key)] = base64.b64decode(value).decode()
        except (ValueError, TypeError):
            continue
    return found


def _project(clients: Clients, row: Row) -> Project:
    harbor, number = clients.harbor, row["project_id"]
    harbor.get(f"/projects/{number}/summary")
    retention = (row.get("metadata") or {}).get("retention_id")
    return Project(
        row,
        list(harbor.pages(f"/projects/{number}/members")),
        list(harbor.pages("/robots", q=f"Level=project,ProjectID={number}")),
        harbor.find(f"/retentions/{retention}") if retention else None,
        list(harbor.pages(f"/projects/{number}/immutabletagrules")),
    )


def _installed(clients: Clients, kind: str) -> list[Object] | None:
    """Return the objects of a kind; none if the kind is not installed.

    The result is None if it is a kind of the platform's own resources that the account may not list.
    """
    try:
        return list(clients.clusters.home.list(kind))
    except SystemRefused as error:
        if error.status == 403 and kind in _OPTIONAL:
            return None
        if error.status != 404:
            raise
        return []


def _groups(clients: Clients, parent: str | None) -> Iterable[Representation]:
    """Return the groups among which the teams' groups are, and the platform's own ones."""
    full = {"briefRepresentation": "false"}
    top = list(clients.keycloak.pages("groups", **full))
    if parent is None:
        return top
    found = next((group for group in top if group["name"] == parent), None)
    below = clients.keycloak.pages(f"groups/{found['id']}/children", **full) if found else ()
    return [*top, *below]


def _by_namespace(found: Iterable[Object]) -> dict[str, list[Object]]:
    sorted_: dict[str, list[Object]] = defaultdict(list)
    for each in found:
        sorted_[each["metadata"]["namespace"]].append(each)
    return dict(sorted_)


def _by_name(found: Iterable[Object]) -> dict[str, dict[str, Object]]:
    return {
        namespace: {each["metadata"]["name"]: each for each in inside}
        for namespace, inside in _by_namespace(found).items()
    }


def annotations(found: Object) -> dict[str, str]:
    """Return the annotations of an object."""
    return dict(found["metadata"].get("annotations") or {})


def labels(found: Object) -> dict[str, str]:
    """Return the labels of an object."""
    return dict(found["metadata"].get("labels") or {})


def owned(found: Object) -> set[str]:
    """Return the labels and annotations that Tenantry has set, by the API server's record."""
    paths = objects.live(found).owned
    return {
        path[-1]
        for path in paths
        if path[:2] in (("metadata", "labels"), ("metadata", "annotations"))
    }
