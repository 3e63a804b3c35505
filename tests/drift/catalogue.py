"""A catalogue of drift, derived from the resources themselves: manual changes in the systems.

For each resource of a team it has a deletion, and a mutation of each declared field. It also has
extras of every kind. All of them use the systems' APIs, so that they also work on real servers.
"""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tenantry.declared import Team
from tenantry.drift import Report
from tenantry.kinds import Kind
from tenantry.marks import parse
from tenantry.plan import Change
from tenantry.resources import MARK_PREFIXES, Exactly, Id, Observed, Path, Resource
from tenantry.systems.adapter import Adapter
from tenantry.systems.harbor.kinds import IMMUTABLE_TAG_RULE, MEMBER, PROJECT, ROBOT
from tenantry.systems.istio.kinds import VIRTUAL_SERVICE
from tenantry.systems.keycloak.kinds import CLIENT, GROUP, GROUP_MEMBER, IDENTITY_PROVIDER, MAPPER
from tenantry.systems.keycloak.team import client_id
from tenantry.systems.kubernetes.client import KINDS
from tenantry.systems.kubernetes.kinds import (
    LIMIT_RANGE,
    NAMESPACE,
    NAMESPACE_MARK,
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    SECRET,
    SERVICE_ACCOUNT,
)
from tenantry.systems.systems import Systems

Act = Callable[[Systems], None]
OTHER_ROLES = {"developer": 1, "maintainer": 3, "projectAdmin": 3, "guest": 2}
_OURS = {"app.kubernetes.io/managed-by": "tenantry"}


@dataclass(frozen=True, repr=False)
class Mutation:
    """A manual change in a system.

    Attributes:
        name: a description of the change.
        id: the changed resource.
        expected: the expected findings, each in the form `class id`.
        act: makes the change.
        is_remediated: whether `remediate=all` reverts it. If not, the finding stays until the
            resource is removed by name or adopted.
        alone: whether the change also affects other resources.
    """

    name: str
    id: Id
    expected: frozenset[str]
    act: Act
    is_remediated: bool = True
    alone: bool = False

    def __repr__(self) -> str:
        return self.name


def findings_of(report: Report) -> set[str]:
    """Return the findings of a report, each in the form `class id`."""
    return {f"{finding.class_} {finding.resource}" for finding in report.findings}


def consequences(done: Sequence[Mutation], wanted: Sequence[Resource]) -> set[str]:
    """Return the findings that follow from mutations: a Secret breaks if its issuer is changed."""
    touched = {finding.split(" ", 1)[1] for each in done for finding in each.expected}
    return {
        f"broken {resource.id}"
        for resource in wanted
        if resource.id.kind == SECRET and not touched.isdisjoint(map(str, resource.depends_on))
    }


def mutations(systems: Systems, team: Team, observed: Observed) -> list[Mutation]:
    """Return all changes that can be made by hand to a team's declared resources."""
    found: list[Mutation] = []
    for resource in systems.desired(team, observed):
        if resource.id not in observed.live:
            continue  # it waits
        found += _deletion(resource, systems, team, observed)
        for path in leaves(resource.fields):
            found += _change(resource, path, systems, observed)
    return found


