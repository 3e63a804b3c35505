"""Removes every mark of Tenantry from the systems, through their APIs.

Afterwards the objects look as if other people had made them by hand: no labels, annotations,
attributes, descriptions and field managers of Tenantry. This is the state after a disaster in which
the marks are lost, and the state of a platform that somebody else built in the same way.
"""

from typing import Any

from tenantry.marks import PRODUCT
from tenantry.resources import MARK_PREFIXES
from tenantry.systems.keycloak.client import KeycloakClient, Representation
from tenantry.systems.kubernetes.client import KINDS
from tenantry.systems.kubernetes.namespaces import MEMBER_ROLE
from tenantry.systems.systems import Systems
from tests.drift.changes import patch

_DESCRIPTION = "Managed by Tenantry"
_MAPPER = "tenantry "


def remove_marks(systems: Systems, only: str = "") -> int:
    """Remove all marks, and return the number of objects that carried one.

    Names stay, such as those of NetworkPolicies and of mappers: by them the objects are declared.

    Args:
        systems: the systems.
        only: a text that the names of the objects contain, or the names of their namespaces or
            projects; all objects if empty. The ClusterRole of all teams belongs to the latter.
    """
    return (
        _unmark_cluster(systems, only)
        + _unmark_harbor(systems, only)
        + _unmark_keycloak(systems.keycloak_client, only)
    )


def rename_mappers(systems: Systems) -> int:
    """Rename the mappers of external providers, so that none has a name of Tenantry.

    Returns:
        The number of mappers.
    """
    keycloak = systems.keycloak_client
    found = 0
    for provider in keycloak.rows("identity-provider/instances") or ():
        path = f"identity-provider/instances/{provider['alias']}/mappers"
        for mapper in keycloak.rows(path) or ():
            if mapper["name"].startswith(_MAPPER):
                name = f"add {mapper['name'].removeprefix(_MAPPER)}"
                keycloak.put(f"{path}/{mapper['id']}", {**mapper, "name": name})
                found += 1
    return found


# Kubernetes and Istio


def _unmark_cluster(systems: Systems, only: str) -> int:
    found = 0
    for kind in KINDS:
        for live in list(systems.home_cluster.list(kind)):
            metadata = live["metadata"]
            name, namespace = metadata["name"], metadata.get("namespace")
            if only not in f"{namespace}/{name}" or (only and name == MEMBER_ROLE):
                continue
            managers = {entry.get("manager") for entry in metadata.get("managedFields") or ()}
            lost = {
                part: dict.fromkeys(keys)
                for part in ("labels", "annotations")
                if (keys := [key for key in metadata.get(part) or {} if _is_mark(key)])
            }
            if not lost and PRODUCT not in managers:
                continue
            # An empty entry makes the API server forget who wrote which field.
            body = {"metadata": {**lost, "managedFields": [{}]}}
            patch(systems, kind, name, namespace, body)
            found += 1
    return found


def _is_mark(key: str) -> bool:
    return key.startswith(MARK_PREFIXES)


# Harbor


def _unmark_harbor(systems: Systems, only: str) -> int:
    harbor = systems.harbor_client
    found = 0
    for project in list(harbor.pages("/projects")):
        if only not in project["name"]:
            continue
        query = {"q": f"Level=project,ProjectID={project['project_id']}"}
        for robot in list(harbor.pages("/robots", **query)):
            if str(robot.get("description")).startswith(_DESCRIPTION):
                harbor.put(f"/robots/{robot['id']}", {**robot, "description": ""})
                found += 1
    return found


# Keycloak


def _unmark_keycloak(keycloak: KeycloakClient, only: str) -> int:
    found = 0
    for client in list(keycloak.pages("clients")):
        if only in client["clientId"] and _has_mark(client.get("attributes")):
            # Keycloak removes an attribute of a client whose value is empty.
            attributes = {key: "" for key in client["attributes"] if _is_mark(key)}
            body = {**client, "attributes": {**client["attributes"], **attributes}}
            keycloak.put(f"clients/{client['id']}", body)
            found += 1
    for group in _groups(keycloak):
        if only in group["name"] and _has_mark(group.get("attributes")):
            kept = {key: value for key, value in group["attributes"].items() if not _is_mark(key)}
            keycloak.put(f"groups/{group['id']}", {**group, "attributes": kept})
            found += 1
    return found


def _groups(keycloak: KeycloakClient) -> list[Representation]:
    """Return the groups of the realm, and their children, with their attributes."""
    found: list[Representation] = []
    for group in list(keycloak.pages("groups", briefRepresentation="false")):
        below = list(keycloak.pages(f"groups/{group['id']}/children", briefRepresentation="false"))
        found += [group, *below]
    return found


def _has_mark(attributes: dict[str, Any] | None) -> bool:
    return any(map(_is_mark, attributes or {}))
