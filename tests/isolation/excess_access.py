"""Objects that give a team access beyond its own: rights, hosts, addresses, names at a provider.

An object of a team can harm others although their objects do not change: for example a role binding
to `cluster-admin`, or a route for another team's host.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.isolation.snapshot import Everything, Names, Part

OTHERS_HOSTS = frozenset({"shop.example.com", "registry.example.com", "lab.example.com"})
"""Hosts of bystanders and of the platform."""
ALLOWED_LABELS = frozenset(
    {
        "kubernetes.io/metadata.name",
        "app.kubernetes.io/managed-by",
        "istio-injection",
        "istio.io/rev",
        *(f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")),
        *(f"tenantry.io/{name}" for name in ("team", "platform", "mark", "cluster")),
    }
)
"""The labels that Tenantry sets."""
RESERVED = ("kubernetes.io", "k8s.io", "istio.io", "tenantry.io")


def excess_access(before: Everything, after: Everything, names: Names) -> Iterator[str]:
    """Yield the rights, hosts and addresses in new objects of the teams that are not theirs alone."""
    for part, text in after.items():
        if part in before or not names.own(part):
            continue
        match part:
            case ("kubernetes", "RoleBinding", *_):
                yield from _wrong_binding(json.loads(text), names)
            case ("kubernetes", "Namespace", *_):
                yield from _wrong_labels(json.loads(text))
            case ("kubernetes", "VirtualService" | "HTTPRoute", *_):
                yield from _wrong_hosts(json.loads(text), names)
            case ("keycloak", _, "clients", _):
                yield from _wrong_addresses(json.loads(text))
            case ("keycloak", _, "provider_mappers", _):
                yield from _wrong_claims(part, text, after)
            case ("harbor", "robots", _):
                yield from _wrong_permissions(json.loads(text))
            case ("harbor", "projects", _):
                yield from _wrong_members(json.loads(text), after)


def _wrong_binding(binding: Any, names: Names) -> Iterator[str]:
    role = binding["roleRef"]["name"]
    subjects = [subject["name"] for subject in binding["subjects"]]
    if role != "tenantry-team-member" or not names.slugs.issuperset(subjects):
        yield f"a role binding gives {role} to {subjects}"


def _wrong_labels(namespace: Any) -> Iterator[str]:
    labels = namespace["metadata"].get("labels", {})
    for key in {**labels, **namespace["metadata"].get("annotations", {})}:
        domain = key.partition("/")[0]
        is_reserved = any(domain == d or domain.endswith(f".{d}") for d in RESERVED)
        if is_reserved and key not in ALLOWED_LABELS and not key.startswith("tenantry.io/"):
            yield f"a namespace has {key}"
    if labels.get("pod-security.kubernetes.io/enforce") == "privileged":
        yield "a namespace has privileged pods"


def _covers(host: str) -> bool:
    return any(host == o or (host.startswith("*") and o.endswith(host[1:])) for o in OTHERS_HOSTS)


def _wrong_hosts(route: Any, names: Names) -> Iterator[str]:
    spec = route["spec"]
    hosts = spec.get("hosts") or spec.get("hostnames") or []
    if wrong := [host for host in hosts if _covers(host)]:
        yield f"a route takes the hosts {wrong}"
    for gateway in spec.get("gateways", []):
        if gateway not in ("istio-ingress/public", "mesh", *(f"{n}/x" for n in names.namespaces)):
            yield f"a route uses the Gateway {gateway}"


def _wrong_addresses(client: Any) -> Iterator[str]:
    logout = client.get("attributes", {}).get("post.logout.redirect.uris", "")
    for address in [*client.get("redirectUris", []), *filter(None, logout.split("##"))]:
        if address in ("+", "-") or re.match("/(?!/)", address):
            # The redirect URIs; none; or a path, which Keycloak interprets as its own.
            continue
        parts = urlsplit(address)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or "*" in parts.netloc:
            yield f"logins return to {address}"
        if _covers(host) or parts.username is not None:
            yield f"logins return to {address}"


def _wrong_claims(part: Part, text: str, after: Everything) -> Iterator[str]:
    claims = json.loads(text)["config"].get("claims")
    for other, held in after.items():
        is_mapper = other[:3] == part[:3] and other != part
        if is_mapper and claims and json.loads(held)["config"].get("claims") == claims:
            yield f"the names of {part[3]} are those of {other[3]}: {claims}"


def _wrong_permissions(robot: Any) -> Iterator[str]:
    for permission in robot["permissions"]:
        if permission["kind"] != "project" or permission["namespace"] != robot["project_id"]:
            yield f"robot {robot['name']} has permissions in {permission['namespace']}"
        for resource, action in permission["access"]:
            if resource in ("robot", "member", "project") and action not in ("read", "list"):
                yield f"robot {robot['name']} may {action} a {resource}"


def _wrong_members(project: Any, after: Everything) -> Iterator[str]:
    groups = {
        json.loads(text)["id"]: part[2]
        for part, text in after.items()
        if part[:2] == ("harbor", "groups")
    }
    for member in project["members"].values():
        if member["role_id"] == 1 and member["entity_type"] == "g":
            name = groups.get(member["entity_id"])
            if name != "all-teams-admin":
                yield f"group {name} is an administrator of the project"