def leaves(fields: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the declared fields."""
    value = fields.value if isinstance(fields, Exactly) else fields
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from leaves(below, (*path, key))
    else:
        yield path


def _reach(fields: Any, path: Path) -> Any:
    for step in path:
        fields = (fields.value if isinstance(fields, Exactly) else fields)[step]
    return fields.value if isinstance(fields, Exactly) else fields


def _with_other(fields: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the fields with another value at a path."""
    key, *rest = path
    value = _with_other(fields[key], tuple(rest)) if rest else other(fields[key])
    return {**fields, key: value}


def other(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list | tuple):
        if value and isinstance(value[-1], Mapping):
            return [*value[:-1], _with_another_end(value[-1])]
        return [*value, "another"] if value else ["another"]
    text = str(value)
    number = text.rstrip("KMGTPEimnuk")
    if number.isdigit():
        return f"{int(number) * 2}{text[len(number) :]}"
    if parse(text) is not None:
        return "by hand"  # another team's mark would make it foreign
    return f"{text}x"


def _with_another_end(value: Any) -> Any:
    """Return the value with its last element changed."""
    if isinstance(value, Mapping) and value:
        key = list(value)[-1]
        return {**value, key: _with_another_end(value[key])}
    if isinstance(value, list | tuple) and value:
        return [*value[:-1], _with_another_end(value[-1])]
    return other(value)


# Deletions


def _deletion(
    resource: Resource, systems: Systems, team: Team, observed: Observed
) -> Iterator[Mutation]:
    id, handle = resource.id, observed.live[resource.id].handle
    expected, alone = {f"missing {id}"}, False
    if adapter := _other_adapter(systems, id):
        deletion = Change("delete", Resource(id, {}), (), observed.live[id])
        yield Mutation(f"delete {id}", id, frozenset(expected), _applied(adapter.name, deletion))
        return
    if id.kind in (NAMESPACE_MARK, SERVICE_ACCOUNT):
        return  # part of the namespace, or Kubernetes re-creates it
    if id.kind in (NAMESPACE, PROJECT, GROUP):
        alone = True
        inside = [r for r in systems.desired(team, observed) if _lies_in(r, id)]
        expected |= {f"missing {r.id}" for r in inside if r.id in observed.live}

    def act(systems: Systems) -> None:
        if id.system in ("kubernetes", "istio"):
            namespace, _, name = id.key.rpartition("/")
            live = systems.home_cluster.get(id.kind.name, name, namespace or None)
            assert live is not None
            uid = live["metadata"]["uid"]
            systems.home_cluster.delete(id.kind.name, name, namespace or None, uid)
            if id.kind == NAMESPACE:
                while systems.home_cluster.get(id.kind.name, name):
                    time.sleep(0.05)
        elif id.system == "keycloak":
            systems.keycloak_client.delete(_keycloak_path(systems, id, handle))
        else:
            systems.harbor_client.delete(_harbor_path(systems, id, handle))

    yield Mutation(f"delete {id}", id, frozenset(expected), act, alone=alone)


def _other_adapter(systems: Systems, id: Id) -> Adapter[Team] | None:
    """Return the adapter of a kind that is not changed by hand below."""
    known = (
        systems.kubernetes,
        systems.istio,
        systems.keycloak,
        systems.harbor,
        systems.credentials,
    )
    others = [each for each in systems.team_adapters if each not in known]
    return next((each for each in others if id.kind in each.kinds), None)


def _applied(name: str, change: Change) -> Act:
    """Return an action that applies a change through an adapter, like a person by hand."""

    def act(systems: Systems) -> None:
        (adapter,) = (each for each in systems.team_adapters if each.name == name)
        adapter.apply(change, Observed())

    return act


def _lies_in(resource: Resource, id: Id) -> bool:
    if id.kind == NAMESPACE:
        namespace = resource.id.key.split("/")[0]
        return resource.id.system in ("kubernetes", "istio") and namespace == id.key
    return resource.owner == id or (id in resource.depends_on and resource.id.kind == GROUP_MEMBER)


# Changes


def _change(
    resource: Resource, path: Path, systems: Systems, observed: Observed
) -> Iterator[Mutation]:
    id, field = resource.id, ".".join(path)
    if id.kind == GROUP_MEMBER:
        return  # it has no fields that can be changed
    if path == ("roleRef", "apiGroup") or (id.kind == ROBOT and path == ("expiry",)):
        return  # no other value exists, or only the duration can be set
    if path == ("groups mapper", "protocol"):
        return  # Keycloak always keeps the client's protocol
    broken = path[0] in id.kind.health_fields
    expected = {f"{'broken' if broken else 'changed'} {id}"}
    marks = path[-1] == MARK_PREFIXES[0]
    if adapter := _other_adapter(systems, id):
        changed = replace(resource, fields=_with_other(resource.fields, path))
        act = _applied(adapter.name, Change("update", changed, (), observed.live[id]))
    else:
        act = _CHANGES.get(id.kind.name, _change_object)(resource, path, observed)
    yield Mutation(
        f"{id} {field}", id, frozenset(expected), act, is_remediated=not marks, alone=marks
    )


def _change_object(resource: Resource, path: Path, observed: Observed) -> Act:
    """Return an action that changes a field of a Kubernetes object."""
    id = resource.id
    kind = "Namespace" if id.kind == NAMESPACE_MARK else id.kind.name
    value = _other_object_value(resource, path)

    def act(systems: Systems) -> None:
        namespace, _, name = id.key.rpartition("/")
        body: Any = value
        for step in reversed(path):
            body = {step: body}
        if path[0] == "roleRef" or (kind == "Secret" and path == ("type",)):
            remake(systems, kind, name, namespace, body)
        else:
            patch(systems, kind, name, namespace or None, body)

    return act


def patch(systems: Systems, kind: str, name: str, namespace: str | None, body: Any) -> None:
    """Apply a merge patch with another field manager."""
    path, query = KINDS[kind].path(namespace, name), {"fieldManager": "somebody-else"}
    client = systems.home_cluster
    client._call("PATCH", path, query, body, "application/merge-patch+json")


def create(systems: Systems, body: dict[str, Any]) -> None:
    """Create an object with another field manager."""
    path = KINDS[body["kind"]].path(body["metadata"].get("namespace"))
    query = {"fieldManager": "somebody-else"}
    systems.home_cluster._call("POST", path, query, body, "application/json")


def remake(systems: Systems, kind: str, name: str, namespace: str, body: Any) -> None:
    """Delete and re-create an object with another value of an immutable field."""
    client = systems.home_cluster
    live = client.get(kind, name, namespace)
    assert live is not None
    client.delete(kind, name, namespace, live["metadata"]["uid"])
    kept = ("labels", "annotations", "name", "namespace")
    metadata = {key: live["metadata"][key] for key in kept if key in live["metadata"]}
    rest = {key: value for key, value in live.items() if key != "status"}
    for key, part in body.items():
        both = isinstance(part, Mapping) and isinstance(rest.get(key), Mapping)
        rest[key] = {**rest[key], **part} if both else part
    create(systems, {**rest, "metadata": metadata})


def _other_object_value(resource: Resource, path: Path) -> Any:
    value = _reach(resource.fields, path)
    if path == ("roleRef", "name"):
        return "view"
    if path == ("roleRef", "kind"):
        return "Role"
    if path[-1] == "podSelector":
        return {"matchLabels": {"somebody": "else"}}
    if path[-1] == "policyTypes":
        return ["Egress"] if "Ingress" in value and len(value) > 1 else ["Ingress", "Egress"]
    if path[-1] in ("ingress", "egress") and resource.id.kind == NETWORK_POLICY:
        return [] if value else [{}]
    if path[-1] == "pod-security.kubernetes.io/enforce":
        return "privileged" if value != "privileged" else "baseline"
    if path[-1] == "istio-injection":
        return "disabled" if value == "enabled" else "enabled"
    if path[0] == "imagePullSecrets":
        return None
    if path == ("type",):
        return "example.com/other"
    return other(value)


def _change_account(resource: Resource, path: Path, observed: Observed) -> Act:
    def act(systems: Systems) -> None:
        namespace, _, name = resource.id.key.rpartition("/")
        live = systems.home_cluster.get("ServiceAccount", name, namespace)
        assert live is not None
        kept = [each for each in live["imagePullSecrets"] if each["name"] != path[-1]]
        patch(systems, "ServiceAccount", name, namespace, {"imagePullSecrets": kept})

    return act


def _change_secret(resource: Resource, path: Path, observed: Observed) -> Act:
    if path[0] in ("metadata", "type"):
        return _change_object(resource, path, observed)
    namespace, _, name = resource.id.key.rpartition("/")

    def act(systems: Systems) -> None:
        live = systems.home_cluster.get("Secret", name, namespace)
        assert live is not None
        data = {key: base64.b64decode(value).decode() for key, value in live["data"].items()}
        if ".dockerconfigjson" not in data:
            data[path[0]] = data.get(path[0], "") + "x"
        else:
            ((host, entry),) = json.loads(data[".dockerconfigjson"])["auths"].items()
            host += "x" if path[0] == "registry" else ""
            part = {"username": "username", "credential": "password"}.get(path[0])
            entry |= {part: f"{entry[part]}x"} if part else {}
            data[".dockerconfigjson"] = json.dumps({"auths": {host: entry}})
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        patch(systems, "Secret", name, namespace, {"data": encoded})

    return act


def _change_project(resource: Resource, path: Path, observed: Observed) -> Act:
    keys = {"prevent_vulnerable": "prevent_vul", "require_cosign": "enable_content_trust_cosign"}

    def act(systems: Systems) -> None:
        number = systems.harbor.number(resource.id.key)
        client, value = systems.harbor_client, resource.fields[path[0]]
        if path[0] == "storage_quota":
            (quota,) = client.rows("/quotas", reference="project", reference_id=number)
            client.put(f"/quotas/{quota['id']}", {"hard": {"storage": 12345678}})
            return
        another = "low" if path[0] == "severity" and value != "low" else other(value)
        text = str(another).lower() if isinstance(another, bool) else another
        client.put(f"/projects/{number}", {"metadata": {keys.get(path[0], path[0]): text}})

    return act


def _change_member(resource: Resource, path: Path, observed: Observed) -> Act:
    role, row = OTHER_ROLES[resource.fields["role"]], observed.live[resource.id].handle

    def act(systems: Systems) -> None:
        systems.harbor_client.put(_harbor_path(systems, resource.id, row), {"role_id": role})

    return act


def _change_robot(resource: Resource, path: Path, observed: Observed) -> Act:
    def act(systems: Systems) -> None:
        row = systems.harbor_client.get(f"/robots/{observed.live[resource.id].handle['id']}")
        change: dict[str, Any] = {"disable": True}
        if path[0] == "access":
            permission = row["permissions"][0]
            more = {"resource": "tag", "action": "delete"}
            change = {"permissions": [{**permission, "access": [*permission["access"], more]}]}
        elif path[0] == "lifetime":
            change = {"duration": 3 if row["duration"] < 0 else -1}
        elif path[0] == "description":
            change = {"description": "changed by hand"}
        systems.harbor_client.put(f"/robots/{row['id']}", {**row, **change})

    return act


def _change_retention(resource: Resource, path: Path, observed: Observed) -> Act:
    def act(systems: Systems) -> None:
        policy = observed.live[resource.id].handle
        if path[0] == "schedule":
            settings = {**policy["trigger"]["settings"], "cron": "0 0 5 * * *"}
            changed = {**policy, "trigger": {**policy["trigger"], "settings": settings}}
        else:
            changed = {**policy, "rules": policy["rules"][:1]}
            rule = dict(changed["rules"][0])
            (template,) = rule["params"]
            changed["rules"] = [{**rule, "params": {template: rule["params"][template] + 1}}]
        systems.harbor_client.put(f"/retentions/{policy['id']}", changed)

    return act


def _change_immutable(resource: Resource, path: Path, observed: Observed) -> Act:
    row = observed.live[resource.id].handle

    def act(systems: Systems) -> None:
        body = {**row, "disabled": True}
        systems.harbor_client.put(_harbor_path(systems, resource.id, row), body)

    return act


def _change_group(resource: Resource, path: Path, observed: Observed) -> Act:
    group = observed.live[resource.id].handle

    def act(systems: Systems) -> None:
        attributes = {**group["attributes"], path[-1]: ["somebody-else"]}
        body = {"name": group["name"], "attributes": attributes}
        systems.keycloak_client.put(f"groups/{group['id']}", body)

    return act


def _change_mapper(resource: Resource, path: Path, observed: Observed) -> Act:
    row = observed.live[resource.id].handle

    def act(systems: Systems) -> None:
        changed = {**row, "config": dict(row["config"])}
        values = {
            "identityProviderMapper": "oidc-hardcoded-group-idp-mapper",
            "claims": '[{"key":"groups","value":"everybody"}]',
            "are.claim.values.regex": "false",
            "syncMode": "FORCE",
        }
        place = changed if len(path) == 1 else changed["config"]
        place[path[-1]] = values.get(path[-1], f"{place[path[-1]]}x")
        systems.keycloak_client.put(_keycloak_path(systems, resource.id, row), changed)

    return act


def _change_client(resource: Resource, path: Path, observed: Observed) -> Act:
    before = observed.live[resource.id].handle

    def act(systems: Systems) -> None:
        client = systems.keycloak_client
        address = f"clients/{before['id']}"
        if path[0] == "groups mapper":
            (mapper,) = (m for m in before["protocolMappers"] if m["name"] == "groups")
            changed = {**mapper, "config": dict(mapper["config"])}
            value = _reach(resource.fields, path)
            flipped = {"false": "true", "true": "false"}.get(value, f"{value}s")
            if path[-1] == "protocolMapper":
                flipped = "oidc-usermodel-realm-role-mapper"
            (changed if len(path) == 2 else changed["config"])[path[-1]] = flipped
            client.put(f"{address}/protocol-mappers/models/{mapper['id']}", changed)
            return
        value = _reach(resource.fields, path)
        if path[0] == "protocol":
            value = "saml"
        elif path[0] in ("redirectUris", "webOrigins"):
            value = [*value, "https://somebody-else.example.com"]
        elif path[0] == "attributes":
            plain = {"pkce.code.challenge.method": "S256" if value == "" else "plain"}
            uris = {"post.logout.redirect.uris": "https://somebody-else.example.com"}
            value = (plain | uris).get(path[-1], "somebody-else")
        else:
            value = not value
        if len(path) == 1:
            client.put(address, {**before, path[0]: value})
        else:
            attributes = {**before["attributes"], path[-1]: value}
            client.put(address, {**before, "attributes": attributes})

    return act


_CHANGES: dict[str, Callable[[Resource, Path, Observed], Act]] = {
    "ServiceAccount": _change_account,
    "Secret": _change_secret,
    "project": _change_project,
    "member": _change_member,
    "robot": _change_robot,
    "retention policy": _change_retention,
    "immutable-tag rule": _change_immutable,
    "group": _change_group,
    "identity provider mapper": _change_mapper,
    "client": _change_client,
}


def _harbor_path(systems: Systems, id: Id, row: Mapping[str, Any]) -> str:
    number = systems.harbor.number(id.key.split("/")[0])
    match id.kind.name:
        case "project":
            return f"/projects/{number}"
        case "member":
            return f"/projects/{number}/members/{row['id']}"
        case "robot":
            return f"/robots/{row['id']}"
        case "retention policy":
            return f"/retentions/{row['id']}"
    return f"/projects/{number}/immutabletagrules/{row['id']}"


def _keycloak_path(systems: Systems, id: Id, handle: Any) -> str:
    match id.kind.name:
        case "group":
            return f"groups/{handle['id']}"
        case "group member":
            return str(handle)
        case "client":
            return f"clients/{handle['id']}"
    return f"identity-provider/instances/{id.key.split('/')[0]}/mappers/{handle['id']}"


# Extras


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
                metadata = {"name": name, "namespace": team.slug, "labels": labels}
                head = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata}
                create(systems, {**head, **content})

            yield _extra(Id(kind, f"{team.slug}/{name}"), act, marked=marked)


