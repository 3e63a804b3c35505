"""Declares the platform's own resources in the mesh: Gateways, and Harbor's routes and policies."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tenantry.errors import SystemRefused
from tenantry.importing.notes import Note, quoted
from tenantry.importing.snapshot import Snapshot, labels
from tenantry.systems.clients import Clients
from tenantry.systems.istio.tokens import NAME
from tenantry.systems.kubernetes.client import Object
from tenantry.systems.kubernetes.kinds import GATEWAY_API

Data = dict[str, Any]

HARBOR = "harbor"
"""The name of Harbor's route."""
_APIS = {"Gateway": "istio", GATEWAY_API: "gateway-api"}
_ODD = (LookupError, TypeError, ValueError, AttributeError)
"""What reading a spec of another form raises."""


def gateways(
    snapshot: Snapshot, of_teams: Collection[str]
) -> Iterator[tuple[str, Data | None, Note | None]]:
    """Yield the Gateways outside of the teams' namespaces, with their declaration.

    Args:
        snapshot: what was read.
        of_teams: the namespaces of teams.
    """
    for kind in snapshot.unread:
        text = f"the account may not list objects of the kind {kind}: they are not declared"
        yield kind, None, Note("not expressed", ("mesh",), text)
    for kind, api in _APIS.items():
        for namespace, found in sorted(snapshot.inside.get(kind, {}).items()):
            for each in found if namespace not in of_teams else ():
                key = f"{namespace}/{each['metadata']['name']}"
                try:
                    spec = each["spec"]
                    yield key, _istio(spec) if api == "istio" else _gateway_api(spec), None
                except _ODD:
                    shown = quoted(each.get("spec"))
                    text = f"{kind} {key} stays as it is: {shown}"
                    yield key, None, Note("not expressed", ("mesh",), text)


def _istio(spec: Mapping[str, Any]) -> Data:
    [server] = spec["servers"]
    tls = server["tls"]
    if server["port"]["number"] != 443 or tls["mode"] != "SIMPLE":
        raise ValueError("another form")
    data = {"hosts": list(server["hosts"]), "certificate": tls["credentialName"]}
    return {**data, "selector": dict(spec["selector"])}


def _gateway_api(spec: Mapping[str, Any]) -> Data:
    listeners = spec["listeners"]
    [certificate] = {
        reference["name"] for each in listeners for reference in each["tls"]["certificateRefs"]
    }
    return {
        "hosts": [each["hostname"] for each in listeners],
        "certificate": certificate,
        "api": "gateway-api",
        "gateway_class": spec["gatewayClassName"],
    }


def harbor_in_mesh(
    clients: Clients, snapshot: Snapshot, of_teams: Collection[str]
) -> Iterator[tuple[str, Data | None, Note | None]]:
    """Yield the declaration of Harbor in the mesh, from its route, if a route has its form.

    Args:
        clients: the connections to the systems.
        snapshot: what was read.
        of_teams: the namespaces of teams, whose routes do not count.

    Raises:
        TenantryError: the cluster cannot be read.
    """
    for kind, read in (("VirtualService", _virtual_service), ("HTTPRoute", _http_route)):
        for namespace, found in sorted(snapshot.inside.get(kind, {}).items()):
            route = next((each for each in found if each["metadata"]["name"] == HARBOR), None)
            if route is None or namespace in of_teams or namespace not in snapshot.namespaces:
                continue
            try:
                data = {**read(route["spec"]), "kind": kind, "namespace": namespace}
            except _ODD:
                continue
            try:
                yield HARBOR, {**data, **_policies(clients, snapshot, namespace)}, None
            except SystemRefused as error:
                text = f"Harbor in the mesh is not declared, since its policies cannot be read: {error}"
                yield HARBOR, None, Note("not expressed", ("mesh",), text)
            return


def _policies(clients: Clients, snapshot: Snapshot, namespace: str) -> Data:
    found = labels(snapshot.namespaces[namespace])
    inject: bool | str = found.get("istio-injection") == "enabled"
    if not inject and "istio.io/rev" in found:
        inject = found["istio.io/rev"]
    data: Data = {"inject": inject}
    own = {kind: _named(clients, kind, namespace) for kind in ("PeerAuthentication", *_TOKENS)}
    mode = ((own["PeerAuthentication"].get("spec") or {}).get("mtls") or {}).get("mode")
    data["strict_mtls"] = mode == "STRICT"
    rules = (own["RequestAuthentication"].get("spec") or {}).get("jwtRules") or []
    if rules:
        issuers = [rule.get("issuer") for rule in rules]
        data["portal_tokens"] = {
            "required": bool(own["AuthorizationPolicy"]),
            "audiences": list(rules[0].get("audiences") or ()),
            "other_issuers": [each for each in issuers if each != snapshot.issuer],
        }
    return data


_TOKENS = ("RequestAuthentication", "AuthorizationPolicy")


def _named(clients: Clients, kind: str, namespace: str) -> Object:
    """Return a policy of Tenantry in Harbor's namespace; empty if it does not exist."""
    name = "default" if kind == "PeerAuthentication" else NAME
    try:
        listed = list(clients.clusters.home.list(kind, namespace))
    except SystemRefused as error:
        if error.status != 404:  # the kind is not installed
            raise
        return {}
    return next((each for each in listed if each["metadata"]["name"] == name), {})


def _virtual_service(spec: Mapping[str, Any]) -> Data:
    [host], [gateway] = spec["hosts"], spec["gateways"]
    _, core, portal = spec["http"]
    return {"host": host, "gateway": gateway, "core": _service(core), "portal": _service(portal)}


def _service(rule: Mapping[str, Any]) -> Data:
    [target] = rule["route"]
    destination = target["destination"]
    return {"service": destination["host"].split(".")[0], "port": destination["port"]["number"]}


def _http_route(spec: Mapping[str, Any]) -> Data:
    [host], [parent] = spec["hostnames"], spec["parentRefs"]
    _, core, portal = spec["rules"]
    backends = {name: rule["backendRefs"] for name, rule in (("core", core), ("portal", portal))}
    services = {
        name: {"service": backend["name"], "port": backend["port"]}
        for name, [backend] in backends.items()
    }
    return {"host": host, "gateway": f"{parent['namespace']}/{parent['name']}", **services}
