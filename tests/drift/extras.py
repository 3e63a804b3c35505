"""Undeclared resources of every kind, with and without Tenantry's mark."""

from collections.abc import Iterator
from typing import Any

from tenantry.declared import Team
from tenantry.kinds import Kind
from tenantry.resources import Id
from tenantry.systems.harbor.kinds import IMMUTABLE_TAG_RULE, MEMBER, ROBOT
from tenantry.systems.istio.kinds import VIRTUAL_SERVICE
from tenantry.systems.keycloak.kinds import CLIENT, GROUP_MEMBER, IDENTITY_PROVIDER, MAPPER
from tenantry.systems.kubernetes.client import KINDS
from tenantry.systems.kubernetes.kinds import (
    LIMIT_RANGE,
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    SECRET,
)
from tenantry.systems.systems import Systems
from tests.drift.changes import create
from tests.drift.mutation import Act, Mutation
from tests.support.narrowing import present

_OURS = {"app.kubernetes.io/managed-by": "tenantry"}


def extras(team: Team) -> list[Mutation]:
    """Return undeclared resources, with and without Tenantry's mark."""
    return [*_extras_in_kubernetes(team), *_extras_in_keycloak(team), *_extras_in_harbor(team)]


def _extra(id: Id, act: Act, *, marked: bool = False) -> Mutation:
    return Mutation(f"add {id}", id, frozenset({f"extra {id}"}), act, is_remediated=marked)


def _extras_in_kubernetes(team: Team) -> Iterator[Mutation]:
    contents: dict[Kind, dict[str, Any]] = {
        ROLE_BINDING: {
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "admin",
            },
            "subjects": [],
        },
        SECRET: {"type": "Opaque", "data": {}},
        NETWORK_POLICY: {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}},
        RESOURCE_QUOTA: {"spec": {"hard": {"pods": "1000"}}},
        LIMIT_RANGE: {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
        VIRTUAL_SERVICE: {"spec": {"hosts": ["somebody-else.example.com"], "http": []}},
    }
    for kind, content in contents.items():
        for marked in (True, False):
            if not marked and kind != ROLE_BINDING:
                continue  # a team's own
            name = "once-ours" if marked else "by-hand"
            labels = {**_OURS, "tenantry.io/team": team.name} if marked else {}

            def act(
                systems: Systems,
                kind: str = kind.name,
                name: str = name,
                labels: dict[str, str] = labels,
                content: dict[str, Any] = content,
            ) -> None:
                metadata = {"name": name, "namespace": team.home_namespace, "labels": labels}
                head = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata}
                create(systems, {**head, **content})

            yield _extra(Id(kind, f"{team.home_namespace}/{name}"), act, marked=marked)


def _extras_in_keycloak(team: Team) -> Iterator[Mutation]:
    for marked in (True, False):
        name = team.client_id("once-ours" if marked else "by-hand")
        attributes = {**_OURS, "tenantry.io/team": team.name} if marked else {}

        def add_client(
            systems: Systems, name: str = name, attributes: dict[str, str] = attributes
        ) -> None:
            body = {"clientId": name, "attributes": attributes, "protocol": "openid-connect"}
            systems.keycloak_client.post("clients", body)

        yield _extra(Id(CLIENT, name), add_client, marked=marked)
        mapper = f"tenantry team-{team.name} once" if marked else "by hand"

        def add_mapper(systems: Systems, mapper: str = mapper) -> None:
            config = {
                "claims": '[{"key":"groups","value":"everybody"}]',
                "group": f"/{team.oidc_group}",
                "syncMode": "INHERIT",
            }
            body = {
                "name": mapper,
                "identityProviderAlias": "corp",
                "identityProviderMapper": "oidc-advanced-group-idp-mapper",
                "config": config,
            }
            systems.keycloak_client.post("identity-provider/instances/corp/mappers", body)

        id = Id(MAPPER, f"corp/{mapper}")
        yield _extra(id, add_mapper, marked=marked)

    def add_member(systems: Systems) -> None:
        client = systems.keycloak_client
        if not client.rows("users", username="mallory", exact="true"):
            client.post("users", {"username": "mallory", "enabled": True})
        (user,) = present(client.rows("users", username="mallory", exact="true"))
        groups = present(client.rows("groups", search=team.oidc_group, exact="true"))
        (group,) = (each for each in groups if each["name"] == team.oidc_group)
        client.put(f"users/{user['id']}/groups/{group['id']}")

    yield _extra(Id(GROUP_MEMBER, f"{team.oidc_group}/mallory"), add_member)

    def add_provider(systems: Systems) -> None:
        body = provider("by-hand")
        systems.keycloak_client.post("identity-provider/instances", body)

    yield _extra(Id(IDENTITY_PROVIDER, "by-hand"), add_provider)


def provider(alias: str) -> dict[str, Any]:
    """Return the representation of an external identity provider."""
    return {
        "alias": alias,
        "providerId": "oidc",
        "config": {
            "clientId": "keycloak",
            "clientSecret": "secret",
            "authorizationUrl": "https://idp.example.com/auth",
            "tokenUrl": "https://idp.example.com/token",
        },
    }


def _extras_in_harbor(team: Team) -> Iterator[Mutation]:
    def add_group(systems: Systems) -> None:
        number = systems.harbor.number(team.project)
        member = {"group_name": "somebody-else", "group_type": 3}
        body = {"role_id": 1, "member_group": member}
        systems.harbor_client.post(f"/projects/{number}/members", body)

    yield _extra(Id(MEMBER, f"{team.project}/somebody-else"), add_group)

    def add_rule(systems: Systems) -> None:
        number = systems.harbor.number(team.project)
        pattern = {"kind": "doublestar", "decoration": "matches", "pattern": "by-hand"}
        repositories = {"kind": "doublestar", "decoration": "repoMatches", "pattern": "**"}
        body = {
            "disabled": False,
            "action": "immutable",
            "template": "immutable_template",
            "tag_selectors": [pattern],
            "scope_selectors": {"repository": [repositories]},
        }
        systems.harbor_client.post(f"/projects/{number}/immutabletagrules", body)

    yield _extra(Id(IMMUTABLE_TAG_RULE, f"{team.project}/**:by-hand"), add_rule)
    for marked, name in ((True, "deploy-a"), (False, "by-hand")):

        def add_robot(systems: Systems, marked: bool = marked, name: str = name) -> None:
            access = [{"resource": "repository", "action": "pull"}]
            body = {
                "name": name,
                "description": "Managed by Tenantry" if marked else "",
                "level": "project",
                "duration": 30,
                "permissions": [{"kind": "project", "namespace": team.project, "access": access}],
            }
            systems.harbor_client.post("/robots", body)

        # Rotation retires the robots of a purpose that is no longer declared.
        yield _extra(Id(ROBOT, f"{team.project}/{name}"), add_robot)