def _extras_in_keycloak(team: Team) -> Iterator[Mutation]:
    for marked in (True, False):
        name = client_id(team, "once-ours" if marked else "by-hand")
        attributes = {**_OURS, "tenantry.io/team": team.name} if marked else {}

        def add_client(
            systems: Systems, name: str = name, attributes: dict[str, str] = attributes
        ) -> None:
            body = {"clientId": name, "attributes": attributes, "protocol": "openid-connect"}
            systems.keycloak_client.post("clients", body)

        yield _extra(Id(CLIENT, name), add_client, marked=marked)
        mapper = f"tenantry {team.slug} once" if marked else "by hand"

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
        (user,) = client.rows("users", username="mallory", exact="true")
        groups = client.rows("groups", search=team.oidc_group, exact="true")
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
        number = systems.harbor.number(team.slug)
        member = {"group_name": "somebody-else", "group_type": 3}
        body = {"role_id": 1, "member_group": member}
        systems.harbor_client.post(f"/projects/{number}/members", body)

    yield _extra(Id(MEMBER, f"{team.slug}/somebody-else"), add_group)

    def add_rule(systems: Systems) -> None:
        number = systems.harbor.number(team.slug)
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

    yield _extra(Id(IMMUTABLE_TAG_RULE, f"{team.slug}/**:by-hand"), add_rule)
    for marked, name in ((True, "deploy-a"), (False, "by-hand")):

        def add_robot(systems: Systems, marked: bool = marked, name: str = name) -> None:
            access = [{"resource": "repository", "action": "pull"}]
            body = {
                "name": name,
                "description": "Managed by Tenantry" if marked else "",
                "level": "project",
                "duration": 30,
                "permissions": [{"kind": "project", "namespace": team.slug, "access": access}],
            }
            systems.harbor_client.post("/robots", body)

        # Rotation retires the robots of a purpose that is no longer declared.
        yield _extra(Id(ROBOT, f"{team.slug}/{name}"), add_robot)
