"""Declares the platform: the settings that all teams share."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tenantry.declared import Platform
from tenantry.declared.rewriting import dump
from tenantry.importing.drafts import Draft, claim_of
from tenantry.importing.realm import external_names
from tenantry.importing.snapshot import Snapshot
from tenantry.systems.credentials.contents import host_of
from tenantry.systems.kubernetes.namespaces import BINDING

Data = dict[str, Any]

_METADATA_NAME = "kubernetes.io/metadata.name"


def shared(snapshot: Snapshot, realm: str, id: str | None, drafts: Sequence[Draft]) -> Data:
    """Return the settings that the teams' declarations depend on."""
    data: Data = {"name": "platform", **({"id": id} if id else {})}
    data["keycloak"] = {"realm": realm}
    if providers := _providers(snapshot, drafts):
        data["keycloak"]["external_providers"] = providers
    data["kubernetes"] = _kubernetes(snapshot, drafts)
    data["mesh"] = _mesh(snapshot, drafts)
    return {key: value for key, value in data.items() if value}


def additions(whole: Data, given: Data) -> str:
    """Return the lines that a `platform.yaml` lacks, as YAML; empty if it lacks none.

    Args:
        whole: the content of the file with what the systems have.
        given: the content of the file.
    """
    usual = Platform.model_validate(given).model_dump(mode="json")
    found = _beyond(whole, given, usual)
    return dump(found) if found else ""


def _beyond(whole: Data, given: Data, usual: Any) -> Data:
    found: Data = {}
    for key, value in whole.items():
        default = usual.get(key) if isinstance(usual, dict) else None
        if key not in given:
            found |= {key: value} if value != default else {}
        elif isinstance(value, dict) and isinstance(given[key], dict):
            below = _beyond(value, given[key], default)
            found |= {key: below} if below else {}
    return found


def usual_registry(snapshot: Snapshot) -> str:
    """Return the registry host that Harbor itself names."""
    return host_of(snapshot.registry)


def most_common(values: Iterable[Any]) -> Any:
    """Return the most common value; None if there are no values."""
    counted = Counter(json.dumps(value, sort_keys=True) for value in values if value is not None)
    return json.loads(counted.most_common(1)[0][0]) if counted else None


def _peers(
    snapshot: Snapshot, drafts: Sequence[Draft], policy: str, direction: str, side: str
) -> list[Data]:
    """Return the first peer of a policy of Tenantry in each first namespace."""
    found: list[Data] = []
    for each in drafts:
        for live in snapshot.of("NetworkPolicy", each.found.namespace or ""):
            if live["metadata"]["name"] == policy:
                rules = (live.get("spec") or {}).get(direction) or [{}]
                found += (rules[0].get(side) or [])[:1]
    return found


def _namespace_of(peer: Data) -> str | None:
    labels = (peer.get("namespaceSelector") or {}).get("matchLabels") or {}
    return labels.get(_METADATA_NAME)


def _kubernetes(snapshot: Snapshot, drafts: Sequence[Draft]) -> Data:
    dns = _peers(snapshot, drafts, "tenantry-allow-dns", "egress", "to")
    labels = [(peer.get("podSelector") or {}).get("matchLabels") for peer in dns]
    found = {
        "dns_namespace": most_common(_namespace_of(peer) for peer in dns),
        "dns_labels": most_common(labels),
        "group_prefix": most_common(_prefixes(snapshot, drafts)),
    }
    usual: Data = {
        "dns_namespace": "kube-system",
        "dns_labels": {"k8s-app": "kube-dns"},
        "group_prefix": "",
    }
    return {key: value for key, value in found.items() if value not in (None, usual[key])}


def _prefixes(snapshot: Snapshot, drafts: Sequence[Draft]) -> Iterable[str]:
    for each in drafts:
        group = each.found.group or each.found.usual_group
        for live in snapshot.of("RoleBinding", each.found.namespace or ""):
            for subject in live.get("subjects") or ():
                name = str(subject.get("name"))
                named = live["metadata"]["name"] == BINDING and subject.get("kind") == "Group"
                if named and name.endswith(group):
                    yield name.removesuffix(group)


def _mesh(snapshot: Snapshot, drafts: Sequence[Draft]) -> Data:
    control = _peers(snapshot, drafts, "tenantry-allow-mesh", "egress", "to")
    gateway = _peers(snapshot, drafts, "tenantry-allow-gateway", "ingress", "from")
    routes = [route for each in drafts for route in each.data["routes"].values()]
    found = {
        "control_plane_namespace": most_common(map(_namespace_of, control)),
        "gateway_namespace": most_common(map(_namespace_of, gateway)),
        "gateway": most_common(route["gateway"] for route in routes),
        "route_kind": most_common(route["kind"] for route in routes),
    }
    usual = {
        "control_plane_namespace": "istio-system",
        "gateway_namespace": "istio-ingress",
        "gateway": "istio-ingress/public",
        "route_kind": "VirtualService",
    }
    return {key: value for key, value in found.items() if value not in (None, usual[key])}


def _providers(snapshot: Snapshot, drafts: Sequence[Draft]) -> Data:
    """Return the external providers whose mappers Tenantry wrote for the teams' groups."""
    groups = {each.found.group for each in drafts if each.found.group}
    found: Data = {}
    for alias, mappers in snapshot.mappers.items():
        own = {
            path.rsplit("/", 1)[-1]: mapper
            for mapper in mappers
            if str(mapper.get("name")).startswith("tenantry ")
            and (path := str((mapper.get("config") or {}).get("group") or ""))
        }
        own = {group: mapper for group, mapper in own.items() if group in groups}
        if not own:
            continue
        data: Data = {}
        claim = most_common(map(claim_of, own.values()))
        if claim != "groups":
            data["groups_claim"] = claim
        template = most_common(
            names[0].replace(group, "{group}")
            for group, mapper in own.items()
            if (names := external_names(mapper, claim)) and group in names[0]
        )
        if template not in (None, "{group}"):
            data["group_name"] = template
        if any(
            "(?i)" in str((mapper.get("config") or {}).get("claims")) for mapper in own.values()
        ):
            data["ignore_case"] = True
        found[alias] = data
    return found
