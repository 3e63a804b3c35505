"""Manual changes of declared fields, made through the APIs of the systems."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from tenantry.resources import Id, Observed, Path, Resource
from tenantry.systems.kubernetes.client import KINDS
from tenantry.systems.kubernetes.kinds import NAMESPACE_MARK, NETWORK_POLICY
from tenantry.systems.systems import Systems
from tests.drift.fields import other_value, value_at
from tests.drift.mutation import Act

OTHER_ROLES = {"developer": 1, "maintainer": 3, "projectAdmin": 3, "guest": 2}


def change_object(resource: Resource, path: Path, observed: Observed) -> Act:
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
    value = value_at(resource.fields, path)
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
    return other_value(value)


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
        return change_object(resource, path, observed)
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
        another = "low" if path[0] == "severity" and value != "low" else other_value(value)
        text = str(another).lower() if isinstance(another, bool) else another
        client.put(f"/projects/{number}", {"metadata": {keys.get(path[0], path[0]): text}})

    return act


def _change_member(resource: Resource, path: Path, observed: Observed) -> Act:
    role, row = OTHER_ROLES[resource.fields["role"]], observed.live[resource.id].handle

    def act(systems: Systems) -> None:
        systems.harbor_client.put(harbor_path(systems, resource.id, row), {"role_id": role})

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
        systems.harbor_client.put(harbor_path(systems, resource.id, row), body)

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
        systems.keycloak_client.put(keycloak_path(systems, resource.id, row), changed)

    return act


def _change_client(resource: Resource, path: Path, observed: Observed) -> Act:
    before = observed.live[resource.id].handle

    def act(systems: Systems) -> None:
        client = systems.keycloak_client
        address = f"clients/{before['id']}"
        if path[0] == "groups mapper":
            (mapper,) = (m for m in before["protocolMappers"] if m["name"] == "groups")
            changed = {**mapper, "config": dict(mapper["config"])}
            value = value_at(resource.fields, path)
            flipped = {"false": "true", "true": "false"}.get(value, f"{value}s")
            if path[-1] == "protocolMapper":
                flipped = "oidc-usermodel-realm-role-mapper"
            (changed if len(path) == 2 else changed["config"])[path[-1]] = flipped
            client.put(f"{address}/protocol-mappers/models/{mapper['id']}", changed)
            return
        value = value_at(resource.fields, path)
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


CHANGES: dict[str, Callable[[Resource, Path, Observed], Act]] = {
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


def harbor_path(systems: Systems, id: Id, row: Mapping[str, Any]) -> str:
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


def keycloak_path(systems: Systems, id: Id, handle: Any) -> str:
    match id.kind.name:
        case "group":
            return f"groups/{handle['id']}"
        case "group member":
            return str(handle)
        case "client":
            return f"clients/{handle['id']}"
    return f"identity-provider/instances/{id.key.split('/')[0]}/mappers/{handle['id']}"
